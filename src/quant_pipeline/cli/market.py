"""``kedro market check``: what a folder of the user's files would be read as, before anything is read in."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click

from quant_pipeline.cli.options import ProjectGroup, TypedPath
from quant_pipeline.cli.sessions import CONFIGURATION, Place
from quant_pipeline.common.exceptions import ConfigurationError

FILES_ENVIRONMENT = "files"


@click.group(cls=ProjectGroup)
def market() -> None:
    """Look at market data before a run reads it."""


@market.command()
@click.argument("folder", type=TypedPath())
@click.option(
    "--env", "-e", default=FILES_ENVIRONMENT, show_default=True, help="Environment with the options of files."
)
@click.option(
    "--conf",
    type=TypedPath(dir_okay=False, exists=True),
    help="YAML with options that come before those of the environment.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def check(context: click.Context, folder: Path, env: str, conf: Path | None, as_json: bool) -> None:
    """Say what the files of FOLDER are read as, and what is wrong with them; nothing is written."""
    from quant_pipeline.market.quality import QualityParameters
    from quant_pipeline.market.sources.files.checking import check_folder, describe_check

    options = _options(context.obj, env, conf)
    # Progress is reported on the same stream as the result.
    logging.disable(logging.CRITICAL if as_json else logging.NOTSET)
    try:
        checked = check_folder(folder, options, QualityParameters())
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        click.echo(json.dumps(checked.summary, ensure_ascii=False))
    else:
        for line in describe_check(checked, options):
            click.echo(line)
    context.exit(0 if checked.ok else 1)


def _options(place: Place, env: str, conf: Path | None) -> Any:
    """Return the options of the environment's source, with those of a YAML file before them."""
    from pydantic import ValidationError

    from quant_pipeline.common.parameters import describe_faults
    from quant_pipeline.market.sources.files import FilesMarketParameters

    block = _block(place.project_path / CONFIGURATION, env)
    if conf is not None:
        block |= _read_yaml(conf)
    try:
        return FilesMarketParameters.model_validate(block)
    except ValidationError as error:
        where = conf if conf is not None else f"conf/{env}/catalog.yml"
        raise ConfigurationError(
            f"{where}: {describe_faults(error, FilesMarketParameters)}. Correct it there."
        ) from error


def _block(folder: Path, env: str) -> dict[str, Any]:
    from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
    from quant_pipeline.project.market_files import options_of

    if not folder.is_dir():
        return {}
    return options_of(ProjectConfigLoader(str(folder), env, **LOADER_OPTIONS))


def _read_yaml(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {' '.join(str(error).split())}. Correct the YAML there.") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file} has to hold `key: value` lines, the options of the source `files`.")
    # The whole catalog entry may be copied as it is.
    inner = content.get("market_source", content)
    inner = inner.get("parameters", inner) if isinstance(inner, dict) else inner
    return {key: value for key, value in inner.items() if key != "folder"}
