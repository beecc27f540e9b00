"""Workbooks: the sheets that hold bars, one table or one instrument a sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.market.sources.files.header import Header, find_header
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
    sheets = pd.read_excel(io.BytesIO(content), header=None, dtype=object, sheet_name=None)
    headers = {name: _header_of(cells, own) for name, cells in sheets.items() if not cells.empty}
    if not headers:
        raise UnreadableFileError("is empty")
    known = [name for name, header in headers.items() if header.is_known] or list(headers)[:1]
    if not headers[known[0]].names:
        raise UnreadableFileError(headers[known[0]].fault)
    parts = {str(name): _sheet(str(name), sheets[name], headers[name]) for name in known}
    if len(parts) == 1:
        return next(iter(parts.values()))
    columns = {tuple(map(str, part.table.columns)) for part in parts.values()}
    if len(columns) > 1:
        raise UnreadableFileError(
            f"has {len(parts)} sheets with bars ({first_of(parts)}) of different columns; save each as a file"
        )
    adjusted = {adjustment_said(part.title)[0] for part in parts.values()}
    if len(adjusted) > 1:
        raise UnreadableFileError(
            f"has {len(parts)} sheets with bars ({first_of(parts)}), and not all say the same adjustment of prices; "
            "save each as a file"
        )
    names = {str(column).strip().lower() for column in next(iter(parts.values())).table.columns}
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
        dates = [part.table[column] for column in part.table if CANONICAL.get(str(column).strip().lower()) == "date"]
        if not dates or not re.fullmatch(r"(19|20)\d\d", name):
            return False
        if not dates[0].dropna().astype("str").str.contains(name, regex=False).all():
            return False
    return True


def _header_of(cells: pd.DataFrame, own: Mapping[str, str]) -> Header:
    return find_header([_texts(row) for row in cells.head(FIRST_LINES).to_numpy()], own)


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
