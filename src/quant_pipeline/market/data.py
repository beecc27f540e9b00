"""`MarketData`, what every market source delivers: bars, corporate actions, instruments, benchmark, universes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pandas as pd


class SourceProblem(NamedTuple):
    """Something in a source that could not be used.

    Attributes
    ----------
    file
        Where it was found.
    row
        Line of the file, counted from 1 with the header, or None when the whole file is meant.
    instrument
        The instrument, or None when it is not known.
    message
        What is wrong and what to do.
    size
        How many rows it concerns.
    """

    file: str
    row: int | None
    instrument: str | None
    message: str
    size: int = 1

    def __str__(self) -> str:
        """Return where it is and what it is, in one line."""
        row = "" if self.row is None else f", row {self.row}"
        return f"{self.file}{row}{'' if self.instrument is None else f', {self.instrument}'}: {self.message}"


SOURCE = "source"
"""Key of ``attrs`` under which a table says what made the bars it comes from; Parquet keeps it."""


class SaysItsSource(Protocol):
    """A table, or what is read into one."""

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """What it says about itself, as pandas keeps it."""


def source_of(table: SaysItsSource) -> str:
    """Return what made the bars that a table comes from; empty when it does not say."""
    return str(table.attrs.get(SOURCE, ""))


def said_to_come_from(source: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with what made its bars noted; the values are shared."""
    noted = table.copy(deep=False)
    noted.attrs = table.attrs | ({SOURCE: source} if source else {})
    return noted


@dataclass(frozen=True)
class MarketData:
    """A market as known at the close of one session.

    Values of the tables may lie in a file, so that pandas refuses to change them in their place; a copy can be changed.

    Attributes
    ----------
    bars
        As traded, sorted by instrument and date: ``date``, ``instrument``, ``open``, ``high``, ``low``, ``close``,
        ``volume`` and, when a vendor gives it, ``vendor_adjusted_close``. A halt is an absent row.
    corporate_actions
        ``date`` (ex-date), ``instrument``, ``kind`` (``split``, ``cash_dividend``, ``delisting``), ``value``.
    instruments
        ``instrument``, ``name``, ``sector``, ``listed``, ``delisted`` (missing while listed).
    benchmark
        ``date``, ``open``, ``high``, ``low``, ``close``, ``volume``, ``total_return_close`` (dividends reinvested, no
        tax withheld) and ``dividend_return``: the part of the session's return that was paid as dividends. None where
        the equally weighted mean of these bars serves: ingestion computes it, once it knows which listings have ended.
    as_of
        Session at whose close all of this was known.
    problems
        What could not be used.
    findings
        What the source left out or noted, in the columns of `quality.COLUMNS`; None when it notes nothing.
    source
        What made it, for instance ``alpaca at https://data.alpaca.markets``; see `MarketSource.origin_of`.
    universes
        Named universes of the source: ``universe``, ``instrument``, ``start`` and ``end``, both included, which may lie
        beyond the session; an instrument may have several ranges. None for a source without.
    """

    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    instruments: pd.DataFrame
    benchmark: pd.DataFrame | None
    as_of: pd.Timestamp
    problems: tuple[SourceProblem, ...] = ()
    findings: pd.DataFrame | None = None
    universes: pd.DataFrame | None = None
    source: str = ""
