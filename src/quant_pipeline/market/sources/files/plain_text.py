"""Text files of nothing but plain cells, read with their types by Arrow.

A file is plain where every line has the same cells, its dates are all ``2024-03-01`` or all ``20240301``, and its
numbers are finite and written out, ``12.5`` or ``1e3``. Each of its cells then means the same whatever stands beside
it, Arrow gives the values that the reader of texts gives, bit for bit, and what is added to the file can be read alone.
Everything else is left to the reader of texts.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from quant_pipeline.market.sources.files.header import Header
from quant_pipeline.market.sources.files.layouts import NUMBERS
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.recognition import Recognised, recognise_header

LATEST: Final = np.datetime64("2200-01-01")
_BLOCK: Final = 4 << 20
"""Bytes that Arrow reads at once: columns of a smaller text are whole arrays, which nothing has to put together."""
_MIDNIGHT: Final = {pa.scalar("000000")}
"""Time of day that daily files state."""


class PlainCells(NamedTuple):
    """The cells of a plain text.

    Attributes
    ----------
    table
        Dates as datetime64[ns], numbers as float64, everything else as text; one row per line.
    found
        What the header alone says.
    are_compact
        Whether dates are written without marks.
    """

    table: pd.DataFrame
    found: Recognised
    are_compact: bool


def plain_cells(
    content: bytes,
    separator: str,
    header: Header,
    options: FilesMarketParameters,
    skip: int,
    n_lines: int | None = None,
) -> PlainCells | None:
    """Read a plain text; None for every other one.

    Parameters
    ----------
    content
        Lines of the file, in UTF-8.
    separator, header
        What was found in its first lines.
    options
        Options of the market.
    skip
        Lines of the text before its first row.
    n_lines
        How many lines there are, where they were counted.
    """
    if header.levels or not may_be_plain(content, separator, options):
        return None
    names = list(header.names)
    found = recognise_header(header.names, header.layout, options)
    ours = found.columns
    if found.missing is not None or found.faults:
        return None
    numbers = [name for name in names if ours.get(name) in (*NUMBERS, "split")]
    types = {name: pa.float64() if name in numbers else pa.string() for name in names}
    date = next(name for name in names if ours.get(name) == "date")
    times = [name for name in names if ours.get(name) == "time"]
    if _may_be_days(content, separator, names.index(date), skip):
        types[date] = pa.date32()
    try:
        table = csv.read_csv(
            pa.py_buffer(content),
            csv.ReadOptions(use_threads=False, skip_rows=skip, column_names=names, block_size=_BLOCK),
            csv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
        are_compact = _are_compact(table[date])
        days = _days(table[date], are_compact)
    except pa.ArrowInvalid:
        return None
    if n_lines is None:
        n_lines = count_ends(content) + (content[-1:] != b"\n")
    if days is None or table.num_rows != n_lines - skip or any(set(table[name].unique()) - _MIDNIGHT for name in times):
        return None
    read: dict[str, Any] = {name: table[name].to_numpy() for name in numbers}
    if not all(np.isfinite(values).all() for values in read.values()):
        return None
    read |= {name: table[name].to_pandas().astype("str") for name in names if name not in (date, *numbers)}
    columns = {name: days if name == date else read[name] for name in names}
    return PlainCells(pd.DataFrame(columns, copy=False), found, are_compact)


def count_ends(content: bytes) -> int:
    """Count the ends of lines."""
    return int(np.count_nonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n")))


def may_be_plain(content: bytes, separator: str, options: FilesMarketParameters) -> bool:
    """Whether nothing shows already that a text is not plain: quotes, blanks that are cut off, marks, own formats."""
    # A single sign is found ten times as fast as two.
    odd = (b'"', b"\0", *((f"{separator} ".encode(), b"\n ") if b" " in content else ()))
    return (
        bool(content)
        and len(separator) == 1
        and separator.isascii()
        and options.date_format is None
        and options.decimal in (None, ".")
        and not any(sign in content for sign in odd)
        and (b"\r" not in content or content.count(b"\r") == content.count(b"\r\n"))
    )


def _may_be_days(content: bytes, separator: str, place: int, skip: int) -> bool:
    """Whether Arrow may read dates as such: the first one has marks, and no blanks around others would be cut off."""
    start = 0
    for _ in range(skip):
        start = content.find(b"\n", start) + 1
    end = content.find(b"\n", start)
    cells = content[start : end if end >= 0 else None].rstrip(b"\r").split(separator.encode())
    is_one = place < len(cells) and len(cells[place]) == len("2024-03-01")
    return is_one and b" " not in content and b"\t" not in content


def _are_compact(column: pa.ChunkedArray) -> bool:
    if pa.types.is_date32(column.type):
        return False
    if len(column) and len(column[0].as_py()) != len("20240301"):
        return False
    return bool(pc.all(pc.match_substring_regex(column, "^[0-9]{8}$")).as_py())


def _days(column: pa.ChunkedArray, are_compact: bool) -> np.ndarray | None:
    """Return midnights of texts that are dates of one form, of a year that both readers take for one; else None."""
    if not len(column):
        return None
    earliest = np.datetime64("1800-01-01" if are_compact else "1700-01-01")
    if are_compact:
        stamps = pc.strptime(column, format="%Y%m%d", unit="s")
        # Arrow takes the last of February for a later day where there is none.
        if not pc.all(pc.equal(pc.strftime(stamps, format="%Y%m%d"), column)).as_py():
            return None
        days = stamps.to_numpy().astype("datetime64[D]")
    elif pa.types.is_date32(column.type):
        days = column.to_numpy()
    elif pc.all(pc.equal(pc.binary_length(column), 10)).as_py():
        days = column.cast(pa.date32()).to_numpy().astype("datetime64[D]")
    else:
        return None
    return days.astype("datetime64[ns]") if earliest < days.min() and days.max() < LATEST else None
