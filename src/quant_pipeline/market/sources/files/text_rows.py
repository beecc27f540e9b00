"""Rows of a text, one by one: which line each ends in, and whether an end of another kind has cut it."""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise
from typing import NamedTuple

from quant_pipeline.market.sources.files.raw_table import UnreadableFileError

_ALONE = re.compile(r"\r(?!\r*(?:\n|\Z))")
_OF_WINDOWS = re.compile(r"\r+\n")
OTHER_END = "is cut by an end of line that the other lines do not have"


class TextRow(NamedTuple):
    """A row of a text.

    Attributes
    ----------
    line
        Line that it ends in, counted from 1.
    cells
        Its cells, without blanks around them.
    is_cut
        Whether it is a part of a line, before or after an end of another kind than that of most lines.
    """

    line: int
    cells: list[str]
    is_cut: bool

    @property
    def is_blank(self) -> bool:
        """Whether none of its cells holds anything."""
        return not any(self.cells)


def has_mixed_ends(text: str) -> bool:
    """Whether some lines end in a carriage return alone, and others do not."""
    has_both = "\r" in text and "\n" in text
    return has_both and text.count("\r") > text.count("\r\n") and _ALONE.search(text) is not None


def text_rows(text: str, separator: str, before: int = 0, strict: bool = False) -> list[TextRow]:
    """Return the rows of a text, blank ones too; a quoted cell may hold any end of line.

    Parameters
    ----------
    text
        Lines, of which most end alike.
    separator
        What cuts them into cells.
    before
        Lines of the file before the text.
    strict
        Whether a quotation mark has to be closed where its cell ends.

    Raises
    ------
    UnreadableFileError
        When a cell is longer than 131,072 signs, or a mark is not closed that has to be.
    """
    is_mixed = has_mixed_ends(text)
    lines = list(io.StringIO(_OF_WINDOWS.sub("\n", text) if is_mixed else text, newline=""))
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=strict)
    try:
        rows = [TextRow(before + reader.line_num, [cell.strip() for cell in row], False) for row in reader]
    except csv.Error as error:
        raise UnreadableFileError(f"is damaged in line {before + reader.line_num}: {error}") from error
    if not is_mixed:
        return rows
    ends = [lines[row.line - before - 1][-1] for row in rows[:-1]]
    other = min("\r\n", key=ends.count)
    cuts = [False]
    for row, end in zip(rows, ends, strict=False):
        # A line of nothing but an end cuts no other, unless the one before was cut.
        cuts.append(end == other and (cuts[-1] or not row.is_blank))
    return [row._replace(is_cut=any(cut)) for row, cut in zip(rows, pairwise([*cuts, False]), strict=True)]
