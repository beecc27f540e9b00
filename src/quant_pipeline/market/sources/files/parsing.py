"""One file, read: its layout, its rows by our names, and everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.dates import Dates, read_dates
from quant_pipeline.market.sources.files.faults import naming_faults
from quant_pipeline.market.sources.files.field_files import join_fields
from quant_pipeline.market.sources.files.file_reading import Reading
from quant_pipeline.market.sources.files.instrument_names import instrument_of, printable
from quant_pipeline.market.sources.files.layouts import NUMBERS
from quant_pipeline.market.sources.files.numbers import Numbers, decimal_mark, read_numbers, read_splits
from quant_pipeline.market.sources.files.opening import open_table, open_tail
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.raw_table import RawTable, UnreadableFileError, texts_of
from quant_pipeline.market.sources.files.recognition import (
    Recognised,
    currency_of,
    needs_no_content,
    recognise,
    recognise_header,
)
from quant_pipeline.market.sources.files.shared_rows import MARKS
from quant_pipeline.market.sources.files.units import scale_to_shares_and_prices

PRICES = ("open", "high", "low", "close")
ADJUSTED_FLAGS = ("1", "2", "qfq", "hfq", "前复权", "后复权")
TRADED_FLAGS = ("3", "", "bfq", "不复权", "除权", "raw", "unadjusted")
"""Words of a column that says of each row whether it is adjusted; the numbers are baostock's."""
_PLAIN_FIELDS = {"date", "time", "instrument", "split", *NUMBERS}
AMBIGUOUS = "every date can be read with the day or the month first"


def read_file(file: Path, folder: Path, options: FilesMarketParameters, as_text: bool = False) -> Reading:
    """Read one file; `as_text` reads a plain text file without Arrow, for problems that name cells as they stand."""
    try:
        with naming_faults():
            return _read(file, folder, options, as_text)
    except UnreadableFileError as error:
        return Reading(name_of(file, folder), broken=str(error))


def _read(file: Path, folder: Path, options: FilesMarketParameters, as_text: bool) -> Reading:
    reading = Reading(name_of(file, folder))
    raw = open_table(file, folder, options, as_text)
    if raw.of_header is None:
        return _recognised(reading, raw, _find(raw, options), options)
    found = _find(raw, options)
    if _is_typed_for(found.recognised, raw.of_header):
        read = _recognised(reading, raw, found, options)
        if not read.problems and read.broken is None:
            return read
    return _read(file, folder, options, as_text=True)


def read_tail(
    earlier: Reading, file: Path, folder: Path, options: FilesMarketParameters, content: bytes
) -> Reading | None:
    """Read what has been added to a file, and return the whole of it as `read_file` would.

    Parameters
    ----------
    earlier
        The file as it was read before; the content begins with its head.
    file, folder, options
        As for `read_file`.
    content
        The file as it is.

    Returns
    -------
    Reading or None
        None where the whole has to be read: something in the tail is wrong, or says more about the rows before.
    """
    head, rows = earlier.head, earlier.rows
    if head is None or rows is None:
        return None
    if len(content) == head.n_bytes:
        return replace(earlier, held=rows.iloc[: head.n_rows])
    raw = open_tail(file, folder, options, head, content)
    if raw is None:
        return None
    tail = _recognised(Reading(earlier.file), raw, _find(raw, options), options)
    alike = ("layout", "kind", "fields", "day_first", "currency", "title")
    unlike = any(getattr(tail, name) != getattr(earlier, name) for name in alike)
    if unlike or tail.head is None or tail.rows is None or tail.problems:
        return None
    tail.held = pd.concat([rows.iloc[: head.n_rows], tail.rows], ignore_index=True)
    return tail


def read_field_files(own: dict[str, Path], folder: Path, options: FilesMarketParameters) -> Reading:
    """Read a file per field as one; its name is that of the closes."""
    reading = Reading(name_of(own["close"], folder))
    try:
        with naming_faults():
            raw = join_fields(own, folder, options)
            return _recognised(reading, raw, _find(raw, options), options)
    except UnreadableFileError as error:
        return Reading(reading.file, broken=str(error))


def name_of(file: Path, folder: Path) -> str:
    """Return what a file is called in messages, and its instrument after."""
    path, above = str(file), f"{folder}{os.sep}"
    if path.startswith(above):
        return printable(path[len(above) :])
    name = file.name
    with suppress(ValueError):
        name = file.relative_to(folder).as_posix()
    return printable(name)


class _Found(NamedTuple):
    """What a file was recognised as, and whether its header was enough for that."""

    recognised: Recognised
    by_header: bool


def _find(raw: RawTable, options: FilesMarketParameters) -> _Found:
    if raw.of_header is not None:
        # Folders may have added columns to those of the header.
        names = tuple(str(column) for column in raw.table.columns)
        by_header = recognise_header(names, raw.layout, options)
        if needs_no_content(names, by_header):
            return _Found(by_header, True)
    return _Found(recognise(raw.table, raw.layout, options), False)


def _is_typed_for(found: Recognised, of_header: Recognised) -> bool:
    """Whether the cells of a plain file, which have the types that its header says, are of the types to be read."""
    more = found.columns.items() - of_header.columns.items()
    return len(found.columns) == len(of_header.columns) + len(more) and {ours for _, ours in more} <= {"instrument"}


def _recognised(reading: Reading, raw: RawTable, of: _Found, options: FilesMarketParameters) -> Reading:
    found = of.recognised
    reading.layout, reading.title = found.name, raw.title
    reading.fields = tuple(found.columns.values())
    reading.header = tuple(str(column) for column in raw.table.columns)
    if found.missing is not None:
        reading.broken = found.missing
        return reading
    if found.faults:
        reading.problems += [SourceProblem(reading.file, None, None, fault) for fault in found.faults]
        return reading
    if raw.table.empty:
        reading.broken = "has a header and no rows"
        if raw.damaged:
            line, what = raw.damaged[0]
            reading.broken += f" that can be read; row {line}: {what}"
        return reading
    reading.currency = ("", "") if of.by_header else currency_of(raw.table, options)
    if raw.of_header is not None and raw.of_header.columns == found.columns and found.layout.rows_stand_alone:
        reading.head = raw.head
    if of.by_header:
        of_file = _instruments(None, len(raw.table), Path(reading.file), options)
        reading.held = plain_rows(raw.table, raw.lines, found, of_file)
    if reading.held is None:
        _type(reading, raw, found, Path(reading.file), options)
    return reading


def plain_rows(
    table: pd.DataFrame, lines: np.ndarray, found: Recognised, instruments: pd.Series
) -> pd.DataFrame | None:
    """Make the rows of plain cells; None where one of them is wrong, or a column says more than numbers do.

    Parameters
    ----------
    table
        Cells whose dates are midnights and whose numbers are finite, see `plain_text`.
    lines
        Line of each row.
    found
        What the header says.
    instruments
        Of each row, by the name of its file, where there is no column of instruments.
    """
    theirs = {ours: name for name, ours in found.columns.items()}
    if not theirs.keys() <= _PLAIN_FIELDS:
        return None
    numbers = {name: table[theirs[name]].to_numpy() for name in (*NUMBERS, "split") if name in theirs}
    if any((numbers[name] < 0).any() for name in ("volume", "dividend", "split") if name in numbers):
        return None
    if "split" in numbers:
        numbers["split"] = np.where(numbers["split"] == 0, 1.0, numbers["split"])
    none = np.zeros(len(table), dtype=bool)
    marks = dict.fromkeys(MARKS, none)
    columns = {"line": lines.astype("int64"), "date": table[theirs["date"]].to_numpy(), **marks, **numbers}
    rows = pd.DataFrame(columns | {"adjusted_row": none})
    rows["instrument"] = texts_of(table[theirs["instrument"]]) if "instrument" in theirs else instruments
    scale_to_shares_and_prices(rows, found)
    return rows


def _type(reading: Reading, raw: RawTable, found: Recognised, path: Path, options: FilesMarketParameters) -> None:
    table = raw.table[list(found.columns)].rename(columns=found.columns).reset_index(drop=True)
    _empty_repeated_headers(table, found.columns)
    decimal = _decimal(table, raw, options)
    if decimal is None:
        what = (
            "has commas in numbers, and nothing says whether they separate thousands or decimals; set "
            '`decimal: "."` or `decimal: ","`'
        )
        reading.problems.append(SourceProblem(reading.file, None, None, what))
        return
    dates = read_dates(_with_time(table), options.date_format, options.day_first)
    reading.kind, reading.ambiguous, reading.day_first = dates.kind, dates.ambiguous, dates.day_first
    if dates.ambiguous:
        what = f"{AMBIGUOUS}, such as {table['date'].iloc[0]!r}; set `day_first: true` or `day_first: false`"
        reading.problems.append(SourceProblem(reading.file, None, None, what))
        return
    numbers = {name: read_numbers(table[name], decimal) for name in NUMBERS if name in table}
    if "split" in table:
        numbers["split"] = read_splits(table["split"], decimal)
    rows = _rows(table, raw, dates, numbers)
    if rows["footer"].all():
        beginning = ",".join(raw.table.iloc[0].astype("str").fillna(""))[:60]
        reading.broken = f"has a header and no row that is a bar; row {raw.lines[0]}: {beginning!r}"
        return
    stated = table.get("instrument")
    rows["instrument"] = _instruments(stated, len(table), path, options)
    if "adjust_flag" in table:
        known = _texts_of(table["adjust_flag"]).isin({*ADJUSTED_FLAGS, *TRADED_FLAGS}).to_numpy()
        _append(reading, table, rows, "adjust_flag", ~known, "is no mark of adjustment that is known")
    wrong = dates.unreadable & ~rows["footer"].to_numpy()
    _append(reading, table, rows, "date", wrong, "is no date")
    for name, column in numbers.items():
        _report(reading, table, rows, name, column)
    for line, what in raw.damaged:
        reading.problems.append(SourceProblem(reading.file, line, None, what))
    scale_to_shares_and_prices(rows, found)
    reading.held = rows


def _empty_repeated_headers(table: pd.DataFrame, columns: Mapping[str, str]) -> None:
    """Make lines that repeat the header, as joined files have them, lines that are no bars."""
    if not isinstance(table["date"].dtype, pd.StringDtype) and table["date"].dtype != object:
        return
    again = table["date"].notna()
    for theirs, ours in columns.items():
        if not again.any():
            return
        again &= table[ours].astype("str").str.strip() == theirs.strip()
    if again.any():
        table.loc[again, [name for name in columns.values() if name not in ("date", "instrument")]] = ""


def _decimal(table: pd.DataFrame, raw: RawTable, options: FilesMarketParameters) -> str | None:
    """Return the decimal mark: the option's, or the one that the numbers show; None when they do not."""
    if options.decimal is not None or not raw.has_commas:
        return options.decimal or "."
    return decimal_mark([table[name] for name in (*NUMBERS, "split") if name in table])


def _rows(table: pd.DataFrame, raw: RawTable, dates: Dates, numbers: dict[str, Numbers]) -> pd.DataFrame:
    """Put what was read into one table, with marks for rows that are no bars or have cells that cannot be read."""
    none = np.zeros(len(table), dtype=bool)
    footer = dates.unreadable.copy()
    for name in PRICES:
        footer &= np.isnan(numbers[name].values) & ~numbers[name].unreadable
    columns: dict[str, Any] = {
        "line": raw.lines.astype("int64"), "date": dates.values, "bad": none, "bad_price": none.copy(),
        "bad_action": none.copy(), "timed": dates.timed, "footer": footer,
    }  # fmt: skip
    columns |= {name: column.values for name, column in numbers.items()}
    if "suspended" in table:
        columns["suspended"] = read_numbers(table["suspended"]).values == 0
    flags = _texts_of(table["adjust_flag"]) if "adjust_flag" in table else pd.Series("", index=table.index)
    columns["adjusted_row"] = flags.isin(ADJUSTED_FLAGS).to_numpy()
    return pd.DataFrame(columns)


def _texts_of(column: pd.Series) -> pd.Series:
    texts = column.astype("str").fillna("").str.strip().str.lower().str.removesuffix(".0")
    return texts.mask(texts.isin({"nan", "none", "<na>"}), "")


def _with_time(table: pd.DataFrame) -> pd.Series:
    """Return the dates, with the column of times where that says more than midnight."""
    if "time" not in table or pd.api.types.is_datetime64_any_dtype(table["date"]):
        return table["date"]
    times = table["time"].fillna("").astype("str").str.replace(":", "", regex=False).str.strip()
    if times.nunique() <= 1:
        return table["date"]
    # Some write the whole date again before the time of day.
    whole = times.str.fullmatch(r"(19|20)\d{10,15}").to_numpy(dtype=bool)
    clock = times.str.zfill(6).str[:4].where(~whole, times.str[8:12])
    return table["date"].astype("str").str.strip() + " " + clock.str[:2] + ":" + clock.str[2:]


def _instruments(column: pd.Series | None, n_rows: int, path: Path, options: FilesMarketParameters) -> pd.Series:
    if column is None:
        return pd.Series([instrument_of(path, options.bars)] * n_rows, dtype="str")
    return texts_of(column)


def _report(reading: Reading, table: pd.DataFrame, rows: pd.DataFrame, name: str, column: Numbers) -> None:
    if name in ("amount", "previous_close", "capital_gain", "total_return"):
        return
    what = {"volume": "is no volume", "split": "is no split ratio", "dividend": "is no dividend"}
    wrong = column.unreadable
    with np.errstate(invalid="ignore"):
        if name == "split" or name in ("volume", "dividend"):
            wrong = wrong | (column.values < 0)
    _append(reading, table, rows, name, wrong, what.get(name, "is no positive price"))


def _append(reading: Reading, table: pd.DataFrame, rows: pd.DataFrame, name: str, wrong: np.ndarray, what: str) -> None:
    """Note one problem per column, with its first row and how many there are, and mark the rows."""
    places = np.flatnonzero(wrong)
    if not len(places):
        return
    if name in ("split", "dividend"):
        rows.loc[wrong, "bad_action"] = True
    if name in PRICES:
        rows.loc[wrong, "bad_price"] = True
    rows.loc[wrong, "bad"] = True
    first = int(places[0])
    cell = table[name].iloc[first]
    cell = str(cell) if isinstance(cell, float) else cell
    count = len(places)
    more = "" if count == 1 else f" (and {count - 1} more rows of the file)"
    line, instrument = int(rows["line"].iloc[first]), str(rows["instrument"].iloc[first])
    reading.problems.append(SourceProblem(reading.file, line, instrument, f"{name} {cell!r} {what}{more}", count))
