"""Published factors: daily files as Kenneth French's data library has them.

A file begins with sentences, then comes a header such as ``,Mkt-RF,SMB,HML,RF``, then a row per day, ``20240102, -0.70,
-1.03, 1.61, 0.022``, in per cent; -99.99 and -999 mean that a value is missing. Monthly rows, an annual section and a
copyright may follow. Source: https://mba.tuck.dartmouth.edu/pages/faculty/ken.french/data_library.html.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.text_lines import lines_of

MISSING = (-99.99, -999.0)
LARGEST = 60.0
"""Per cent that no factor has moved in a day; more is a mistake of the file."""
LIKE_FRACTIONS = 0.05
"""Deviation of the market in per cent below which values are fractions: it never moved so little."""
RISK_FREE = "RF"
"""Column of the return without risk: no factor, but what is taken off the returns that factors explain."""
_DAY = re.compile(r"\d{8}$")
_BEGINS_WITH_DAY = re.compile(r"\s*\d{8}")
_HAS_PERIOD = re.compile(r"\d{4}(\d{2}){0,2}$")


def read_published_factors(text: str, name: str) -> pd.DataFrame:
    """Read the daily factors of a file.

    Parameters
    ----------
    text
        The file.
    name
        Its name, for messages.

    Returns
    -------
    pandas.DataFrame
        Indexed by date: fractions; missing values are NaN. The return without risk is the column `RISK_FREE`.

    Raises
    ------
    MarketDataError
        When it has no header, no daily rows, a row that cannot be read (also one that would end the daily rows before
        the last of them), a date twice or out of order, values that cannot be, or values in fractions; the message
        names the row.
    """
    lines = lines_of(text)
    start, columns = _header(lines, name)
    rows: list[list[float]] = []
    dates: list[pd.Timestamp] = []
    for number, line in enumerate(lines[start + 1 :], start=start + 2):
        cells = [cell.strip() for cell in line.split(",")]
        if not rows and not any(cells):
            continue
        if not _HAS_PERIOD.match(cells[0]):
            # The section is over: a blank line, the annual factors, the copyright.
            _refuse_cut(lines, number, columns, name)
            break
        dates.append(_date(cells[0], dates, f"{name}, row {number}"))
        rows.append(_values(cells[1:], columns, f"{name}, row {number}"))
    if not rows:
        raise MarketDataError(f"{name} has no rows below its header; download the daily file of the data library")
    table = pd.DataFrame(rows, index=pd.DatetimeIndex(dates, name="date"), columns=columns)
    _refuse_fractions(table, name)
    return table / 100.0


def _header(lines: list[str], name: str) -> tuple[int, list[str]]:
    for number, line in enumerate(lines):
        cells = [cell.strip() for cell in line.split(",")]
        if _is_header(cells):
            names = [RISK_FREE if cell.upper() == RISK_FREE else cell for cell in cells[1:]]
            if len(set(names)) < len(names):
                raise MarketDataError(f"{name}, row {number + 1}: a factor is named twice; leave one column out")
            return number, names
    raise MarketDataError(
        f"{name} has no header such as `,Mkt-RF,SMB,HML,RF`; give a CSV file of Kenneth French's data library"
    )


def _is_header(cells: list[str]) -> bool:
    return cells[0] in ("", "date", "Date") and len(cells) > 1 and all(cells[1:]) and not _is_number(cells[1])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _refuse_cut(lines: list[str], end: int, columns: list[str], name: str) -> None:
    """Refuse a line that seems to end the daily rows, and is a row that cannot be read or has days after it."""
    cells = [cell.strip() for cell in lines[end - 1].split(",")]
    if len(cells) == len(columns) + 1 and all(map(_is_number, cells[1:])):
        raise MarketDataError(f"{name}, row {end}: '{cells[0]}' is no date; correct or remove the row")
    for number, line in enumerate(lines[end:], start=end + 1):
        if _is_header([cell.strip() for cell in line.split(",")]):
            return
        if _BEGINS_WITH_DAY.match(line):
            what = f"'{cells[0]}' is no date" if any(cells) else "it is empty"
            raise MarketDataError(
                f"{name}, row {end}: {what}, and days go on in row {number}; correct or remove row {end}"
            )


def _date(cell: str, before: list[pd.Timestamp], place: str) -> pd.Timestamp:
    if not _DAY.match(cell):
        raise MarketDataError(f"{place}: '{cell}' is no day; download the daily file, not the monthly or annual one")
    try:
        day = pd.to_datetime(cell, format="%Y%m%d")
    except ValueError as error:
        raise MarketDataError(f"{place}: '{cell}' is no date; correct or remove the row") from error
    if before and day <= before[-1]:
        raise MarketDataError(f"{place}: {cell} comes after {before[-1]:%Y%m%d}; each day stands once, in order")
    return day


def _values(cells: list[str], columns: list[str], place: str) -> list[float]:
    if len(cells) != len(columns):
        raise MarketDataError(f"{place} has {len(cells)} values for {len(columns)} factors; correct or remove the row")
    values = []
    for cell, column in zip(cells, columns, strict=True):
        try:
            value = float(cell)
        except ValueError as error:
            raise MarketDataError(f"{place}, column {column}: '{cell}' is no number; correct or remove it") from error
        if value in MISSING:
            value = np.nan
        elif not abs(value) <= LARGEST:
            raise MarketDataError(f"{place}, column {column}: {cell} per cent in a day cannot be; correct or remove it")
        values.append(value)
    return values


def _refuse_fractions(table: pd.DataFrame, name: str) -> None:
    moved = table.iloc[:, 0].dropna()
    if len(moved) >= 20 and float(moved.std()) < LIKE_FRACTIONS:
        raise MarketDataError(
            f"{name}: {table.columns[0]} moves by {float(moved.std()):.4f} per cent a day, so its values seem to be "
            "fractions; Kenneth French's files are in per cent"
        )
