"""Workbooks: the sheets that hold bars, one table or one instrument a sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from quant_pipeline.market.sources.files.header import Header, find_header, header_at
from quant_pipeline.market.sources.files.instrument_names import adjustment_said
from quant_pipeline.market.sources.files.layouts import CANONICAL
from quant_pipeline.market.sources.files.raw_table import FIRST_LINES, RawTable, UnreadableFileError
from quant_pipeline.market.sources.files.wide import stack_instruments


def read_workbook(content: bytes, own: Mapping[str, str]) -> RawTable:
    """Read the sheets that hold bars; several are one instrument each, called as the sheet, unless a column says.

    Parameters
    ----------
    content
        The file.
    own
        Column names that the user maps, ours to the file's.
    """
    sheets = _sheets_of(content)
    headers = {name: find_header(_first_rows(cells), own) for name, cells in sheets.items()}
    known = [name for name, header in headers.items() if header.is_known] or list(headers)[:1]
    if not headers[known[0]].names:
        raise UnreadableFileError(headers[known[0]].fault)
    parts = {name: _sheet(name, sheets[name], headers[name]) for name in known}
    if len(parts) == 1:
        return next(iter(parts.values()))
    columns = {tuple(map(str, part.table.columns)) for part in parts.values()}
    if len(columns) > 1:
        raise UnreadableFileError(
            f"has {len(parts)} sheets with bars ({', '.join(parts)}) of different columns; save each as a file"
        )
    adjusted = {adjustment_said(part.title)[0] for part in parts.values()}
    if len(adjusted) > 1:
        raise UnreadableFileError(
            f"has {len(parts)} sheets with bars ({', '.join(parts)}), and not all say the same adjustment of prices; "
            "save each as a file"
        )
    names = {_spelt(column) for column in next(iter(parts.values())).table.columns}
    if not any(CANONICAL.get(name) == "instrument" for name in names) and not _are_years(parts):
        for name, part in parts.items():
            part.table["symbol"] = pd.array([name] * len(part.table), dtype="str")
    first = next(iter(parts.values()))
    table = pd.concat([part.table for part in parts.values()], ignore_index=True)
    lines, title = np.concatenate([part.lines for part in parts.values()]), "; ".join(p.title for p in parts.values())
    return RawTable(table, lines, first.layout, has_commas=True, title=title)


def _are_years(parts: dict[str, RawTable]) -> bool:
    """Whether each sheet is called after the year of its dates, so that all are bars of one instrument."""
    for name, part in parts.items():
        dates = [part.table[column] for column in part.table if CANONICAL.get(_spelt(column)) == "date"]
        if not dates or not re.fullmatch(r"(19|20)\d\d", name):
            return False
        if not dates[0].dropna().astype("str").str.contains(name, regex=False).all():
            return False
    return True


def read_list(content: bytes, names: Mapping[str, str], keys: Collection[str]) -> RawTable:
    """Read the sheets that hold a list, each below the row that is its header; a title may stand above.

    Parameters
    ----------
    content
        The file.
    names
        Names that columns may have, in small letters, to ours; the row of a sheet that has most of them is its header.
    keys
        Our names of which a list has one, beside others: a sheet without is none, such as a summary or a legend.

    Raises
    ------
    UnreadableFileError
        When several sheets hold lists of different columns.
    """
    parts, known = {}, {}
    for name, cells in _sheets_of(content).items():
        rows = [row[: _width(row)] for row in _first_rows(cells)]
        ours = [{names[cell.lower()] for cell in row if cell.lower() in names} for row in rows]
        place = max(range(len(rows)), key=lambda place: len(ours[place]))
        parts[name], known[name] = _sheet(name, cells, header_at(rows, place)), ours[place]
    filled = [name for name, part in parts.items() if len(part.table)] or list(parts)
    lists = [name for name in filled if len(known[name]) > 1 and not known[name].isdisjoint(keys)]
    if len(lists) < 2:
        return parts[lists[0] if lists else max(filled, key=lambda name: len(known[name]))]
    found = [parts[name] for name in lists]
    if len({tuple(map(_spelt, part.table.columns)) for part in found}) > 1:
        raise UnreadableFileError(f"has {len(lists)} sheets with lists ({', '.join(lists)}) of different columns")
    tables = [part.table.set_axis(found[0].table.columns, axis=1) for part in found]
    lines = np.concatenate([part.lines for part in found])
    return RawTable(pd.concat(tables, ignore_index=True), lines, has_commas=True, title=found[0].title)


def _width(row: Sequence[str]) -> int:
    return max((place + 1 for place, cell in enumerate(row) if cell), default=0)


def _spelt(column: object) -> str:
    return str(column).strip().lower()


def is_workbook(content: bytes) -> bool:
    """Whether bytes are those of a workbook."""
    return content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))


def _sheets_of(content: bytes) -> dict[str, pd.DataFrame]:
    sheets = pd.read_excel(io.BytesIO(content), header=None, dtype=object, sheet_name=None)
    filled = {str(name): cells for name, cells in sheets.items() if not cells.empty}
    if not filled:
        raise UnreadableFileError("is empty")
    return filled


def _first_rows(cells: pd.DataFrame) -> list[list[str]]:
    return [_texts(row) for row in cells.head(FIRST_LINES).to_numpy()]


def _texts(cells: np.ndarray) -> list[str]:
    return ["" if pd.isna(cell) else str(cell).strip() for cell in cells]


def _sheet(name: str, cells: pd.DataFrame, header: Header) -> RawTable:
    above = [cell for row in cells.head(header.title_lines).to_numpy() for cell in _texts(row) if cell]
    table = cells.iloc[header.lines :, : len(header.names)].reset_index(drop=True)
    table.columns = header.columns()
    lines = np.arange(len(table)) + header.lines + 1
    filled = table.notna().any(axis=1).to_numpy()
    table, lines = table[filled].infer_objects().reset_index(drop=True), lines[filled]
    if header.levels:
        table, lines = stack_instruments(table, lines)
    return RawTable(table, lines, header.layout, has_commas=True, title=" ".join([name, *above]))
