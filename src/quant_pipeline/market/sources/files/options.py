"""Options of the source ``files``: what a folder's files cannot say themselves."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import pandas as pd
from pydantic import Field, PositiveFloat, field_validator, model_validator

from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import LocalPath, Parameters

Adjustment = Literal["none", "splits", "splits_and_dividends"]
AUTO = "auto"


class Exclusion(Parameters):
    """Rows that are left out before anything is checked.

    Attributes
    ----------
    instrument
        Its name; None means every instrument.
    start, end
        First and last date that are left out, in YAML also ``from`` and ``to``; None means without bound.
    """

    instrument: str | None = None
    start: datetime.date | None = Field(default=None, alias="from")
    end: datetime.date | None = Field(default=None, alias="to")

    model_config = Parameters.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _begin_before_the_end(self) -> Exclusion:
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError(f"`exclude` from {self.start} to {self.end} means no date; exchange the two")
        return self

    def covers(self, bars: pd.DataFrame) -> pd.Series:
        """Return which rows of ``instrument`` and ``date`` the rule means."""
        rows = pd.Series(True, index=bars.index)
        if self.instrument is not None:
            rows &= (bars["instrument"] == self.instrument).astype(bool)
        if self.start is not None:
            rows &= bars["date"] >= pd.Timestamp(self.start)
        if self.end is not None:
            rows &= bars["date"] < pd.Timestamp(self.end) + pd.Timedelta(days=1)
        return rows


class FilesMarketParameters(Parameters):
    """Which files of the folder are read, and how; nothing has to be set for a layout that is recognised.

    Attributes
    ----------
    bars
        A file, a folder or a pattern such as ``*.csv`` or ``{symbol}_daily.csv``; None reads every table of the folder.
    benchmark
        A file of one instrument, or the name of an instrument among the bars, which is then no member of the market;
        None takes a file whose name contains ``benchmark``, else the equally weighted mean of all instruments.
    securities
        A table with ``symbol``, ``name`` and ``sector`` and, if wanted, ``company``, ``delisted`` and ``value``; an
        instrument that is not in it is then an error. None takes a file of that content where there is one.
    delistings
        A table with ``symbol``, ``date`` and ``value``: cash per share that the holder received at its end.
    renames
        A table with ``old``, ``new`` and, if wanted, ``date``: the first session of the new name. Bars of the old name
        before it are the new one's; without a date all are. None takes a file called ``renames``.
    columns
        Our column name to the file's, for headers that are not recognised.
    ignored_columns
        Columns that would be refused, because they look like splits or dividends, and shall not be used.
    layout
        Name of a layout, where two fit.
    adjusted
        What the prices are adjusted for, where the layout is wrong about it.
    date_format
        Format of dates for `datetime.strptime`, such as ``%d.%m.%Y``.
    day_first
        Whether 03/04/2024 is the third of April, where no date of a file says so.
    time_zone
        Zone of times that name none, such as ``UTC``; None means that of the exchange.
    decimal, separator, encoding
        Of text files, where they cannot be recognised.
    volume_unit, price_unit
        What one unit of a file's volume and price is: 100 for lots of 100 shares, 0.01 for pence.
    calendar
        Exchange calendar, or ``auto``: the one that fits the dates.
    intraday
        What to do with bars shorter than a session: ``refuse``, or ``resample`` into sessions.
    on_problem
        ``refuse`` the market when something is wrong with it, or ``leave_out`` what is wrong: the row, or the
        instrument where a row alone cannot be left out. Files that hold no bars at all are left out either way.
    exported_together
        Whether files of one instrument that follow one another are parts of one export; adjusted prices fit only then.
    exclude
        Rows that are left out, by instrument and dates; their splits and dividends count on the next bar.
    rename
        Former name of an instrument to its present one.
    """

    bars: str | None = None
    benchmark: str | None = None
    securities: str | None = None
    delistings: str | None = None
    renames: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    ignored_columns: tuple[str, ...] = ()
    layout: str | None = None
    adjusted: Adjustment | None = None
    date_format: str | None = None
    day_first: bool | None = None
    time_zone: str | None = None
    decimal: Literal[".", ","] | None = None
    separator: str | None = None
    encoding: str | None = None
    volume_unit: PositiveFloat | None = None
    price_unit: PositiveFloat | None = None
    calendar: str = AUTO
    intraday: Literal["refuse", "resample"] = "refuse"
    on_problem: Literal["refuse", "leave_out"] = "refuse"
    exported_together: bool = False
    exclude: tuple[Exclusion, ...] = ()
    rename: dict[str, str] = Field(default_factory=dict)

    @field_validator("columns")
    @classmethod
    def _know_our_names(cls, columns: dict[str, str]) -> dict[str, str]:
        from quant_pipeline.market.sources.files.layouts import FIELDS

        unknown = sorted(set(columns) - set(FIELDS))
        if unknown:
            raise ValueError(f"{first_of(unknown)} is no column of ours; there are {', '.join(FIELDS)}")
        return columns

    @field_validator("separator")
    @classmethod
    def _cut_at_one_sign(cls, separator: str | None) -> str | None:
        if separator is not None and (len(separator) != 1 or separator in '\r\n"\0'):
            raise ValueError(
                f"{separator!r} separates no cells; name one sign that is no quotation mark and no end of a line, and "
                'a tab as "\\t" in double quotes; or leave it out'
            )
        return separator

    @field_validator("layout")
    @classmethod
    def _know_the_layout(cls, layout: str | None) -> str | None:
        from quant_pipeline.market.sources.files.layouts import LAYOUTS

        if layout is not None and layout not in LAYOUTS:
            raise ValueError(f"there is no layout '{layout}'; there are {', '.join(LAYOUTS)}")
        return layout

    def of_parsing(self) -> dict[str, Any]:
        """Return the options that change how one file is read, for the key of its cache."""
        names = (
            "columns", "ignored_columns", "layout", "date_format", "day_first", "decimal", "separator", "encoding",
            "volume_unit", "price_unit",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


class FilesSourceParameters(FilesMarketParameters):
    """The block of the source ``files``: its folder, and which files of it are read."""

    folder: LocalPath
