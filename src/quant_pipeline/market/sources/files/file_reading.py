"""What was read of one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.instrument_names import adjustment_named
from quant_pipeline.market.sources.files.raw_table import Head
from quant_pipeline.market.sources.files.recognition import layout_of
from quant_pipeline.market.sources.files.shared_rows import SharedRows, table_of


@dataclass
class Reading:
    """A file that was read.

    Attributes
    ----------
    file
        Its name, relative to the folder.
    layout
        Name of its layout; empty when none was recognised.
    held
        Its rows, as a table or in columns of several files; None when the file holds no bars.
    kind
        Kind of its dates, see `dates.Dates`.
    problems
        What could not be read: with a row where a row is meant.
    broken
        Why the whole file cannot be read.
    ambiguous
        Whether day and month cannot be kept apart.
    day_first
        Whether its dates say that the day comes first; None when they say nothing.
    fields
        Our names of its columns.
    header
        Its own.
    currency
        Column that states the currency of the prices, and the currency; empty where none does.
    is_blocking
        Whether its problem refuses the market whatever is left out.
    title
        What stands before its header, and the names of its sheets.
    head
        What was read, where more can follow it that is read alone.
    """

    file: str
    layout: str = ""
    held: pd.DataFrame | SharedRows | None = None
    kind: str = "date"
    problems: list[SourceProblem] = field(default_factory=list)
    broken: str | None = None
    ambiguous: bool = False
    day_first: bool | None = None
    fields: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    currency: tuple[str, str] = ("", "")
    is_blocking: bool = False
    title: str = ""
    head: Head | None = None

    @property
    def rows(self) -> pd.DataFrame | None:
        """Its rows: ``line``, ``date``, ``instrument``, prices and so on, ``bad`` where a cell could not be read."""
        return table_of([self.held]) if isinstance(self.held, SharedRows) else self.held

    @property
    def columns(self) -> frozenset[str]:
        """Names of the dates and numbers of its rows, at the least."""
        return frozenset() if self.held is None else frozenset(self.held.columns)

    def states(self, name: str, none: float) -> bool:
        """Whether any row has another number in a column than the one that stands for none."""
        if self.held is None or name not in self.columns:
            return False
        if isinstance(self.held, SharedRows):
            return bool((self.held.columns[name][self.held.start : self.held.stop] != none).any())
        return bool((self.held[name].fillna(none) != none).any())

    @property
    def named(self) -> tuple[str, str]:
        """What name or title say that prices are adjusted for, and the word; empty where a column or nothing does."""
        stated = {"dividend", "split", "vendor_adjusted_close", "adjust_flag"} & set(self.fields)
        return ("", "") if stated else adjustment_named(Path(self.file), self.title)

    @property
    def adjusted(self) -> str:
        """What the prices are adjusted for, by the name of the file or by the layout."""
        return self.named[0] or layout_of(self.layout).adjusted
