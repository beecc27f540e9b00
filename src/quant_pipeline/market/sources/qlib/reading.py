"""The source ``qlib``: a data provider of Qlib as a market."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.progress import track
from quant_pipeline.market.benchmark import check_benchmark
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import MarketData, SourceProblem
from quant_pipeline.market.sources.derived import (
    PRICES,
    actions_beside,
    list_instruments,
)
from quant_pipeline.market.sources.files.calendars import choose_calendar
from quant_pipeline.market.sources.files.cleaning import keep_sessions, refuse_bad_cells
from quant_pipeline.market.sources.files.draft import Draft
from quant_pipeline.market.sources.files.instrument_names import case_twins, fault_of
from quant_pipeline.market.sources.files.moves import refuse_mixed_columns, refuse_wrong_units
from quant_pipeline.market.sources.files.reading import LATEST, list_problems, say_left_out
from quant_pipeline.market.sources.qlib.folder import QlibFolder, is_of_provider
from quant_pipeline.market.sources.qlib.indices import choose_benchmark, is_index
from quant_pipeline.market.sources.qlib.options import QlibSourceParameters
from quant_pipeline.market.sources.qlib.traded import benchmark_of, derive_actions, traded_bars
from quant_pipeline.market.sources.reading_at_rest import read_at_rest
from quant_pipeline.market.sources.source import MarketRequest, MarketSource

NEEDED = (*PRICES, "volume")
FACTOR = "factor"


def read_provider(parameters: QlibSourceParameters, request: MarketRequest) -> MarketData:
    """Read the market of one universe as known at the close of a session.

    Raises
    ------
    MarketDataError
        When there is no provider, universe, benchmark or field of that name, bars cannot be used, or files are written
        whenever they are read.
    """
    return read_at_rest(lambda: _read(parameters, request), parameters.provider_uri, {}, is_of_provider)


def _read(parameters: QlibSourceParameters, request: MarketRequest) -> MarketData:
    folder = QlibFolder.open(parameters.provider_uri)
    members = folder.members(parameters.universe)
    calendar = calendar_of(folder, members, parameters)
    cut = _sessions_of(folder, calendar)[-1] if request.as_of == LATEST else pd.Timestamp(request.as_of)
    benchmark = choose_benchmark(folder, parameters.universe, parameters.benchmark)
    draft = _draft(folder, members, benchmark, parameters, cut)
    _tidy(draft, calendar)
    if draft.problems and (parameters.on_problem == "refuse" or draft.is_blocked or draft.rows.empty):
        raise list_problems(draft.problems, folder.path, _remedy(parameters))
    say_left_out(draft.problems)
    return _market(draft, members, benchmark, parameters, cut)


def calendar_of(folder: QlibFolder, members: pd.DataFrame, parameters: QlibSourceParameters) -> str:
    """Return the exchange calendar of a provider: the one that is given, else the one that fits its own."""
    if parameters.calendar is not None:
        return parameters.calendar
    days = pd.DataFrame({"date": folder.sessions, "kind": "date"})
    return choose_calendar(days, pd.Index(members["instrument"].unique()), set()).name


def _sessions_of(folder: QlibFolder, calendar: str) -> pd.DatetimeIndex:
    """Return the days of a provider on which the exchange trades; all of them where it trades on none."""
    days = folder.sessions
    kept = days[days.isin(TradingCalendar.within_bounds(calendar, days[0], days[-1]).sessions)]
    return kept if len(kept) else days


def facts_of(parameters: QlibSourceParameters) -> dict[str, Any]:
    """Return what the configuration takes from a provider: ``as_of``, ``calendar`` and ``sessions``."""
    folder = QlibFolder.open(parameters.provider_uri)
    calendar = calendar_of(folder, folder.members(parameters.universe), parameters)
    sessions = [f"{day:%Y-%m-%d}" for day in _sessions_of(folder, calendar)]
    return {"as_of": sessions[-1], "calendar": calendar, "sessions": sessions}


def _draft(
    folder: QlibFolder,
    members: pd.DataFrame,
    benchmark: str | None,
    parameters: QlibSourceParameters,
    cut: pd.Timestamp,
) -> Draft:
    """Read the bars of every instrument up to a session, as the provider stores them."""
    names = [name for name in sorted(members["instrument"].unique()) if name != benchmark]
    draft = Draft(pd.DataFrame(), [], parameters.on_problem == "leave_out")
    names = _usable(draft, names)
    if benchmark is not None:
        names.append(benchmark)
    whole = {rule.instrument for rule in parameters.exclude if rule.start is None and rule.end is None}
    last = int(folder.sessions.searchsorted(cut, side="right"))
    tables: list[pd.DataFrame] = []
    without: list[str] = []
    for name in track([name for name in names if name not in whole], "reading the provider"):
        fields = folder.fields_of(name)
        if not fields:
            without.append(name)
            continue
        draft.files.append(f"features/{name.lower()}")
        table = _bars_of(folder, name, fields, last, parameters.missing_factor, name == benchmark)
        if isinstance(table, str):
            _refuse_instrument(draft, name, table)
        elif len(table):
            tables.append(table.assign(file=len(draft.files) - 1))
    if without:
        draft.note_instruments(without, "no_bars", f"{parameters.universe}.txt names it, and it has no bars")
    if not tables and not draft.problems:
        raise MarketDataError(
            f"{folder.path} has no bars of the universe '{parameters.universe}' up to {cut:%Y-%m-%d}; its calendar "
            f"goes from {folder.sessions[0]:%Y-%m-%d} to {folder.sessions[-1]:%Y-%m-%d}"
        )
    draft.rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    for rule in parameters.exclude:
        if len(draft.rows):
            draft.leave_out_rows(rule.covers(draft.rows), "excluded", "left out by `exclude`")
    return draft


def _usable(draft: Draft, names: list[str]) -> list[str]:
    """Return the names that are instruments and can be folders; the others are noted, or problems."""
    usable = []
    for name in names:
        fault = fault_of(name)
        if is_index(name):
            draft.note_file(name, "index_left_out", "an index is no instrument of the market")
        elif fault is not None:
            _refuse_instrument(draft, name, f"the name {name!r} {fault}")
        else:
            usable.append(name)
    for twins in case_twins(pd.Index(usable)):
        _refuse_instrument(draft, twins[0], f"{' and '.join(twins)} share one folder, which is in lower case")
        usable = [name for name in usable if name not in twins]
    return usable


def _refuse_instrument(draft: Draft, name: str, what: str) -> None:
    draft.problems.append(SourceProblem(f"features/{name.lower()}", None, name, what))
    if draft.leave_out:
        draft.note_file(name, "instrument_left_out", "left out by `on_problem: leave_out`")


def _bars_of(
    folder: QlibFolder, name: str, fields: list[str], last: int, missing_factor: str, is_benchmark: bool
) -> pd.DataFrame | str:
    """Return the bars of an instrument, or why there are none. An index needs no volume, and no factor."""
    needed = PRICES if is_benchmark else NEEDED
    missing = [field for field in needed if field not in fields]
    if missing:
        return f"has no field {first_of(missing)}; there are {first_of(fields)}"
    read = {field: folder.read(name, field) for field in (*NEEDED, FACTOR)}
    found = {field: stored for field, stored in read.items() if stored is not None}
    empty = [field for field in PRICES if field not in found]
    if len(empty) == len(PRICES):
        return pd.DataFrame()
    if empty:
        return f"holds no number in field {first_of(empty)}; dump it again"
    first = min(stored.first for stored in found.values())
    end = min(last, max(stored.first + len(stored.values) for stored in found.values()))
    table = {field: _laid_out(found.get(field), first, end) for field in (*NEEDED, FACTOR)}
    if is_benchmark:
        table["volume"] = np.nan_to_num(table["volume"])
    if FACTOR not in found and not is_benchmark and missing_factor != "as_traded":
        if missing_factor == "leave_out":
            return pd.DataFrame()
        return (
            f"has no field factor (there are {first_of(fields)}), so its prices as traded are not known; set "
            "`missing_factor: as_traded` where prices are not adjusted, or `leave_out`"
        )
    if FACTOR not in found:
        table[FACTOR] = np.ones(max(end - first, 0))
    has_bar = ~np.all([np.isnan(table[field]) for field in PRICES], axis=0)
    if missing_factor == "leave_out":
        has_bar &= ~np.isnan(table[FACTOR])
    places = np.flatnonzero(has_bar)
    rows = {field: numbers[places] for field, numbers in table.items()}
    return pd.DataFrame(
        {
            "line": places + first + 1, "date": folder.sessions[places + first],
            "instrument": pd.array([name] * len(places), dtype="str"), **rows,
        }
    )  # fmt: skip


def _laid_out(stored: Any, first: int, end: int) -> np.ndarray:
    table = np.full(max(end - first, 0), np.nan)
    if stored is not None:
        start = stored.first - first
        part = stored.values[: max(end - stored.first, 0)]
        table[start : start + len(part)] = part
    return table


def _tidy(draft: Draft, calendar: str) -> None:
    """Refuse what is no bar, leave out days off the calendar, and restore what was traded."""
    if draft.rows.empty:
        return
    factor = draft.rows[FACTOR]
    wrong = ~(np.isfinite(factor) & (factor > 0))
    texts = [
        f"factor {value:g} of a bar is no positive number, so its price as traded is not known"
        for value in factor[wrong]
    ]
    draft.refuse_rows(wrong, texts)
    if not draft.leave_out:
        draft.drop(wrong)
    endless = np.isinf(draft.rows[[*NEEDED]]).any(axis=1)
    draft.refuse_rows(endless, "a price or volume is infinite")
    if not draft.leave_out:
        draft.drop(endless)
    draft.rows = traded_bars(draft.rows.assign(split=1.0, dividend=0.0, bad=False, bad_action=False), 1.0)
    refuse_bad_cells(draft)
    if draft.rows.empty:
        return
    keep_sessions(draft, calendar)
    draft.rows = draft.rows.sort_values(["instrument", "date"], kind="stable", ignore_index=True)
    derive_actions(draft)
    refuse_wrong_units(draft)
    refuse_mixed_columns(draft)


def _remedy(parameters: QlibSourceParameters) -> str:
    return (
        "Correct the provider, or leave out what is wrong: `on_problem: leave_out`, or `exclude` with instrument and "
        "dates, in `parameters` of market_source (conf/qlib/catalog.yml)"
    )


def _market(
    draft: Draft, members: pd.DataFrame, benchmark: str | None, parameters: QlibSourceParameters, cut: pd.Timestamp
) -> MarketData:
    rows = draft.rows
    rows["volume"] *= parameters.volume_unit
    index = rows[rows["instrument"] == benchmark].reset_index(drop=True) if benchmark is not None else rows[:0]
    rows = rows[rows["instrument"] != benchmark].reset_index(drop=True) if benchmark is not None else rows
    bars = rows[["date", "instrument", *NEEDED]]
    if bars.empty:
        raise MarketDataError(f"no bar of the universe '{parameters.universe}' is left up to {cut:%Y-%m-%d}")
    actions = actions_beside(rows)
    last = bars["date"].max()
    if benchmark is not None and (index.empty or index["date"].max() < last):
        ends = "has no bars" if index.empty else f"ends on {index['date'].max():%Y-%m-%d}"
        raise MarketDataError(
            f"the benchmark {benchmark} {ends}, and the bars end on {last:%Y-%m-%d}; complete it, or name another one "
            "as `benchmark`"
        )
    known = members[members["start"] <= cut].reset_index(drop=True)
    level, noted = None, draft.all_findings()
    if benchmark is not None:
        level, sessions = benchmark_of(index), pd.DatetimeIndex(bars["date"].unique()).sort_values()
        noted = pd.concat([noted, check_benchmark(level, sessions)], ignore_index=True)
    return MarketData(
        bars,
        actions,
        list_instruments(bars),
        level,
        cut,
        tuple(draft.problems),
        noted,
        universes=known.assign(universe=pd.array([parameters.universe] * len(known), dtype="str")),
    )


QLIB = MarketSource(QlibSourceParameters, read_provider, facts_of)
