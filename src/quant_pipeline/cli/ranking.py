"""``kedro ranking``: whether a file of a ranking is as it was written."""

from __future__ import annotations

from pathlib import Path

import click

from quant_pipeline.cli.options import ProjectGroup, TypedPath
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.listing import first_of

NEEDED = {"session", "execution_session", "sources", "files", "rows_sha256"}
"""What a manifest has to state."""


@click.group(cls=ProjectGroup)
def ranking() -> None:
    """Verify the files of a ranking."""


@ranking.command()
@click.argument("file", type=TypedPath(exists=True, dir_okay=False))
@click.option(
    "--manifest",
    type=TypedPath(exists=True, dir_okay=False),
    help="The manifest, when it does not lie beside the file.",
)
@click.pass_obj
def verify(metadata: Place, file: Path, manifest: Path | None) -> None:
    """Compare FILE (CSV, JSON, page or Parquet) with the hash that its manifest states; exit with 1 if it differs."""
    from quant_pipeline.pipelines.ranking.manifest import MANIFEST
    from quant_pipeline.pipelines.ranking.manifest import verify as is_unchanged

    place = manifest or file.parent / MANIFEST
    if not place.is_file():
        raise ConfigurationError(f"there is no {MANIFEST} beside {file.name}; name it with --manifest")
    try:
        stated = read_json(place)
    except ValueError as error:
        raise ConfigurationError(f"{place} is no manifest: {error}; ask for it again") from error
    if not stated.keys() >= NEEDED:
        raise ConfigurationError(f"{place} is no manifest of a ranking; ask for it again")
    if not is_unchanged(file, stated):
        raise click.ClickException(f"{file.name} is not the file that was written: its hash differs from {place.name}")
    click.echo(f"{file.name} is as it was written for {stated['session']}, to execute on {stated['execution_session']}")
    for name, source in stated["sources"].items():
        bundles = first_of(f"{model} {identity}" for model, identity in source["bundles"].items())
        click.echo(f"  {name}: {bundles or 'made elsewhere'}")
