"""Bars that do not fit those beside them: of another length, carried over days without trading, or not yet over."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.instrument_rows import number_instruments
from quant_pipeline.market.sources.files.calendars import LONGER, are_days
from quant_pipeline.market.sources.files.draft import PRICES, Draft, rows_where

ALWAYS_OPEN = "24/7"
_FEW = 4
"""Distances between bars from which their length is judged."""
_MOST = 0.6
"""Part of the distances that are those of a length."""
_WEEKS = pd.Timedelta(days=28)
"""Span in which an instrument that trades on weekends has bars on some."""


def repeated_dates(rows: pd.DataFrame) -> pd.DatetimeIndex:
    """Return the dates on which every bar carries on the one before: days without trading that were filled in.

    Parameters
    ----------
    rows
        ``instrument``, ``date``, prices and ``volume``.
    """
    ordered = rows.sort_values(["instrument", "date"], kind="stable")
    before = ordered.shift()
    idle = ordered["volume"].fillna(0.0) == 0.0
    same = (ordered[list(PRICES)] == before[list(PRICES)]).all(axis=1)
    same &= idle | (ordered["volume"] == before["volume"])
    flat = idle & ordered[list(PRICES)].eq(before["close"], axis=0).all(axis=1)
    repeats = ordered["instrument"].eq(before["instrument"]) & (same | flat)
    is_filled = repeats.groupby(ordered["date"]).all()
    return pd.DatetimeIndex(is_filled.index[is_filled])


def refuse_other_lengths(draft: Draft, calendar: str) -> None:
    """Refuse instruments whose bars are longer than those of the others, or that rest where the others trade.

    The rows are sorted by instrument and date, and most of them are daily.
    """
    late, n_rows = _after_a_pause(draft), len(draft.rows)
    for name, least, most in LONGER:
        if len(draft.rows) != n_rows:
            late, n_rows = _after_a_pause(draft), len(draft.rows)
        codes, names = number_instruments(draft.rows)
        dates = draft.rows["date"].to_numpy()
        between = late[are_days(dates[late] - dates[late - 1], least, most)]
        inside = np.bincount(codes[between], minlength=len(names))
        if inside.max(initial=0) <= _MOST * _FEW:
            continue
        count = np.bincount(codes, minlength=len(names)) - 1
        longer = (inside / np.maximum(count, 1) > _MOST) & (count >= _FEW)
        if longer.any():
            what = f"its bars are {name}, those of the others daily; export it again with one bar a session, or "
            draft.refuse_rows(longer[codes], f"{what}exclude it", whole_instrument=True)
    if calendar != ALWAYS_OPEN:
        return
    rows = draft.rows
    names = rows["instrument"]
    span = rows["date"].groupby(names).transform("max") - rows["date"].groupby(names).transform("min")
    on_weekend = (rows["date"].dt.dayofweek >= 5).groupby(names).transform("any")
    what = "it has no bar on a weekend, and the others trade every day; read them as two markets, or exclude it"
    draft.refuse_rows((span > _WEEKS) & ~on_weekend & on_weekend.any(), what, whole_instrument=True)


def _after_a_pause(draft: Draft) -> npt.NDArray[np.int64]:
    """Return the rows that come so late after the one before of their instrument as longer bars do, or later."""
    dates, shortest = draft.rows["date"].to_numpy(), np.timedelta64(LONGER[0][1], "D")

    def is_late(block: slice) -> npt.NDArray[np.bool_]:
        return np.diff(dates[block.start : block.stop + 1]) >= shortest

    late = np.flatnonzero(rows_where(max(len(dates) - 1, 0), is_late)) + 1
    return late[draft.goes_on()[late]]


def leave_out_unfinished(draft: Draft, calendar: str, now: pd.Timestamp) -> None:
    """Refuse bars of sessions that have not opened, and leave out those of a session that is not over.

    Parameters
    ----------
    draft
        The market, its dates being sessions.
    calendar
        Name of the exchange calendar.
    now
        With a time zone.
    """
    today, day = now.tz_localize(None), pd.Timedelta(days=1)
    # Later dates are refused before the calendar is known.
    if draft.rows["date"].max() < today.normalize() - day:
        return
    recent = draft.rows["date"].between(today.normalize() - day, today + 2 * day)
    dates = draft.rows.loc[recent, "date"].drop_duplicates()
    if dates.empty:
        return
    trading = TradingCalendar.within_bounds(calendar, dates.min(), dates.max())
    hours = {date: trading.hours(date) for date in dates if trading.is_session(date)}
    coming = draft.rows["date"].isin([date for date, (opens, _) in hours.items() if opens > now])
    draft.refuse_rows(coming, [f"date '{day:%Y-%m-%d}' lies in the future" for day in draft.rows.loc[coming, "date"]])
    running = draft.rows["date"].isin([date for date, (opens, closes) in hours.items() if opens <= now < closes])
    draft.leave_out_rows(running, "unfinished", f"the session of {calendar} is not over: its bar is none yet")
