"""Dates of millions of rows as small numbers: a session is counted from the first, and looked up in a short table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.row_blocks import row_blocks


def places_in(sessions: pd.DatetimeIndex, dates: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the place of each date among the sessions, -1 where it is none of them.

    Parameters
    ----------
    sessions
        Different ones.
    dates
        Of rows, in any unit, or as Python's own.
    """
    days, own = whole_days(dates), whole_days(sessions.to_numpy())
    if days is None or own is None or not len(own):
        return sessions.get_indexer(pd.DatetimeIndex(dates))
    first = own.min() - 1
    table = np.full(own.max() - first + 2, -1, dtype=np.intp)
    table[own - first] = np.arange(len(own))
    places = np.empty(len(days), dtype=np.intp)
    for block in row_blocks(len(days)):  # A block of what lies between stays in the cache.
        table.take(days[block] - first, mode="clip", out=places[block])
    return places


def require_calendar(sessions: pd.DatetimeIndex) -> None:
    """Raise an error unless sessions are a calendar: known days, each of them once, in their order.

    Raises
    ------
    MarketDataError
        When one is missing, occurs twice, or comes before an earlier one.
    """
    if sessions.hasnans:
        raise MarketDataError(f"session {int(sessions.isna().argmax()) + 1} of the calendar has no date; leave it out")
    if not sessions.is_unique:
        raise MarketDataError(f"the calendar has {sessions[sessions.duplicated()][0]:%Y-%m-%d} twice; name it once")
    if not sessions.is_monotonic_increasing:
        later = int((sessions[1:] < sessions[:-1]).argmax())
        raise MarketDataError(
            f"the calendar is not in order, {sessions[later + 1]:%Y-%m-%d} follows {sessions[later]:%Y-%m-%d}; sort it"
        )


def order_by_date(dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.intp]:
    """Return the places of dates in their order; those that are the same keep theirs."""
    days = whole_days(dates)
    if days is None or not len(days) or np.ptp(days) >= 2**16:
        return np.argsort(dates, kind="stable")
    # Small numbers are counted and not compared.
    return np.argsort((days - days.min()).astype(np.uint16), kind="stable")


def whole_days(dates: npt.NDArray[Any]) -> npt.NDArray[np.int32] | None:
    """Return dates as days since 1970; None where one has a time of day or is missing, or where the type is another."""
    if dates.dtype.kind != "M":
        return None
    per_day = int(np.datetime64(1, "D").astype(dates.dtype).astype(np.int64))
    if per_day == 1 and np.isnat(dates).any():
        return None
    moments = dates.astype(dates.dtype.newbyteorder("="), copy=False).view(np.int64)
    days = np.empty(len(dates), dtype=np.int32)
    for block in row_blocks(len(dates)):
        quotient = moments[block] // per_day
        if (quotient * per_day != moments[block]).any():
            return None
        days[block] = quotient
    return days


def number_dates(dates: pd.Series) -> tuple[npt.NDArray[np.intp], pd.Index]:
    """Return the number of each date in the order of all, and these; as `pandas.factorize` does when it sorts."""
    days = whole_days(dates.to_numpy()) if isinstance(dates.dtype, np.dtype) else None
    if days is None or not len(days):
        return pd.factorize(dates, sort=True)
    first = days.min()
    days -= first
    is_there = np.zeros(days.max() + 1, dtype=np.bool_)
    is_there[days] = True
    found = (np.flatnonzero(is_there) + first).astype("datetime64[D]").astype(dates.dtype)
    return (np.cumsum(is_there) - 1)[days], pd.DatetimeIndex(found)


def first_date(dates: pd.Series) -> pd.Timestamp:
    """Return the first of millions of dates; pandas copies all of them to look for missing ones."""
    values = dates.to_numpy() if isinstance(dates.dtype, np.dtype) else np.zeros(0)
    if values.dtype.kind == "M" and values.dtype.isnative and len(values):
        first = values.view(np.int64).min(keepdims=True).view(values.dtype)[0]
        if not np.isnat(first):  # What is missing is below all dates.
            return pd.Timestamp(first)
    return dates.min()
