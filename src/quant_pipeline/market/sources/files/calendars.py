"""Which exchange calendar the dates of a market fit, and how long its bars are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.instrument_rows import begins, number_instruments, sorted_by_instrument
from quant_pipeline.market.sources.files.draft import rows_where

CANDIDATES = (
    "XNYS", "24/7", "XSHG", "XHKG", "XTKS", "XLON", "XETR", "XPAR", "XTSE", "XBOM", "XASX", "XTAI", "BVMF",
    "XSWX", "XSTO", "XMIL", "XMAD", "XAMS", "XSES", "XIDX", "XBKK", "XKLS", "XJSE", "XMEX", "ASEX", "XSAU",
    "XKRX", "XHEL", "XCSE", "XOSL", "XWBO", "XDUB", "XWAR", "XPRA", "XBUD", "XIST", "XNZE", "XPHS", "XSGO", "XBUE",
    "XBOG", "XLIM", "24/5",
)  # fmt: skip
_ENDINGS = {
    "SH": "XSHG", "SZ": "XSHG", "SS": "XSHG", "BJ": "XSHG", "XSHG": "XSHG", "XSHE": "XSHG", "HK": "XHKG", "T": "XTKS",
    "L": "XLON", "DE": "XETR", "PA": "XPAR", "TO": "XTSE", "BO": "XBOM", "NS": "XBOM", "AX": "XASX", "KS": "XKRX",
    "TW": "XTAI", "SA": "BVMF", "AT": "ASEX", "US": "XNYS",
}  # fmt: skip
USUAL = ("XLON", "XETR", "XTSE", "XTKS", "XHKG", "XSHG", "XBOM")
"""Exchanges with which a short span that nothing assigns is compared."""
SHORT = 100
"""Dates of a span in which too few holidays differ to tell one exchange from another."""
LONGER = (("weekly", 6, 8), ("monthly", 27, 34))
"""Bars that are longer than daily ones, and the least and most days from one to the next."""
_SHIFTABLE = 20
"""Dates from which a shift by a day differs from holidays."""
_CHINESE = {"tushare", "akshare", "baostock"}


class Fit(NamedTuple):
    """How well dates fit a calendar: dates that are no sessions, and sessions without a bar within short gaps.

    Attributes
    ----------
    name
        The calendar.
    off, missing
        How many dates, and how many sessions.
    in_hours
        Part of the times with a zone that are midnights of the exchange or within its hours; 1 without any.
    others
        Calendars that fit as well.
    shifted
        What is wrong with dates that fit only when all of them are moved by a day; empty where none is.
    """

    name: str
    off: int
    missing: int
    in_hours: float = 1.0
    others: tuple[str, ...] = ()
    shifted: str = ""

    @property
    def mismatches(self) -> int:
        """Both together."""
        return self.off + self.missing


def zone_of(calendar: str, dates: pd.Series) -> str:
    """Return the time zone of an exchange; the dates say for which years its calendar is made."""
    return TradingCalendar.within_bounds(calendar, dates.min().normalize(), dates.max().normalize()).time_zone


def session_dates(values: pd.Series, kind: str, zone: str) -> pd.Series:
    """Return the dates of an exchange of midnights, local times or instants."""
    if kind == "date":
        return values.astype("datetime64[ns]")
    if kind == "instant":
        values = values.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return values.dt.normalize().astype("datetime64[ns]")


def fit_of(calendar: str, values: pd.DataFrame) -> Fit:
    """Measure how the dates of a market fit a calendar.

    Parameters
    ----------
    calendar
        Its name.
    values
        Different ``date`` and ``kind``.
    """
    try:
        zone = zone_of(calendar, values["date"])
    except MarketDataError:
        return Fit(calendar, len(values), 0)
    parts = [session_dates(part["date"], str(kind), zone) for kind, part in values.groupby("kind")]
    dates = pd.DatetimeIndex(np.sort(pd.concat(parts).unique()))
    sessions = TradingCalendar.within_bounds(calendar, dates[0], dates[-1]).sessions
    off = int((~dates.isin(sessions)).sum())
    # A session counts as missing only between bars that are near: other gaps are those of the data.
    index = np.searchsorted(dates, sessions)
    inside = (index > 0) & (index < len(dates))
    before = dates[np.clip(index - 1, 0, len(dates) - 1)]
    after = dates[np.clip(index, 0, len(dates) - 1)]
    near = (after - before) <= pd.Timedelta(days=10)
    missing = int((inside & near & ~sessions.isin(dates)).sum())
    return Fit(calendar, off, missing, _in_hours(calendar, values))


def _in_hours(calendar: str, values: pd.DataFrame) -> float:
    """Return which part of the instants are midnights of an exchange, or between an open and its close."""
    instants = values.loc[values["kind"] == "instant", "date"]
    if instants.empty:
        return 1.0
    day = pd.Timedelta(days=2)
    trading = TradingCalendar.within_bounds(calendar, instants.min().normalize() - day, instants.max() + day)
    hours = trading.all_hours()
    place = hours["open"].to_numpy().searchsorted(instants.to_numpy(), side="right") - 1
    within = (place >= 0) & (instants.to_numpy() <= hours["close"].to_numpy()[np.maximum(place, 0)])
    local = instants.dt.tz_localize("UTC").dt.tz_convert(trading.time_zone)
    return float((within | (local == local.dt.normalize()).to_numpy()).mean())


def fits_at_once(values: pd.DataFrame, instruments: pd.Index, layouts: set[str]) -> bool:
    """Whether dates fit the calendar that their names or layouts say, or New York's where these say none."""
    return fit_of(_hint(instruments, layouts) or "XNYS", values).mismatches <= _tolerance(values)


def _tolerance(values: pd.DataFrame) -> int:
    return max(2, int(0.01 * len(values)))


def choose_calendar(values: pd.DataFrame, instruments: pd.Index, layouts: set[str]) -> Fit:
    """Return the calendar that fits best: New York's unless another one fits clearly better.

    Parameters
    ----------
    values
        Different ``date`` and ``kind``.
    instruments
        Names, whose endings say where they trade.
    layouts
        Layouts of the files.
    """
    hint = _hint(instruments, layouts)
    dates = values["date"].dt.normalize().nunique()
    tolerance = _tolerance(values)
    first = fit_of(hint or "XNYS", values)
    if first.mismatches <= tolerance:
        return first if hint or dates > SHORT else _of_a_short_span(first, values)
    default = fit_of("XNYS", values)
    if default.mismatches <= tolerance:
        return default
    best = default
    for name in _candidates(values):
        fit = fit_of(name, values)
        if fit.mismatches < best.mismatches:
            best = fit
        if not best.mismatches:
            break
    found = best if best.mismatches <= default.mismatches / 3 else default
    return found._replace(shifted=_shift_of(hint or "XNYS", values, min(tolerance, found.mismatches - 1)))


def _shift_of(calendar: str, values: pd.DataFrame, tolerance: int) -> str:
    """Return what is wrong with dates that are sessions of an exchange when moved by a day; empty when they are not."""
    for days, side in ((1, "before"), (-1, "after")):
        moved = values.assign(date=values["date"] + pd.Timedelta(days=days))
        if len(values) > _SHIFTABLE and fit_of(calendar, moved).mismatches <= tolerance:
            return (
                f"its dates are those of the days {side} the sessions of {calendar}: times that were turned to another "
                "zone; export dates or times of the exchange, with their zone"
            )
    return ""


def _of_a_short_span(first: Fit, values: pd.DataFrame) -> Fit:
    """Return New York's calendar, or one that dates or times of day fit clearly better, with all that fit as well."""
    fits = [fit_of(name, values) for name in USUAL]
    in_time = [fit for fit in fits if fit.in_hours > 0.95]
    if first.in_hours < 0.5 and in_time:
        first = min(in_time, key=lambda fit: fit.mismatches)
    elif first.mismatches > 1 and any(fit.mismatches == 0 for fit in in_time):
        first = next(fit for fit in in_time if fit.mismatches == 0)
    alike = [fit for fit in in_time if fit.mismatches <= first.mismatches and fit.name != first.name]
    return first._replace(others=tuple(fit.name for fit in alike))


def _candidates(values: pd.DataFrame) -> list[str]:
    """Return the calendars to try; a market that trades on weekends has one that never closes."""
    # Midnights of Asia are Sundays to Thursdays in UTC, so both days have to be there.
    days = values["date"].dt.dayofweek
    weekend = min((days == 5).mean(), (days == 6).mean()) > 0.05
    return ["24/7"] if weekend else [name for name in CANDIDATES if name != "XNYS"]


def _hint(instruments: pd.Index, layouts: set[str]) -> str:
    """Return the calendar that layouts or endings of names say; empty where they say none."""
    if layouts & _CHINESE:
        return "XSHG"
    if "binance" in layouts:
        return "24/7"
    found = Counter(
        _ENDINGS[ending] for ending in (name.rpartition(".")[2].upper() for name in instruments) if ending in _ENDINGS
    )
    codes = sum(bool(re.fullmatch(r"(SH|SZ|BJ)?\.?\d{6}", name, re.IGNORECASE)) for name in instruments)
    if codes:
        found["XSHG"] += codes
    name, count = found.most_common(1)[0] if found else ("", 0)
    return name if count >= len(instruments) / 2 else ""


def length_of_bars(rows: pd.DataFrame) -> str:
    """Return ``daily``, ``weekly`` or ``monthly`` by the days between the bars of each instrument."""
    ordered = sorted_by_instrument(rows[["instrument", "date"]])
    return length_of_ordered_bars(number_instruments(ordered)[0], ordered["date"].to_numpy())


def length_of_ordered_bars(codes: np.ndarray, dates: np.ndarray) -> str:
    """Return the same of bars that are sorted by instrument and date.

    Parameters
    ----------
    codes
        Number of the instrument of each bar.
    dates
        Of the bars.
    """
    starts = np.flatnonzero(begins(codes))[1:] - 1
    n_steps = _count(dates, starts, lambda step: step > np.timedelta64(0))
    if n_steps < 4:
        return "daily"
    shortest = np.timedelta64(LONGER[0][1], "D")
    if _count(dates, starts, lambda step: step >= shortest) / n_steps <= 0.6:
        return "daily"
    for name, least, most in LONGER:
        if _count(dates, starts, partial(are_days, least=least, most=most)) / n_steps > 0.6:
            return name
    return "daily"


def _count(dates: np.ndarray, but: np.ndarray, test: Callable[[np.ndarray], np.ndarray]) -> int:
    """Count the spans from one date to the next of which a test holds, but for those at some places."""
    holds = rows_where(max(len(dates) - 1, 0), lambda block: test(np.diff(dates[block.start : block.stop + 1])))
    return int(np.count_nonzero(holds) - np.count_nonzero(holds[but]))


def are_days(step: np.ndarray, least: int, most: int) -> np.ndarray:
    """Whether spans of time are of so many whole days, from the least to the most."""
    return (step >= np.timedelta64(least, "D")) & (step < np.timedelta64(most + 1, "D"))
