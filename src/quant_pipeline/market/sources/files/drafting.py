"""The rows of all files in one table: their dates settled, what is no bar left out, prices as traded restored."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.instrument_rows import different_dates, number_instruments
from quant_pipeline.market.sources.files.adjustment import (
    check_dividends,
    check_splits,
    refuse_mixed_adjustment,
    restore_traded,
)
from quant_pipeline.market.sources.files.calendars import (
    choose_calendar,
    fits_at_once,
    length_of_bars,
    length_of_ordered_bars,
    session_dates,
    zone_of,
)
from quant_pipeline.market.sources.files.cleaning import (
    keep_sessions,
    leave_out_no_bars,
    merge_duplicates,
    refuse_bad_cells,
    refuse_impossible_dates,
)
from quant_pipeline.market.sources.files.derived_actions import (
    chain_returns,
    derive_actions,
    refuse_unknown_ratios,
    split_by_traded_close,
)
from quant_pipeline.market.sources.files.draft import PRICES, Draft, all_of
from quant_pipeline.market.sources.files.file_reading import Reading
from quant_pipeline.market.sources.files.intraday import settle_intraday
from quant_pipeline.market.sources.files.joined_files import check_joined_files
from quant_pipeline.market.sources.files.layouts import ALL, NONE, SPLITS
from quant_pipeline.market.sources.files.listings import note_listings_twice, note_possible_renames
from quant_pipeline.market.sources.files.moves import refuse_mixed_columns, refuse_wrong_amounts, refuse_wrong_units
from quant_pipeline.market.sources.files.observed_market import DAILY, INTRADAY, Observation
from quant_pipeline.market.sources.files.options import AUTO, FilesMarketParameters
from quant_pipeline.market.sources.files.regularity import (
    leave_out_unfinished,
    refuse_other_lengths,
    repeated_dates,
)
from quant_pipeline.market.sources.files.shared_rows import SharedRows, table_of

_OPTIONAL = {
    "total_return": np.nan, "traded_close": np.nan, "vendor_adjusted_close": np.nan, "previous_close": np.nan,
    "amount": np.nan, "dividend": 0.0, "split": 1.0,
}  # fmt: skip
_KINDS = pd.CategoricalDtype(["date", "local", "instant"])
_ADJUSTED = pd.CategoricalDtype([NONE, SPLITS, ALL])
_MARKS: dict[str, Any] = {"kind": _KINDS, "adjusted": _ADJUSTED, "derived": bool, "no_split": bool, "no_dividend": bool}
"""Columns that say what is known of all rows of a file, and their types."""
_NAMES = ["date", "instrument", *PRICES, "volume", "dividend", "split"]
"""Columns of what is read."""
_WHERE_GIVEN = ["vendor_adjusted_close", "amount"]
"""Columns beside them, which are left out where no file states them."""


def join_readings(readings: list[Reading], options: FilesMarketParameters) -> Draft:
    """Put the rows of files into one table."""
    files = [reading.file for reading in readings]
    marks = []
    for reading in readings:
        names = reading.columns
        stated = {"dividend", "split"} & names
        adjusted = options.adjusted or reading.adjusted
        derived = len(stated) < 2 and (
            ("vendor_adjusted_close" in names and adjusted != ALL)
            or "total_return" in names
            or (not stated and "previous_close" in names and adjusted == NONE)
        )
        marks.append((reading.kind, adjusted, derived, "split" not in stated, "dividend" not in stated))
    if not readings:
        first = ("line", "date", "instrument", *PRICES, "volume", *_OPTIONAL, "bad", "bad_price", "bad_action")
        others = ("timed", "footer", "suspended", "file", *_MARKS)
        empty = pd.DataFrame({name: [] for name in (*first, *others)})
        return Draft(
            empty.astype({"date": "datetime64[ns]", "instrument": "str"}), files, options.on_problem == "leave_out"
        )
    rows = _joined(readings)
    counts = [len(reading.held) for reading in readings if reading.held is not None]
    rows["file"] = np.repeat(np.arange(len(readings)), counts)
    # Once for all rows: a table for each file costs more than its rows.
    for (name, kind), of_files in zip(_MARKS.items(), zip(*marks, strict=True), strict=True):
        rows[name] = pd.Series(of_files, dtype=kind).array.repeat(counts)
    if options.adjusted is None and rows["adjusted_row"].any():
        rows.loc[rows["adjusted_row"], "adjusted"] = ALL
        rows["derived"] &= ~rows["adjusted_row"]
    # One column until a row of it is written.
    unknown = pd.Series(np.full(len(rows), np.nan), index=rows.index, copy=False)
    for name, default in _OPTIONAL.items():
        if name not in rows:
            rows[name] = unknown if np.isnan(default) else default
        elif not np.isnan(default) and rows[name].isna().any():
            rows[name] = rows[name].fillna(default)
    rows["suspended"] = rows["suspended"].fillna(False).astype(bool) if "suspended" in rows else False
    if options.price_unit is not None:
        for name in (*PRICES, "dividend", "vendor_adjusted_close", "previous_close", "traded_close"):
            rows[name] = rows[name] * options.price_unit
    return Draft(rows, files, options.on_problem == "leave_out")


def _joined(readings: list[Reading]) -> pd.DataFrame:
    """Return the rows of files in one table; of those that share columns no other one is made before."""
    tables = []
    alike = groupby(readings, lambda each: tuple(each.held.columns) if isinstance(each.held, SharedRows) else None)
    for names, group in alike:
        of_files = [reading.held for reading in group]
        if names is None:
            tables += [held for held in of_files if isinstance(held, pd.DataFrame)]
        else:
            tables.append(table_of([held for held in of_files if isinstance(held, SharedRows)]))
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def read_session_dates(draft: Draft, seen: Observation, options: FilesMarketParameters) -> None:
    """Choose the calendar, turn instants into its dates, and recognise bars that are not daily."""
    rows = draft.rows
    if options.time_zone is not None:
        local = rows["kind"] == "local"
        times = rows.loc[local, "date"]
        standard = np.zeros(len(times), dtype=bool)
        moved = times.dt.tz_localize(options.time_zone, ambiguous=standard, nonexistent="shift_forward")
        rows.loc[local, "date"] = moved.dt.tz_convert("UTC").dt.tz_localize(None)
        rows.loc[local, "kind"] = "instant"
    is_dated = rows["date"].notna().to_numpy() & ~rows["timed"].to_numpy(dtype=bool)
    is_dated &= ~all_of(np.isnan(rows[name].to_numpy()) for name in PRICES)
    dated = rows if is_dated.all() else rows[is_dated]
    if dated.empty:
        return
    values = _different(dated)
    if options.calendar != AUTO:
        seen.calendar = options.calendar
    elif length_of_bars(dated.assign(date=dated["date"].dt.normalize())) == DAILY:
        names, layouts = pd.Index(dated["instrument"].unique()), set(seen.layouts.values())
        filled = pd.DatetimeIndex([]) if fits_at_once(values, names, layouts) else repeated_dates(dated)
        traded = values[~values["date"].isin(filled)]
        chosen = choose_calendar(values if traded.empty else traded, names, layouts)
        seen.calendar = chosen.name
        if chosen.shifted:
            draft.refuse_market(SourceProblem(draft.files[0], None, None, chosen.shifted, len(rows)))
        if chosen.others:
            draft.note_file(
                "calendar", "calendar_unsure",
                f"the dates and names fit {first_of((chosen.name, *chosen.others))} alike; read as {chosen.name}; "
                "name the right one with `calendar`, or --params market_rules.calendar=…",
            )  # fmt: skip
    rows["moment"] = rows["date"]
    zone = zone_of(seen.calendar, values["date"])
    for kind in rows["kind"].unique():
        which = (rows["kind"] == kind).to_numpy()
        if which.all():
            rows["date"] = session_dates(rows["date"], kind, zone)
        else:
            rows.loc[which, "date"] = session_dates(rows.loc[which, "date"], kind, zone)
    settle_intraday(draft, seen, options)


def _different(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each ``date`` and ``kind`` once."""
    kinds = rows["kind"].cat.codes.to_numpy()
    if (kinds == kinds[0]).all():
        dates = different_dates(rows)
        return pd.DataFrame({"date": dates, "kind": rows["kind"].array[:1].repeat(len(dates))})
    return rows[["date", "kind"]].drop_duplicates()


def clean_bars(draft: Draft, seen: Observation, options: FilesMarketParameters) -> None:
    """Leave out what is no bar, refuse what is wrong, and restore prices as traded."""
    if draft.rows.empty:
        seen.rows = _read(draft.rows)
        return
    leave_out_no_bars(draft)
    refuse_bad_cells(draft)
    refuse_impossible_dates(draft)
    merge_duplicates(draft)
    if len(draft.rows):
        seen.frequency = length_of_ordered_bars(number_instruments(draft.rows)[0], draft.rows["date"].to_numpy())
    if seen.frequency not in (DAILY, INTRADAY):
        draft.refuse_market(
            SourceProblem(
                draft.files[0], None, None,
                f"these bars are {seen.frequency}, and daily ones are needed; export them again with one bar a session",
                len(draft.rows),
            )
        )  # fmt: skip
    elif seen.frequency == DAILY:

        def fitting() -> str | None:
            values = pd.DataFrame({"date": different_dates(draft.rows), "kind": "date"})
            layouts = set(seen.layouts.values())
            chosen = choose_calendar(values, number_instruments(draft.rows)[1], layouts)
            return None if options.calendar == AUTO else chosen.name

        keep_sessions(draft, seen.calendar, fitting)
        leave_out_unfinished(draft, seen.calendar, pd.Timestamp.now("UTC"))
    if seen.frequency == DAILY:
        refuse_other_lengths(draft, seen.calendar)
    chain_returns(draft.rows)
    refuse_unknown_ratios(draft)
    split_by_traded_close(draft.rows, draft)
    check_joined_files(draft, options.exported_together)
    derive_actions(draft.rows, draft)
    refuse_mixed_adjustment(draft)
    check_splits(draft)
    draft.rows = restore_traded(draft.rows)
    check_dividends(draft)
    refuse_wrong_units(draft)
    refuse_mixed_columns(draft)
    if options.volume_unit is None:
        refuse_wrong_amounts(draft)
    note_listings_twice(draft)
    note_possible_renames(draft)
    seen.rows = _read(draft.rows)


def _read(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of what is read."""
    given = [name for name in _WHERE_GIVEN if rows[name].notna().any()]
    return rows[_NAMES + given].astype({"instrument": "str"})
