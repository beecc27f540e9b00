"""``kedro export``: any table of the catalog as a file that a spreadsheet opens."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import ProjectCommand, TypedPath, env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    from kedro.io import DataCatalog

SHEET_ROWS = 1_048_575
"""Rows of a sheet below its header."""
KINDS = ("csv", "xlsx")


@click.command(cls=ProjectCommand)
@click.argument("name")
@click.option("--to", "kind", type=click.Choice(KINDS), default="csv", show_default=True, help="Kind of the file.")
@click.option("--path", type=TypedPath(), help="File to write; by default exports/NAME.KIND.")
@env_option
@params_option
@click.pass_obj
def export(metadata: Place, name: str, kind: str, path: Path | None, env: str | None, params: dict[str, Any]) -> None:
    """Write the table NAME of the catalog as CSV or as a workbook, its numbers rounded to their meaning."""
    from quant_pipeline.cli.opened_project import open_project
    from quant_pipeline.common.atomic import replacing_file, write_text
    from quant_pipeline.reports.spreadsheet import csv_text, rounded, safe

    with open_project(metadata, env, params) as opened:
        table = table_of(opened.catalog, name)
        target = path or Path("exports") / f"{name.replace('@', '_')}.{kind}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "csv":
            write_text(target, csv_text(table))
        else:
            if len(table) > SHEET_ROWS:
                raise ConfigurationError(
                    f"{name} has {len(table):,} rows and a sheet holds {SHEET_ROWS:,}; write it with --to csv"
                )
            with replacing_file(target) as beside:
                safe(rounded(table)).to_excel(beside, index=False, engine="openpyxl", sheet_name=name[:31])
    click.echo(f"{name}: {len(table):,} rows in {target}")


def table_of(catalog: DataCatalog, name: str) -> pd.DataFrame:
    """Load a dataset as a table; a panel gets its index as columns, and a mapping becomes one row.

    Parameters
    ----------
    catalog
        Catalog of an environment.
    name
        Of a dataset.

    Raises
    ------
    ConfigurationError
        When there is no such dataset, nothing is stored in it, or it is no table.
    """
    import pandas as pd

    from quant_pipeline.models.panels import FeaturePanel

    known = sorted(each for each in catalog.keys() if not each.startswith(("params:", "parameters")))  # noqa: SIM118
    if name not in catalog:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ConfigurationError(
            f"the catalog has no dataset '{name}'{hint or '.'} `kedro catalog describe-datasets` lists all of them"
        )
    if not catalog.exists(name):
        raise ConfigurationError(f"nothing is stored in '{name}' yet; run the pipeline that makes it first")
    data = catalog.load(name)
    if isinstance(data, FeaturePanel):
        data = data.read()
    if isinstance(data, dict):
        data = pd.json_normalize(data)
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if not isinstance(data, pd.DataFrame):
        raise ConfigurationError(f"'{name}' is no table but {type(data).__name__}, and cannot be exported")
    return data if all(level is None for level in data.index.names) else data.reset_index()
