"""The project of the rehearsal as its commands open it: its configuration, and where it keeps models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from quant_pipeline.cli.opened_account import Opened, open_account
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.checks import OF_CONFIGURATION, report_problems
from quant_pipeline.live.market_data.watch import watch_market
from quant_pipeline.models.store import BundleStore

ENVIRONMENT, FIRST = "paper", "2024-01-02"


class Place(NamedTuple):
    """The folder of a project."""

    project_path: Path


@contextmanager
def opened_project(folder: Path, url: str) -> Iterator[Opened]:
    """Open the account of the rehearsal."""
    with open_account(Place(folder), ENVIRONMENT, {"alpaca_url": url, "as_of": FIRST}) as opened:
        yield opened


@dataclass(frozen=True)
class OpenedAt(Opened):
    """The account of the rehearsal at the close of a session, without reading its configuration again.

    Attributes
    ----------
    at
        The session.
    """

    at: pd.Timestamp

    @property
    def stands_at(self) -> pd.Timestamp:
        """The session."""
        return self.at


@cache
def opened_once(folder: Path, url: str) -> Opened:
    """Open the account of the rehearsal for the life of this process and its forks."""
    return opened_project(folder, url).__enter__()


def watch_session(folder: Path, url: str, as_of: pd.Timestamp) -> None:
    """Do what `kedro live watch` does: watch the session after a close until it has closed."""
    opened = OpenedAt(opened_once(folder, url).project, as_of)
    watch_market(LiveAccount.of(Place(folder), opened, {}), lambda: False)


def folder_of_models(folder: Path, url: str) -> Path:
    """Return the folder of the models, as the catalog says it."""
    with opened_project(folder, url) as opened:
        models = LiveAccount.of(Place(folder), opened, {}).models
    assert models is not None, "the catalog names champions"
    return models


def verify_champions(models: Path) -> int:
    """Read every champion whole.

    Raises
    ------
    ModelError
        When one is damaged.
    """
    for aliases in models.glob("*/bundle/aliases.json"):
        BundleStore(aliases.parent).read("champion")
    return 0


def check_configuration(folder: Path, url: str) -> int:
    """Do what `kedro live --check-configuration` does."""
    with opened_project(folder, url) as opened:
        report_problems(opened, lambda line: sys.stderr.write(f"{line}\n"), OF_CONFIGURATION)
    return 0
