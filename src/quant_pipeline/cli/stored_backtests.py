"""The backtests that an account has stored, as the commands find them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.places import path_here
from quant_pipeline.project.backtest_folder import CALLED

if TYPE_CHECKING:
    from quant_pipeline.cli.opened_project import OpenedProject
    from quant_pipeline.pipelines.backtest.comparison import StoredBacktest

BUNDLES = "bundle"
"""Word for what made the scores, beside the parameters."""


def reports_of(opened: OpenedProject) -> Path:
    """Folder of the reports of the account."""
    account = opened.configuration["globals"]["paths"]["account"]
    return path_here(opened.configuration.project, account) / "08_reporting"


def stored_backtests(opened: OpenedProject) -> dict[str, Path]:
    """Return the stored backtests by name, the account's own first."""
    from quant_pipeline.project.backtest_folder import OTHERS, OWN

    reports = reports_of(opened)
    found = {CALLED: reports / OWN} | {path.name: path for path in sorted((reports / OTHERS).glob("*/"))}
    return {name: folder for name, folder in found.items() if (folder / "facts.json").is_file()}


def folder_of(name: str, folders: dict[str, Path]) -> Path:
    """Return the folder of a stored backtest.

    Raises
    ------
    ConfigurationError
        When there is none of this name; the message lists those that there are.
    """
    if name not in folders:
        raise ConfigurationError(
            f"there is no backtest '{name}'; there are {first_of(folders) or 'none'}. A backtest gets a name by "
            "`kedro run --pipelines backtest --params backtest.name=wide,strategy.topk=50`"
        )
    return folders[name]


def facts_of(folder: Path) -> dict[str, Any]:
    """Return what a stored backtest says of itself: ``hash``, ``parameters``, ``bundles``.

    Raises
    ------
    ConfigurationError
        When that cannot be read.
    """
    file = folder / "facts.json"
    try:
        return read_json(file)
    except ValueError as error:
        raise ConfigurationError(f"{file} cannot be read: {error}. Run that backtest again.") from error


def read_backtest(name: str, folders: dict[str, Path]) -> StoredBacktest:
    """Read a stored backtest; the bundles behind its scores count as parameters.

    Raises
    ------
    ConfigurationError
        When there is none of this name.
    """
    import pandas as pd

    from quant_pipeline.pipelines.backtest.comparison import StoredBacktest

    folder = folder_of(name, folders)
    facts = facts_of(folder)
    parameters = facts["parameters"] | {BUNDLES: facts.get("bundles", {})}
    nav, positions = (pd.read_parquet(folder / f"{table}.parquet") for table in ("nav", "positions"))
    return StoredBacktest(name, nav, positions, parameters)
