"""Dates as people and vendors write them, decided over a whole column."""

from __future__ import annotations

import datetime
import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

_DAY_NS = 86_400 * 10**9
_EPOCHS = (
    (3_650, 25_568, _DAY_NS),
    (10**8, 5 * 10**9, 10**9),
    (10**11, 5 * 10**12, 10**6),
    (10**14, 5 * 10**15, 10**3),
    (10**17, 5 * 10**18, 1),
)
"""Smallest and largest number, and its nanoseconds: days, seconds, milli-, micro-, nanoseconds since 1970."""
_EXCEL = (25_569, 60_000)
_COMPACT = (18_000_101, 22_001_231)
_EPOCH_OF_EXCEL = pd.Timestamp("1899-12-30")
YEARS = (1700, 2200)
"""First and last year of a date: nanoseconds, which wrap silently, reach from 1678 to 2261."""

_TIME = r"(?:[T ]+(?P<hour>\d{1,2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:\.\d+)?)?)?"
_ZONE = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}(?::\d{2})?)?"
_ZONE_AT_END = r"(Z|[+-]\d{2}:?\d{2}(?::?\d{2})?)$"
_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})(?P<mark>[-/.]) ?(?P<a>\d{{1,2}})(?P=mark) ?(?P<b>\d{{1,2}}){_TIME}{_ZONE}"
)
_TOGETHER = re.compile(rf"(?P<year>\d{{4}})(?P<a>\d{{2}})(?P<b>\d{{2}})(?:{_TIME}|\d{{4}}|\d{{6}}){_ZONE}")
_CHINESE = re.compile(rf"(?P<year>\d{{4}})年(?P<a>\d{{1,2}})月(?P<b>\d{{1,2}})日{_TIME}{_ZONE}")
_YEAR_LAST = re.compile(
    rf"(?P<a>\d{{1,2}})(?P<mark>[-/.])(?P<b>\d{{1,2}})(?P=mark)(?P<year>\d{{4}}|\d{{2}}){_TIME}{_ZONE}"
)
_DAY_NAME_YEAR = re.compile(
    rf"(?P<a>\d{{1,2}})[- /.]+(?P<name>[A-Za-z]{{3,9}})\.?[- /.,]+(?P<year>\d{{4}}|\d{{2}}){_TIME}{_ZONE}"
)
_NAME_DAY_YEAR = re.compile(rf"(?P<name>[A-Za-z]{{3,9}})\.?[- ]+(?P<a>\d{{1,2}}),?[- ]+(?P<year>\d{{4}}){_TIME}{_ZONE}")
_WEEKDAY = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+", re.IGNORECASE)
_MONTHS = {
    name: month
    for month, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
            "sep sept september", "oct october", "nov november", "dec december",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip


class Dates(NamedTuple):
    """A column of dates.

    Attributes
    ----------
    values
        datetime64[ns]: midnights; where `kind` is ``local`` with the time of day, where it is ``instant`` in UTC.
    kind
        ``date``, ``local`` or ``instant``.
    timed
        Rows with a time of day in a column of dates: live quotes.
    unreadable
        Cells that are no date.
    ambiguous
        Whether nothing says which number is the day; `values` are missing then.
    day_first
        Whether the day comes first, where the column says so.
    """

    values: np.ndarray
    kind: str
    timed: np.ndarray
    unreadable: np.ndarray
    ambiguous: bool = False
    day_first: bool | None = None


class _Parts(NamedTuple):
    local: np.ndarray
    offset: np.ndarray
    """Seconds east of Greenwich; nan where the text names no zone."""
    ambiguous: bool = False
    day_first: bool | None = None


def read_dates(column: pd.Series, date_format: str | None = None, day_first: bool | None = None) -> Dates:
    """Read a column of dates.

    Parameters
    ----------
    column
        Texts, dates, time stamps, or numbers: YYYYMMDD, days of Excel, or time since 1970, by their magnitude.
    date_format
        Format for `datetime.strptime`.
    day_first
        Which number is the day where no row says so.
    """
    parts = _numbers(column) if date_format is None else None
    if parts is None:
        parts = _stamps(column) if date_format is None else None
    if parts is None:
        parts = _texts(column, date_format, day_first)
    local = parts.local
    unreadable = np.isnat(local)
    midnight = local.astype("datetime64[D]").astype("datetime64[ns]")
    timed = (local != midnight) & ~unreadable
    if not timed.any():
        return Dates(midnight, "date", timed, unreadable, parts.ambiguous, parts.day_first)
    few = timed.sum() <= max(1, 0.02 * len(local))
    if few and not timed.all():
        return Dates(midnight, "date", timed, unreadable, parts.ambiguous, parts.day_first)
    none = np.zeros(len(local), dtype=bool)
    if np.isnan(parts.offset[~unreadable]).any():
        return Dates(local, "local", none, unreadable, parts.ambiguous, parts.day_first)
    seconds = np.nan_to_num(parts.offset).astype("int64")
    return Dates(
        local - seconds.astype("timedelta64[s]"), "instant", none, unreadable, parts.ambiguous, parts.day_first
    )


def _numbers(column: pd.Series) -> _Parts | None:
    """Read numbers as dates, all by one unit; None when the column holds no numbers."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        exact = pd.array(column.to_numpy(na_value=0) if not column.isna().any() else np.nan_to_num(numbers))
        whole = np.where(np.abs(numbers) < 2**62, np.asarray(exact), 0).astype("int64")
    else:
        if not any(str(cell).strip().removesuffix(".0").isdigit() for cell in column.iloc[:5]):
            return None
        texts = column.astype("str").str.strip().str.removesuffix(".0")
        digits = texts.str.fullmatch(r"\d{4,18}|[1-8]\d{18}").fillna(False).to_numpy(dtype=bool)
        if not digits.any() or digits.mean() < 0.5:
            return None
        numbers = np.where(digits, 0.0, np.nan)
        whole = np.zeros(len(texts), dtype="int64")
        whole[digits] = texts[digits].astype("int64").to_numpy()
        numbers[digits] = whole[digits].astype(np.float64)
    known = ~np.isnan(numbers)
    local = np.full(len(numbers), np.datetime64("NaT", "ns"))
    offset = np.full(len(numbers), np.nan)
    if known.any():
        middle = float(np.median(numbers[known]))
        if _COMPACT[0] <= middle <= _COMPACT[1]:
            stamps = pd.to_datetime(pd.Series(whole).astype("str"), format="%Y%m%d", errors="coerce")
            local = _in_reach(stamps.to_numpy())
            local[~known] = np.datetime64("NaT")
        elif _EXCEL[0] <= middle <= _EXCEL[1]:
            fits = known & (numbers >= _EXCEL[0]) & (numbers <= _EXCEL[1])
            local[fits] = _EPOCH_OF_EXCEL.to_datetime64() + (whole[fits] * _DAY_NS).astype("timedelta64[ns]")
        for least, most, unit in _EPOCHS:
            if least <= middle <= most:
                fits = known & (numbers >= least) & (numbers <= most)
                exact_ns = whole[fits] * unit
                local[fits] = exact_ns.astype("datetime64[ns]")
                offset[fits] = 0.0
    return _Parts(local, offset)


def _stamps(column: pd.Series) -> _Parts | None:
    """Read time stamps with or without zone, and Python's dates."""
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return None
    if not pd.api.types.is_datetime64_any_dtype(column):
        cells = column.dropna()
        if cells.empty or not cells.map(lambda cell: isinstance(cell, (datetime.date, pd.Timestamp))).all():
            return None
        stamps = cells.map(pd.Timestamp)
        zoned = [stamp.tzinfo is not None for stamp in stamps]
        offsets = [
            stamp.utcoffset().total_seconds() if aware else np.nan for stamp, aware in zip(stamps, zoned, strict=True)
        ]
        local = pd.Series(pd.NaT, index=column.index, dtype="datetime64[ns]")
        local[cells.index] = [
            stamp.tz_localize(None).as_unit("ns") if YEARS[0] <= stamp.year <= YEARS[1] else pd.NaT for stamp in stamps
        ]
        offset = pd.Series(np.nan, index=column.index)
        offset[cells.index] = offsets
        return _Parts(local.to_numpy("datetime64[ns]"), offset.to_numpy())
    if isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_date(column.dtype.pyarrow_dtype):
        column = column.astype("datetime64[s]")
    return _of_one_zone(column)


def _of_one_zone(stamps: pd.Series) -> _Parts:
    local = stamps.dt.tz_localize(None).to_numpy()
    if stamps.dt.tz is None:
        return _Parts(_in_reach(local), np.full(len(local), np.nan))
    utc = stamps.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return _Parts(_in_reach(local), (local - utc) / np.timedelta64(1, "s"))


def _in_reach(moments: np.ndarray) -> np.ndarray:
    """Return moments of any unit in nanoseconds; those of a year that no date has are missing."""
    first, end = np.datetime64(f"{YEARS[0]}-01-01"), np.datetime64(f"{YEARS[1] + 1}-01-01")
    is_near = (moments >= first) & (moments < end)
    return np.where(is_near, moments, np.datetime64("NaT")).astype("datetime64[ns]")


def _texts(column: pd.Series, date_format: str | None, day_first: bool | None) -> _Parts:
    codes, unique = pd.factorize(column.astype("str").fillna("").str.strip().to_numpy(dtype=object))
    iso = _iso_days(unique) if date_format is None else None
    if iso is not None:
        return _Parts(iso[codes], np.full(len(codes), np.nan))
    found = pd.Index(unique)
    if date_format is not None:
        parts = _by_format(pd.Series(found, dtype="str"), date_format)
        return _Parts(parts.local[codes], parts.offset[codes])
    if len(found) and bool(found.str.fullmatch(r"\d{4}-\d{2}-\d{2}").all()):
        local = _in_reach(pd.to_datetime(pd.Series(found), format="%Y-%m-%d", errors="coerce").to_numpy())
        return _Parts(local[codes], np.full(len(codes), np.nan))
    pieces = [_pieces(text) for text in found]
    day_first, ambiguous = _decide_order(pieces, day_first)
    read = [_assemble(piece, day_first) for piece in pieces]
    local = np.array([moment for moment, _ in read], dtype="datetime64[ns]")
    offset = np.array([zone for _, zone in read], dtype=np.float64)
    return _Parts(local[codes], offset[codes], ambiguous, None if ambiguous else day_first)


def _by_format(texts: pd.Series, date_format: str) -> _Parts:
    """Read texts by a format, those of each zone apart: a zone with summer time has two."""
    parts = _Parts(np.full(len(texts), np.datetime64("NaT", "ns")), np.full(len(texts), np.nan))
    for _, group in texts.groupby(texts.str.extract(_ZONE_AT_END, expand=False).fillna("")):
        read = _of_one_zone(pd.to_datetime(group, format=date_format, errors="coerce"))
        parts.local[group.index], parts.offset[group.index] = read.local, read.offset
    return parts


def _iso_days(texts: np.ndarray) -> np.ndarray | None:
    """Return the days of texts that are all valid and YYYY-MM-DD; None for others."""
    if not len(texts) or any(len(text) != 10 or text[4] != "-" or not text.isascii() for text in texts):
        return None
    try:
        days = np.array(texts, dtype="datetime64[D]")
    except ValueError:
        return None
    return _in_reach(days)


@lru_cache(maxsize=200_000)
def _pieces(text: str) -> tuple[int, int, int, int, float, bool] | None:
    """Split a date into year, the two other numbers, seconds of the day, zone, and whether month and day are open."""
    weekday = _WEEKDAY.match(text)
    text = text[weekday.end() :] if weekday else text
    for pattern in (_YEAR_FIRST, _TOGETHER, _CHINESE):
        if (match := pattern.fullmatch(text)) is not None:
            return (int(match["year"]), int(match["a"]), int(match["b"]), *_time_of(match), False)
    if (match := _YEAR_LAST.fullmatch(text)) is not None:
        return (_full_year(match["year"]), int(match["a"]), int(match["b"]), *_time_of(match), True)
    for pattern in (_DAY_NAME_YEAR, _NAME_DAY_YEAR):
        match = pattern.fullmatch(text)
        if match is not None and match["name"].lower() in _MONTHS:
            month = _MONTHS[match["name"].lower()]
            return (_full_year(match["year"]), month, int(match["a"]), *_time_of(match), False)
    return None


def _full_year(year: str) -> int:
    number = int(year)
    return number if len(year) == 4 else number + (2000 if number < 69 else 1900)


def _time_of(match: re.Match[str]) -> tuple[int, float]:
    seconds = 0
    if match["hour"]:
        seconds = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"] or 0)
    zone = match["zone"]
    if zone is None:
        return seconds, np.nan
    if zone in ("Z", "UTC", "GMT"):
        return seconds, 0.0
    digits = zone[1:].replace(":", "")
    offset = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:6] or 0)
    return seconds, float(-offset if zone[0] == "-" else offset)


def _decide_order(
    pieces: list[tuple[int, int, int, int, float, bool] | None], day_first: bool | None
) -> tuple[bool | None, bool]:
    """Return whether the day comes first, and whether that stays open."""
    open_ones = [piece for piece in pieces if piece is not None and piece[5]]
    first = any(piece[1] > 12 for piece in open_ones)
    second = any(piece[2] > 12 for piece in open_ones)
    if not open_ones:
        return None, False
    if first != second:
        return first, False
    if first and second:
        # Both happen: rows of one order are unreadable in the other; the more frequent one is read.
        return sum(piece[1] > 12 for piece in open_ones) >= sum(piece[2] > 12 for piece in open_ones), False
    return day_first, day_first is None


def _assemble(
    piece: tuple[int, int, int, int, float, bool] | None, day_first: bool | None
) -> tuple[np.datetime64, float]:
    none = (np.datetime64("NaT", "ns"), np.nan)
    if piece is None:
        return none
    year, month, day, seconds, zone, is_open = piece
    if is_open:
        if day_first is None:
            return none
        if day_first:
            month, day = day, month
    try:
        moment = datetime.datetime(year, month, day) + datetime.timedelta(seconds=seconds)
    except ValueError:
        return none
    if not YEARS[0] <= year <= YEARS[1] or seconds > 86_400:
        return none
    return np.datetime64(moment, "ns"), zone
