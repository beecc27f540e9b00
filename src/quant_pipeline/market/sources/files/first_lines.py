"""The first lines of a text file: what cuts them into cells, and the header among them."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

from quant_pipeline.common.text_lines import count_blank_lines, end_of_lines, first_lines_of
from quant_pipeline.market.sources.files.header import Header, find_header
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.raw_table import FIRST_LINES
from quant_pipeline.market.sources.files.text_rows import cut_lines

SEPARATORS = (",", ";", "\t", "|")


def separator_of(text: str) -> str:
    """Return the sign that cuts the first lines into the same, largest number of cells."""
    first = first_lines_of(text, FIRST_LINES, 20_000)
    lines = [line for line in first if line.strip()][:-1] or first_lines_of(text, 1, len(text))
    scores = {}
    for sign in SEPARATORS:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=sign, skipinitialspace=True))
        width, rows = max(widths.items(), key=lambda item: (item[1] if item[0] > 1 else 0, item[0]), default=(1, 0))
        scores[sign] = (width > 1) * rows * 1000 + width
    return max(scores, key=lambda sign: scores[sign])


class FirstRows(NamedTuple):
    """Cells of the first rows, and how many lines of the text there are up to the end of each."""

    cells: list[list[str]]
    ends: list[int]


def first_rows(text: str, separator: str) -> FirstRows:
    """Return the first rows of a text, of which one may go over several lines where a cell is quoted."""
    rows = cut_lines(first_lines_of(text, FIRST_LINES, 200_000), separator)
    return FirstRows([[cell.strip() for cell in row.cells] for row in rows], [row.end for row in rows])


def header_of(text: str, separator: str, options: FilesMarketParameters) -> Header:
    """Find the header of a text, and how many lines of the text there are before it and before its rows.

    Blank lines below the header are before its rows.
    """
    rows = first_rows(text, separator)
    header = find_header(rows.cells, options.columns)
    ends = [0, *rows.ends]
    lines = ends[header.lines]
    lines += count_blank_lines(text, end_of_lines(text, lines))
    return replace(header, lines=lines, title_lines=ends[header.title_lines])


def title_of(text: str, header: Header) -> str:
    """Return the lines before the header as one."""
    return " ".join(first_lines_of(text, header.title_lines, len(text)))
