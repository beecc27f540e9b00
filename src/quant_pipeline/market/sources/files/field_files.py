"""A file per field, each with a column per instrument: put together into one table."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from quant_pipeline.market.sources.files.instrument_names import stem_of
from quant_pipeline.market.sources.files.layouts import CANONICAL
from quant_pipeline.market.sources.files.opening import open_table
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.raw_table import RawTable, texts_of
from quant_pipeline.market.sources.files.wide import stack_instruments

FIELDS = ("open", "high", "low", "close", "volume")
_ALSO = ("adj close", "adj_close", "adjclose", "dividends", "stock splits", "splits")
_COLUMNS = {name: name for name in FIELDS} | {
    "vendor_adjusted_close": "adj close", "dividend": "dividends", "split": "splits",
}  # fmt: skip
"""Our fields to the columns that their files become."""


def fields_of(files: list[Path]) -> dict[str, Path]:
    """Return the file of each field; empty unless every field has one.

    Files are named after fields, ``close.csv``, or their names end with what vendors call them: ``PX_LAST.csv``,
    ``us_close.csv``.
    """
    named = {stem_of(file).strip().lower(): file for file in files}
    own = {name: file for name, file in named.items() if name in (*FIELDS, *_ALSO)}
    if set(FIELDS) <= set(own):
        return own
    called = [(_field_called(name), file) for name, file in named.items()]
    own = {field: file for field, file in called if field}
    is_said_once = len(own) == sum(field != "" for field, _ in called)
    return own if is_said_once and set(FIELDS) <= set(own) else {}


def _field_called(name: str) -> str:
    """Return the field that the last words of a name mean, ``close`` of ``px_last``; empty where they mean none."""
    for start in re.finditer(r"(?<![^\W_])[^\W_]", name):
        field = CANONICAL.get(name[start.start() :], "")
        if field in _COLUMNS:
            return _COLUMNS[field]
    return ""


def join_fields(own: dict[str, Path], folder: Path, options: FilesMarketParameters) -> RawTable:
    """Return the long table of the files of all fields.

    Raises
    ------
    UnreadableFileError
        When one of them holds no table.
    """
    tables, titles = [], []
    damaged: list[tuple[int, str]] = []
    for field, file in own.items():
        raw = open_table(file, folder, options)
        dates = raw.table.columns[0]
        again = raw.table.duplicated(dates)
        different = (again & ~raw.table.duplicated()).to_numpy()
        damaged += [(line, f"{file.name}: {what}") for line, what in raw.damaged]
        damaged += [
            (int(line), f"{file.name}: states {date} again, with other values")
            for line, date in zip(raw.lines[different], raw.table.loc[different, dates], strict=True)
        ]
        table = raw.table[~again].rename(columns={dates: "date"}).set_index("date")
        for name in filter(_is_unnamed, table.columns):
            if texts_of(table.pop(name)).any():
                damaged.append((int(raw.lines[0]) - 1, f"{file.name}: a column without a name holds something"))
        table.columns = pd.MultiIndex.from_tuples([(field, str(name)) for name in table.columns])
        tables.append(table)
        titles.append(raw.title)
    joined = pd.concat(tables, axis=1).reset_index()
    joined.columns = pd.MultiIndex.from_tuples([("date", ""), *joined.columns[1:]])
    lines = pd.RangeIndex(2, len(joined) + 2).to_numpy()
    table, lines = stack_instruments(joined, lines)
    return RawTable(table, lines, damaged=damaged, has_commas=True, title=" ".join(titles))


def _is_unnamed(column: object) -> bool:
    # A second one has a number.
    return re.fullmatch(r"(\.\d+)?", str(column).strip()) is not None
