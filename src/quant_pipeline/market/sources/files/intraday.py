"""Bars shorter than a session: refused, or made into sessions of the hours in which the exchange trades."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.cleaning import merge_duplicates
from quant_pipeline.market.sources.files.draft import KEY, Draft
from quant_pipeline.market.sources.files.observed_market import INTRADAY, Observation
from quant_pipeline.market.sources.files.options import FilesMarketParameters

UNCOVERED: Final = 0.5
"""Part of the hours of the middle session that is without bars, from which on times are of another zone."""
NO_BETTER: Final = 0.02


def settle_intraday(draft: Draft, seen: Observation, options: FilesMarketParameters) -> None:
    """Make sessions of bars that are shorter where that is wanted, and refuse them otherwise.

    The rows have ``moment``: in UTC where their ``kind`` is ``instant``, of the exchange's clock where it is ``local``.
    """
    rows = draft.rows
    timed = rows["kind"] != "date"
    if not timed.any():
        return
    again = rows.duplicated(KEY, keep=False) & (rows["moment"] != rows["date"])
    share = again.groupby(rows["file"]).mean()
    intraday = rows["file"].isin(share[share > 0.1].index)
    if not intraday.any():
        return
    if options.intraday == "resample":
        clean = intraday & ~rows["bad"]
        # Its problems and findings are those of the draft.
        part = replace(draft, rows=rows[clean].reset_index(drop=True))
        merge_duplicates(part, "moment")
        _keep_hours(part, seen.calendar, options)
        made = resample_sessions(part.rows)
        draft.note(made, "resampled", "a session made of shorter bars")
        draft.rows = pd.concat([rows[~clean], made], ignore_index=True)
        return
    names = [draft.files[place] for place in rows.loc[intraday, "file"].unique()]
    per_day = rows[intraday].groupby(KEY).size().median()
    what = (
        f"these bars are intraday, about {per_day:.0f} a session, and daily ones are needed; set `intraday: resample`"
    )
    draft.drop(intraday)
    if intraday.all():
        seen.frequency = INTRADAY
        draft.problems += [SourceProblem(name, None, None, what) for name in names]
        return
    for name in names:
        draft.note_file(name, "file_left_out", what)
        seen.problems.append(SourceProblem(name, None, None, what))


def resample_sessions(rows: pd.DataFrame) -> pd.DataFrame:
    """Make one bar of each session out of shorter ones: first open, highest high, lowest low, last close, volume."""
    ordered = rows.sort_values(["instrument", "date", "moment"], kind="stable")
    grouped = ordered.groupby(KEY, sort=False)
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "split": "prod"}
    rules |= {"dividend": "sum", "amount": "sum", "vendor_adjusted_close": "last", "traded_close": "last"}
    made = grouped.agg(rules)
    made["amount"] = made["amount"].where(grouped["amount"].count() > 0)
    others = [name for name in rows.columns if name not in (*made.columns, *KEY)]
    return grouped[others].first().join(made).reset_index()[list(rows.columns)]


def _keep_hours(draft: Draft, calendar: str, options: FilesMarketParameters) -> None:
    """Leave out bars before the open and after the close of their session; others get the date of the session."""
    rows = draft.rows
    if rows.empty:
        return
    days = rows["date"]
    trading = TradingCalendar.within_bounds(calendar, days.min() - pd.Timedelta(days=4), days.max())
    hours = trading.all_hours()
    instants = _instants(rows, trading.time_zone)
    place = _session_of(instants, hours)
    outside = (place < 0) & days.isin(hours.index).to_numpy()
    if not outside.any():
        rows["date"] = days.where(place < 0, pd.Series(hours.index[place], index=rows.index))
        return
    fault = _fault_of_hours(rows, instants, place, hours, trading, options)
    if fault is not None:
        first = rows.iloc[0]
        name = draft.files[int(first["file"])]
        draft.refuse_market(SourceProblem(name, int(first["line"]), None, fault, int(outside.sum())))
    rows["date"] = days.where(place < 0, pd.Series(hours.index[place], index=rows.index))
    counts = rows[outside].groupby(KEY, sort=False).size().rename("count").reset_index()
    details = [f"{count} bars outside of the hours of {calendar}" for count in counts["count"]]
    draft.note(counts, "outside_hours", details, value=counts["count"].astype("float64"))
    draft.carry_actions(outside)
    draft.drop(outside)


def _instants(rows: pd.DataFrame, zone: str) -> pd.Series:
    """Return when bars are, in UTC without zone."""
    moments = rows["moment"].copy()
    local = rows["kind"] == "local"
    if local.any():
        standard = np.zeros(int(local.sum()), dtype=bool)
        moved = moments[local].dt.tz_localize(zone, ambiguous=standard, nonexistent="shift_forward")
        moments[local] = moved.dt.tz_convert("UTC").dt.tz_localize(None)
    return moments


def _session_of(instants: pd.Series, hours: pd.DataFrame) -> np.ndarray:
    """Return the place of the session in whose hours each bar is, -1 for none.

    Bars carry the time of their beginning, or of their end where one is at the close and none at the open.
    """
    times = instants.to_numpy()
    opens, closes = hours["open"].to_numpy(), hours["close"].to_numpy()
    with_open, with_close = np.isin(opens, times).sum(), np.isin(closes, times).sum()
    of_the_end = with_close > 5 * with_open
    place = opens.searchsorted(times, side="left" if of_the_end else "right") - 1
    close = closes[np.maximum(place, 0)]
    inside = (place >= 0) & ((times <= close) if of_the_end else (times < close))
    return np.where(inside, place, -1)


def _fault_of_hours(
    rows: pd.DataFrame,
    instants: pd.Series,
    place: np.ndarray,
    hours: pd.DataFrame,
    trading: TradingCalendar,
    options: FilesMarketParameters,
) -> str | None:
    """Return why the times of bars are not those of the exchange's hours as they are read; None when they are."""
    inside = place >= 0
    days = rows["date"][rows["date"].isin(hours.index)]
    spans = instants[inside].groupby(place[inside]).agg(["min", "max"])
    own = hours.iloc[spans.index]
    length = (own["close"] - own["open"]).to_numpy()
    covered = pd.Series((spans["max"] - spans["min"]).to_numpy() / length, index=own.index)
    where = f"the hours of {trading.name} ({trading.time_zone})"
    covered = covered.reindex(days.unique(), fill_value=0.0)
    if covered.median() < 1 - UNCOVERED:
        return (
            f"these intraday bars are mostly outside of {where}; state the zone of their times with `time_zone`, such "
            "as `time_zone: UTC`, or the exchange with `calendar`"
        )
    if options.time_zone is None and bool((rows["kind"] == "local").all()):
        volume = rows["volume"].fillna(0.0).to_numpy()
        as_utc = _session_of(rows["moment"], hours) >= 0
        if (as_utc != inside).any() and volume[as_utc].sum() >= (1 - NO_BETTER) * volume[inside].sum():
            return (
                f"these intraday bars name no zone, and fit {where} no better than in UTC; state the zone of their "
                f"times with `time_zone`, such as `time_zone: {trading.time_zone}` or `time_zone: UTC`"
            )
    return None
