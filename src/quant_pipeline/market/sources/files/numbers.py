"""Numbers as people and vendors write them; what cannot be read is marked, never taken as none."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd

MISSING = frozenset({"", "nan", "null", "none", "n/a", "na", "-", "--", "—", "#n/a", "nil", "<na>", "nat"})
_SCALES = {"K": 3, "M": 6, "B": 9, "T": 12, "万": 4, "亿": 8}
_CURRENCY = r"[$€£¥₹₩]|US\$|HK\$|USD|EUR|GBP|JPY|CNY|RMB|HKD|INR|CAD|AUD|CHF|SEK|NOK|DKK|SGD|KRW|BRL|USDT"
_WITH_CURRENCY = re.compile(rf"(?P<sign>[-+]?)\s*(?P<before>{_CURRENCY})?\s*(?P<number>.*?)\s*(?P<after>{_CURRENCY})?")
_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_SPLIT = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?::|/|-?\s*for\s*-?)\s*(\d+(?:[.,]\d+)?)", re.IGNORECASE)
_GROUPED_BY_COMMA = re.compile(r"\d{1,3}(,\d{3})+")
_DECIMAL_POINT = re.compile(r"\d{1,3}(,\d{3})+\.\d*|\d{1,3}(,\d{3}){2,}|\d{4,}\.\d+|\d+\.(\d{1,2}|\d{4,})")
_DECIMAL_COMMA = re.compile(r"\d{1,3}(\.\d{3})+,\d*|\d{1,3}(\.\d{3}){2,}|\d{4,},\d+|\d+,(\d{1,2}|\d{4,})")


class Numbers(NamedTuple):
    """A column of numbers.

    Attributes
    ----------
    values
        float64; missing where the cell is empty or cannot be read.
    unreadable
        Cells that hold something which is no finite number.
    """

    values: np.ndarray
    unreadable: np.ndarray


def read_numbers(column: pd.Series, decimal: str = ".") -> Numbers:
    """Read a column of prices, volumes or amounts.

    Parameters
    ----------
    column
        Numbers or texts such as ``1361.3``, ``$1,361.30``, ``2.33M``, ``0.25 USD``.
    decimal
        Decimal mark, ``.`` or ``,``; the other one separates thousands.
    """
    return _read(column, decimal, _number)


def read_splits(column: pd.Series, decimal: str = ".") -> Numbers:
    """Read a column of split ratios, new shares per share: ``2``, ``2:1``, ``2-for-1``; 0 and empty are none, 1.0."""
    found = _read(column, decimal, _ratio)
    none = (found.values == 0) | (np.isnan(found.values) & ~found.unreadable)
    return Numbers(np.where(none, 1.0, found.values), found.unreadable)


def is_number(text: str) -> bool:
    """Whether a text is a number by either decimal mark."""
    return any(np.isfinite(_number(text.strip(), mark)) for mark in ".,")


def decimal_mark(columns: list[pd.Series]) -> str | None:
    """Find the decimal mark of a text file from all its numbers.

    Returns
    -------
    str or None
        ``.`` or ``,``; None when commas are there and nothing says what they are, or the numbers contradict.
    """
    with_comma = pd.concat([texts[texts.str.contains(",", regex=False)] for texts in map(_texts, columns)])
    if with_comma.empty:
        return "."
    others = pd.concat([texts[texts.str.contains(".", regex=False)] for texts in map(_texts, columns)])
    numbers = {re.sub(r"[^\d.,]", "", text) for text in pd.concat([with_comma, others]).unique()}
    point = any(_DECIMAL_POINT.fullmatch(text) for text in numbers)
    comma = any(_DECIMAL_COMMA.fullmatch(text) for text in numbers)
    return None if point == comma else "." if point else ","


def _texts(column: pd.Series) -> pd.Series:
    return column.dropna().astype("str") if not pd.api.types.is_numeric_dtype(column) else pd.Series([], dtype="str")


def _read(column: pd.Series, decimal: str, read: object) -> Numbers:
    if pd.api.types.is_bool_dtype(column):
        return Numbers(np.full(len(column), np.nan), np.ones(len(column), dtype=bool))
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return _finite(values, np.zeros(len(values), dtype=bool))
    plain = _plain(column) if decimal == "." else None
    if plain is not None:
        return Numbers(plain, np.zeros(len(plain), dtype=bool))
    if not pd.api.types.is_string_dtype(column):
        column = column.map(lambda cell: "" if cell is None or cell is pd.NaT else str(cell))
    texts = column.fillna("").astype("str").str.strip()
    values = np.full(len(texts), np.nan)
    rest = np.ones(len(texts), dtype=bool)
    if decimal == ".":
        values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64).copy()
        rest = np.isnan(values)
    unreadable = np.zeros(len(texts), dtype=bool)
    if rest.any():
        left = texts[rest]
        known = {text: read(text, decimal) for text in left.unique()}  # type: ignore[operator]
        read_values = left.map(lambda text: known[text]).to_numpy(dtype=np.float64, na_value=np.nan)
        values[rest] = read_values
        unreadable[rest] = np.isnan(read_values) & ~left.str.lower().isin(MISSING).to_numpy()
    return _finite(values, unreadable)


def _plain(column: pd.Series) -> np.ndarray | None:
    """Return a column of nothing but finite numbers without any decoration; None for every other one."""
    cells = column.to_numpy(dtype=object)
    try:
        values = np.array(cells, dtype=np.float64)
        # Python's float takes 1_000 for a number, and figures of other scripts.
        is_plain = np.isfinite(values).all() and (text := "".join(cells)).isascii() and "_" not in text
    except (TypeError, ValueError):
        return None
    return values if is_plain else None


def _finite(values: np.ndarray, unreadable: np.ndarray) -> Numbers:
    infinite = np.isinf(values)
    return Numbers(np.where(infinite, np.nan, values), unreadable | infinite)


def _number(text: str, decimal: str) -> float:
    negative = text.startswith("(") and text.endswith(")")
    parts = _WITH_CURRENCY.fullmatch(text[1:-1] if negative else text)
    if parts is None or (parts["before"] and parts["after"]):
        return np.nan
    number = parts["number"].replace("\u00a0", " ").replace("\u202f", " ")
    scale = _SCALES.get(number[-1:].upper(), 0)
    number = _without_groups((number[:-1] if scale else number).strip(), decimal)
    if not _NUMBER.fullmatch(number):
        # Two signs, two marks, or no number at all.
        return np.nan
    value = float(Decimal(parts["sign"] + number) * 10**scale) if scale else float(parts["sign"] + number)
    return -value if negative else value


def _without_groups(number: str, decimal: str) -> str:
    if decimal == ",":
        number = number.replace(".", "\0").replace(",", ".").replace("\0", ",")
    whole, point, fraction = number.partition(".")
    grouped = re.sub(r"(?<=\d)[ '](?=\d{3}(\D|$))", ",", whole)
    if "," in grouped and _GROUPED_BY_COMMA.fullmatch(grouped.lstrip("+-")):
        whole = grouped.replace(",", "")
    return whole + point + fraction


def _ratio(text: str, decimal: str) -> float:
    pair = _SPLIT.fullmatch(text)
    if pair is None:
        return _number(text, decimal)
    new, old = (float(part.replace(",", ".")) for part in pair.groups())
    return new / old if old else np.nan
