"""``kedro account preview``: what a folder of statements would book, without writing anything."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import TypedPath, env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import ConfigurationError, QuantPipelineError

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.cli.opened_project import OpenedProject
    from quant_pipeline.trading.statements import StatementImportParameters
    from quant_pipeline.trading.statements.preview import Preview

BLOCK = "statement_import"


@click.command()
@click.argument("folder", type=TypedPath())
@env_option
@params_option
@click.option("--conf", type=TypedPath(), help=f"YAML that is merged over {BLOCK}.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def preview(
    context: click.Context, folder: Path, env: str | None, params: dict[str, Any], conf: Path | None, as_json: bool
) -> None:
    """Show what the statements in FOLDER would book into an empty account; nothing is written."""
    from quant_pipeline.trading.statements.preview import Preview

    with _silent() if as_json else _as_it_is():
        try:
            found = _preview(context.obj, folder, env, params, conf)
        except QuantPipelineError as error:
            if not as_json:
                raise
            found = Preview(problems=[error.message])
    if as_json:
        click.echo(json.dumps(found.summary(), ensure_ascii=False))
    else:
        _draw(found)
    context.exit(1 if found.problems else 0)


def _preview(place: Place, folder: Path, env: str | None, params: dict[str, Any], conf: Path | None) -> Preview:
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.datasets.statements import StatementFolder
    from quant_pipeline.strategy.account_parameters import AccountParameters
    from quant_pipeline.trading.statements import read_statements
    from quant_pipeline.trading.statements.market_check import refuse_other_currency
    from quant_pipeline.trading.statements.preview import preview_statements

    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; name the folder that holds the statements")
    with open_project(place, env, params, logs=False) as project:
        written = _written(conf)
        parameters = _parameters(project, written.get(BLOCK, {}), conf)
        rules = project.parameters["market_rules"]
        calendar = written.get("calendar") or rules["calendar"]
        lot_method = project.rules("account", AccountParameters).lot_method
        imported = read_statements(StatementFolder(str(folder)).load(), parameters, calendar)
        imported.problems += refuse_other_currency(parameters.currency, calendar)
        return preview_statements(imported, lot_method, _corporate_actions(project))


def _written(conf: Path | None) -> dict[str, Any]:
    """Return what a file of configuration says: ``statement_import``, and ``calendar`` where it names one."""
    import yaml

    if conf is None:
        return {}
    try:
        written = yaml.safe_load(conf.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{conf} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(written, dict):
        raise ConfigurationError(f"{conf} has to hold `{BLOCK}:` with the keys to change")
    calendar = written.pop("calendar", None) or written.pop("market_rules", {}).get("calendar")
    block = written.pop(BLOCK, None)
    # The keys may also stand there without the name of their block.
    return {BLOCK: written if block is None else block, "calendar": calendar}


def _parameters(project: OpenedProject, changes: Mapping[str, Any], conf: Path | None) -> StatementImportParameters:
    from pydantic import ValidationError

    from quant_pipeline.common.parameters import describe_faults
    from quant_pipeline.trading.statements import StatementImportParameters

    parameters = project.rules(BLOCK, StatementImportParameters)
    try:
        return parameters.with_changes(changes)
    except ValidationError as error:
        faults = describe_faults(error, StatementImportParameters, BLOCK)
        raise ConfigurationError(f"{conf}: {faults}. Correct it there.") from error


def _corporate_actions(project: OpenedProject) -> pd.DataFrame | None:
    """Return the corporate actions of the market; None while no market is ingested."""
    from quant_pipeline.datasets.point_in_time import PointInTimeTable

    if not project.catalog.exists("corporate_actions"):
        return None
    table = project.catalog.get("corporate_actions")
    if isinstance(table, PointInTimeTable):  # Statements may reach further than the session at which it is cut.
        return table.load_stored()
    actions: pd.DataFrame = project.catalog.load("corporate_actions")
    return actions


@contextmanager
def _silent() -> Iterator[None]:
    """Keep every record of the log away from the output that a program reads."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _draw(found: Preview) -> None:
    from rich.console import Console

    from quant_pipeline.cli.preview_picture import draw_preview

    Console().print(draw_preview(found))
