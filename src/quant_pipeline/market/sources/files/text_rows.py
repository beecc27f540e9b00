"""Rows of a text, one by one: which line each ends in, and which are damaged.

A row goes over several lines only where a quotation mark opens and closes a cell: one that is never closed would take
the lines below with it, to the next mark or to the end of the file.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from quant_pipeline.market.sources.files.raw_table import UnreadableFileError

if TYPE_CHECKING:
    import _csv

_ALONE = re.compile(r"\r(?!\r*(?:\n|\Z))")
_OF_WINDOWS = re.compile(r"\r+\n")
_CUT = "is cut by an end of line that the other lines do not have"
_OPEN = "has a quotation mark that is not closed"


class CutRow(NamedTuple):
    """Lines that were cut into cells.

    Attributes
    ----------
    cells
        The cells.
    end
        How many lines there are up to its end.
    is_open
        Whether a quotation mark of it is not closed.
    """

    cells: list[str]
    end: int
    is_open: bool


class TextRow(NamedTuple):
    """A row of a text.

    Attributes
    ----------
    line
        Line that it ends in, counted from 1.
    cells
        Its cells, without blanks around them.
    fault
        Why it is no whole row; empty where it is.
    """

    line: int
    cells: list[str]
    fault: str

    @property
    def is_blank(self) -> bool:
        """Whether none of its cells holds anything."""
        return not any(self.cells)


def has_mixed_ends(text: str) -> bool:
    """Whether some lines end in a carriage return alone, and others do not."""
    has_both = "\r" in text and "\n" in text
    return has_both and text.count("\r") > text.count("\r\n") and _ALONE.search(text) is not None


def has_rows_of_lines(text: str, n_rows: int) -> bool:
    """Whether a text that was cut into so many rows has rows of several lines, of which a mark may be unclosed."""
    n_lines = max(text.count("\n"), text.count("\r")) + (text[-1:] not in ("\n", "\r"))
    return n_rows < n_lines and '"' in text


def text_rows(text: str, separator: str, before: int = 0) -> list[TextRow]:
    """Return the rows of a text, blank ones too; a quoted cell may hold any end of line.

    Parameters
    ----------
    text
        Lines, of which most end alike.
    separator
        What cuts them into cells.
    before
        Lines of the file before the text.

    Raises
    ------
    UnreadableFileError
        When a cell is longer than 131,072 signs.
    """
    is_mixed = has_mixed_ends(text)
    lines = list(io.StringIO(_OF_WINDOWS.sub("\n", text) if is_mixed else text, newline=""))
    try:
        cut = cut_lines(lines, separator)
    except csv.Error as error:
        raise UnreadableFileError(f"is damaged: {error}") from error
    rows = [TextRow(before + row.end, [cell.strip() for cell in row.cells], _OPEN * row.is_open) for row in cut]
    if not is_mixed:
        return rows
    ends = [lines[row.end - 1][-1] for row in cut[:-1]]
    other = min("\r\n", key=ends.count)
    cuts = [False]
    for row, end in zip(rows, ends, strict=False):
        # A line of nothing but an end cuts no other, unless the one before was cut.
        cuts.append(end == other and (cuts[-1] or not row.is_blank))
    parts = zip(rows, pairwise([*cuts, False]), strict=True)
    return [row._replace(fault=_CUT) if any(around) else row for row, around in parts]


def cut_lines(lines: Sequence[str], separator: str) -> list[CutRow]:
    """Cut lines into rows, of which one goes over several only where its quotation marks open and close a cell.

    Raises
    ------
    csv.Error
        When a cell is longer than 131,072 signs.
    """
    try:
        reader = _reader(lines, separator)
        rows = [CutRow(cells, reader.line_num, False) for cells in reader]
        if len(rows) == len(lines) and not (lines and _is_open(lines[-1], separator)):
            return rows
    except csv.Error:
        # What an unclosed mark takes with it may be longer than a cell can be.
        pass
    rows, start = [], 0
    while start < len(lines):
        n_lines = _lines_of_row(lines, start, separator)
        is_open = n_lines == 1 and _is_open(lines[start], separator)
        rows.append(CutRow(next(_reader(lines[start : start + n_lines], separator)), start + n_lines, is_open))
        start += n_lines
    return rows


def _lines_of_row(lines: Sequence[str], start: int, separator: str) -> int:
    reader = _reader(map(lines.__getitem__, range(start, len(lines))), separator)
    try:
        next(reader)
    except csv.Error:
        return 1
    return reader.line_num if _is_closed(lines[start : start + reader.line_num], separator) else 1


def _is_closed(lines: Sequence[str], separator: str) -> bool:
    try:
        return len(lines) == 1 or len(list(_reader(lines, separator, strict=True))) == 1
    except csv.Error:
        return False


def _is_open(line: str, separator: str) -> bool:
    """Whether a quotation mark of a line would take the next one with it."""
    return '"' in line and len(list(_reader([line, "x"], separator))) == 1


def _reader(lines: Sequence[str] | Iterator[str], separator: str, strict: bool = False) -> _csv.Reader:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=strict)
