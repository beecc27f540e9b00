"""Rows that are no bars, names that are no instruments, sessions that have two bars."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.instrument_rows import are_sorted_and_different, different_dates, number_instruments
from quant_pipeline.market.sources.files.draft import PRICES, Draft, all_of, rows_where
from quant_pipeline.market.sources.files.instrument_names import case_twins, fault_of, share_twins, tidy_name
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.regularity import repeated_dates

_ACTIONS = ["dividend", "split"]
_VALUES = [*PRICES, "volume", *_ACTIONS]
_OFF = 0.02
"""Part of the dates that may be off the calendar: the holidays of two exchanges differ by more."""


def tidy_instruments(draft: Draft, options: FilesMarketParameters) -> None:
    """Check the names of instruments once, before they become keys and folders; excluded ones may be anything."""
    for rule in options.exclude:
        if rule.instrument is not None and rule.start is None and rule.end is None:
            draft.leave_out_rows(draft.rows["instrument"] == rule.instrument, "excluded", "left out by `exclude`")
    rename = options.rename
    codes, names = number_instruments(draft.rows)
    present = [rename.get(tidied, tidied) for tidied in map(tidy_name, names)]
    if present != list(names):
        tidied = pd.Series(np.array(present, dtype=object)[codes], dtype="str")
        draft.rows = draft.rows.assign(instrument=tidied)
    for old, new in zip(names, present, strict=True):
        if old.strip() != new:
            first = draft.rows[draft.rows["instrument"] == new].head(1)
            draft.note(first, "renamed", f"called {old} in the files")
    faults = {name: fault for name in dict.fromkeys(present) if (fault := fault_of(name)) is not None}
    if faults:
        wrong = draft.rows["instrument"].isin(list(faults))
        texts = draft.rows.loc[wrong, "instrument"].map(lambda name: f"the name {name!r} {faults[name]}; rename it")
        draft.refuse_rows(wrong, texts, whole_instrument=True)
    _refuse_twins(draft, case_twins(number_instruments(draft.rows)[1]), "differ by capital letters only")
    _refuse_twins(draft, share_twins(number_instruments(draft.rows)[1]), "are one Chinese share")


def _refuse_twins(draft: Draft, groups: list[list[str]], what: str) -> None:
    for twins in groups:
        rows = draft.rows[draft.rows["instrument"].isin(twins)].drop_duplicates("instrument")
        places = " and ".join(f"{row.instrument} in {draft.files[row.file]}" for row in rows.itertuples())
        draft.problems.append(
            SourceProblem(
                draft.files[int(rows["file"].iloc[0])], None, None,
                f"{places} {what}; rename one, or leave it out with `exclude`",
            )
        )  # fmt: skip
        if draft.leave_out:
            draft.note(rows, "instrument_left_out", "left out by `on_problem: leave_out`", "error")
            draft.drop(draft.rows["instrument"].isin(twins))


def rename_instruments(draft: Draft, renames: list[tuple[str, str, pd.Timestamp | None]]) -> None:
    """Give bars of a former name to the present one, those before the stated date or all."""
    for old, new, date in renames:
        former = draft.rows["instrument"] == old
        if date is not None:
            former &= (draft.rows["date"] < date).astype(bool)
        if not former.any() and old not in draft.rows["instrument"].to_numpy():
            draft.note_file("renames", "unlisted", f"{old} is no instrument of the bars: the rename to {new} is unused")
        if former.any():
            draft.rows = draft.rows.assign(instrument=draft.rows["instrument"].mask(former, new))
            draft.note(draft.rows[former].head(1), "renamed", f"called {old} in the files")


def exclude_rows(draft: Draft, options: FilesMarketParameters) -> None:
    """Leave out the rows that the rules of ``exclude`` name."""
    for rule in options.exclude:
        covered = rule.covers(draft.rows)
        before = any(
            ((part["check"] == "excluded") & (part["instrument"] == rule.instrument)).any() for part in draft.findings
        )
        if not covered.any() and not before:
            name = "every instrument" if rule.instrument is None else rule.instrument
            span = f"from {rule.start or 'the first bar'} to {rule.end or 'the last'}"
            draft.note_file("`exclude`", "unlisted", f"no bar is of {name} {span}; correct the name or the dates")
        draft.leave_out_rows(covered, "excluded", "left out by `exclude`")


def leave_out_no_bars(draft: Draft) -> None:
    """Leave out rows without prices: suspended, before listing, actions alone, footers, live quotes."""
    rows = draft.rows
    draft.leave_out_rows(rows["footer"], "footer", "a line that is no bar")
    rows = draft.rows
    draft.leave_out_rows(rows["timed"], "intraday_row", "a row with a time of day beside daily bars")
    rows = draft.rows
    is_good = ~rows["bad_price"].to_numpy(dtype=bool)
    prices = [rows[name].to_numpy() for name in PRICES]
    empty = rows_where(len(rows), lambda block: all_of(np.isnan(price[block]) for price in prices)) & is_good
    suspended = rows["suspended"].to_numpy() | (_without_trade(rows) & ~empty & is_good)
    draft.carry_actions(empty | suspended)
    draft.leave_out_rows(empty, "no_price", "a row without prices")
    if suspended.any():
        rows = draft.rows
        suspended = rows["suspended"].to_numpy() | (_without_trade(rows) & ~rows["bad_price"].to_numpy(dtype=bool))
        draft.leave_out_rows(suspended, "suspended", "a suspended session: no trade, the close carried on")


def _without_trade(rows: pd.DataFrame) -> np.ndarray:
    """Whether neither the volume nor an open, high and low say of a row that there was a trade."""
    values = [rows[name].to_numpy() for name in ("volume", "open", "high", "low")]
    return rows_where(len(rows), lambda block: all_of(~(np.abs(value[block]) > 0.0) for value in values))


def refuse_bad_cells(draft: Draft) -> None:
    """Report prices and volumes that are missing or not positive; texts that are no number were reported before."""
    prices, volumes = [draft.rows[name].to_numpy() for name in PRICES], draft.rows["volume"].to_numpy()

    def are_good(block: slice) -> npt.NDArray[np.bool_]:
        return all_of((*(price[block] > 0 for price in prices), volumes[block] >= 0))

    if rows_where(len(volumes), are_good).all() and not draft.rows["bad"].any():
        return
    for name in PRICES:
        column = draft.rows[name]
        if (column > 0).all():
            continue
        wrong = ~(column > 0) & ~draft.rows["bad"]
        texts = [
            f"{name} is missing" if np.isnan(value) else f"{name} {value:g} is no positive price"
            for value in column[wrong]
        ]
        draft.rows.loc[wrong, "bad"] = True
        _report_only(draft, wrong, texts)
    volume = draft.rows["volume"]
    wrong = ~(volume >= 0) & ~draft.rows["bad"]
    texts = ["volume is missing" if np.isnan(value) else f"volume {value:g} is no volume" for value in volume[wrong]]
    draft.rows.loc[wrong, "bad"] = True
    _report_only(draft, wrong, texts)
    if draft.leave_out and draft.rows["bad"].any():
        acting = draft.rows["instrument"].isin(draft.rows.loc[draft.rows["bad_action"], "instrument"])
        left = draft.rows[acting].drop_duplicates("instrument")
        draft.note(left, "instrument_left_out", "a split or dividend cannot be read", "error")
        draft.drop(acting)
        draft.leave_out_rows(draft.rows["bad"], "row_left_out", "left out by `on_problem: leave_out`")
    else:
        draft.drop(draft.rows["bad"])


def refuse_impossible_dates(draft: Draft) -> None:
    """Report bars of the future, and dates that are the beginning of the epoch: what a missing number becomes."""
    dates = draft.rows["date"]
    latest = pd.Timestamp.now("UTC").tz_localize(None) + pd.Timedelta(days=2)
    if pd.Timestamp(0) < dates.min() and dates.max() <= latest:
        return
    late = dates > latest
    draft.refuse_rows(late, [f"date '{day:%Y-%m-%d}' lies in the future" for day in dates[late]])
    dates = draft.rows["date"]
    zero = dates == pd.Timestamp(0)
    if zero.any() and dates[dates > pd.Timestamp(0)].min() > pd.Timestamp("1970-02-01"):
        draft.refuse_rows(zero, "date '1970-01-01' is what a missing number becomes")


def _report_only(draft: Draft, wrong: pd.Series, what: object) -> None:
    leave_out, draft.leave_out = draft.leave_out, False
    draft.refuse_rows(wrong, what)
    draft.leave_out = leave_out


def merge_duplicates(draft: Draft, moment: str = "date") -> None:
    """Take equal rows of one session once, and refuse different ones.

    Parameters
    ----------
    draft
        The market.
    moment
        Column that says when a bar is: ``moment`` for bars shorter than a session.
    """
    key = ["instrument", moment]
    if are_sorted_and_different(draft.rows, moment):
        return
    draft.rows = draft.rows.sort_values([*key, "file", "line"], kind="stable", ignore_index=True)
    rows = draft.rows[draft.rows.duplicated(key, keep=False)]
    if rows.empty:
        return
    again, same = rows.duplicated(key), _like_the_first(rows, key, _VALUES)
    origin = rows.groupby(key, sort=False)["file"].transform("first")[again & same]
    equal = rows[again & same]
    draft.note(equal, "duplicate_row", [f"the same row as in {draft.files[file]}" for file in origin])
    draft.same_in_files |= set(zip(equal["instrument"], origin, equal["file"], strict=True))
    contradict = again & ~_like_the_first(rows, key, _ACTIONS)
    unsure = set(rows.loc[contradict, "instrument"])
    draft.rows.loc[rows.index[again], _ACTIONS] = (0.0, 1.0)
    draft.drop(draft.rows.index.isin(equal.index))
    for is_unsure in (False, True):
        wrong = draft.rows.duplicated(key) & (draft.rows["instrument"].isin(unsure) == is_unsure)
        # Of two rows with different splits or dividends nothing says which one is right.
        draft.refuse_rows(wrong, _said_before(draft, wrong, key), whole_instrument=is_unsure)
    draft.drop(draft.rows.duplicated(key))


def _said_before(draft: Draft, again: pd.Series, key: list[str]) -> list[str]:
    first = draft.rows.groupby(key, sort=False)[["file", "line"]].transform("first")[again]
    shown = "%Y-%m-%d" if key[-1] == "date" else "%Y-%m-%d %H:%M"
    return [
        f"date '{when:{shown}}' stands twice for the instrument with different values, first in {draft.files[file]}, "
        f"row {line}"
        for when, file, line in zip(draft.rows.loc[again, key[-1]], first["file"], first["line"], strict=True)
    ]


def _like_the_first(rows: pd.DataFrame, key: list[str], names: list[str]) -> pd.Series:
    """Whether each row says in some columns what the first one of its key says."""
    values, first = rows[names], rows.groupby(key, sort=False)[names].transform("first")
    return ((values == first) | (values.isna() & first.isna())).all(axis=1)


def keep_sessions(draft: Draft, calendar: str, fitting: Callable[[], str | None] = lambda: None) -> None:
    """Leave out bars off the calendar; so many that it cannot be the right one are a problem.

    Parameters
    ----------
    draft
        The market.
    calendar
        Name of the exchange calendar.
    fitting
        Returns one that fits the dates better, if there is one.
    """
    dates = pd.DatetimeIndex(different_dates(draft.rows))
    if not len(dates):
        return
    trading = TradingCalendar.within_bounds(calendar, dates[0], dates[-1])
    if dates[0] < trading.start:
        early = draft.rows["date"] < trading.start
        draft.leave_out_rows(early, "before_calendar", f"the calendar {calendar} begins on {trading.start:%Y-%m-%d}")
    if dates[-1] > trading.end:
        late = draft.rows["date"] > trading.end
        draft.refuse_rows(late, f"lies beyond the end of the calendar {calendar}, {trading.end:%Y-%m-%d}")
    off = dates[~dates.isin(trading.sessions) & (dates >= trading.start) & (dates <= trading.end)]
    many = max(5, _OFF * len(dates))
    if len(off) > many and len(off[~off.isin(repeated_dates(draft.rows))]) > many:
        better = fitting()
        hint = f"; `calendar: {better}` fits them" if better is not None and better != calendar else ""
        advice = (
            "pass --params market_rules.calendar=… or leave the option out" if hint else "is it the right calendar?"
        )
        draft.refuse_market(
            SourceProblem(
                draft.files[int(draft.rows["file"].iloc[0])], None, None,
                f"{len(off)} of {len(dates)} dates, such as {off[0]:%Y-%m-%d} ({off[0]:%A}), are no sessions of "
                f"{calendar}{hint}; {advice}", len(off),
            )
        )  # fmt: skip
    if len(off):
        wrong = draft.rows["date"].isin(off)
        draft.leave_out_rows(wrong, "no_session", f"no session of {calendar}")
