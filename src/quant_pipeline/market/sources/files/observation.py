"""All files of a folder, read and put together: bars as traded, actions, and everything that was noted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.common.progress import track
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.adjustment import (
    check_dividends,
    check_joined_files,
    check_splits,
    derive_actions,
    refuse_unknown_ratios,
    restore_traded,
)
from quant_pipeline.market.sources.files.calendars import (
    choose_calendar,
    length_of_bars,
    session_dates,
    zone_of,
)
from quant_pipeline.market.sources.files.cleaning import (
    exclude_rows,
    keep_sessions,
    leave_out_no_bars,
    merge_duplicates,
    refuse_bad_cells,
    refuse_impossible_dates,
    rename_instruments,
    resample_sessions,
    tidy_instruments,
)
from quant_pipeline.market.sources.files.discovery import FoundFiles, find_files
from quant_pipeline.market.sources.files.draft import PRICES, Draft
from quant_pipeline.market.sources.files.field_files import fields_of
from quant_pipeline.market.sources.files.layouts import ALL
from quant_pipeline.market.sources.files.listings import note_listings_twice, note_possible_renames
from quant_pipeline.market.sources.files.moves import refuse_mixed_columns, refuse_wrong_amounts, refuse_wrong_units
from quant_pipeline.market.sources.files.options import AUTO, FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import AMBIGUOUS, Reading, read_field_files, read_file
from quant_pipeline.market.sources.files.recognition import holds_actions, layout_of, several_currencies
from quant_pipeline.market.sources.files.tables import (
    delisting_actions,
    is_securities,
    read_delistings,
    read_renames,
    read_securities,
    slips,
)

_OPTIONAL = {"vendor_adjusted_close": np.nan, "previous_close": np.nan, "amount": np.nan, "dividend": 0.0, "split": 1.0}
DAILY, INTRADAY = "daily", "intraday"


@dataclass
class Observation:
    """A folder of market files, read whole.

    Attributes
    ----------
    layouts
        Name of each file to that of its layout.
    adjusted
        Name of each file to what its prices are adjusted for.
    rows
        As traded, sorted by instrument and date: ``date``, ``instrument``, prices, ``volume``, ``dividend``, ``split``
        and, where a vendor gives it, ``vendor_adjusted_close``.
    benchmark
        The same of the benchmark; None where the mean serves.
    securities, delistings
        Tables beside the bars; delistings as corporate actions.
    calendar
        Exchange calendar of the dates.
    frequency
        ``daily``, ``weekly``, ``monthly`` or ``intraday``.
    problems
        What is wrong, the largest first.
    findings
        What was left out or noted, in the columns of `quality.COLUMNS`.
    is_refused
        Whether the problems refuse the market; else what they name was left out.
    """

    layouts: dict[str, str] = field(default_factory=dict)
    adjusted: dict[str, str] = field(default_factory=dict)
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    benchmark: pd.DataFrame | None = None
    securities: pd.DataFrame | None = None
    delistings: pd.DataFrame = field(default_factory=pd.DataFrame)
    calendar: str = "XNYS"
    frequency: str = DAILY
    problems: list[SourceProblem] = field(default_factory=list)
    findings: pd.DataFrame = field(default_factory=pd.DataFrame)
    is_refused: bool = False


def observe(folder: Path, options: FilesMarketParameters, cache: Path | None = None) -> Observation:
    """Read every file of a folder.

    Parameters
    ----------
    folder
        Where the files lie.
    options
        What they cannot say themselves.
    cache
        Where parsed files are kept; None reads all.

    Raises
    ------
    MarketDataError
        When there is nothing to read, or a table beside the bars is wrong. Problems of bars are returned.
    """
    found = find_files(folder, options)
    own = fields_of(found.bars)
    found.bars = [file for file in found.bars if file not in own.values()]
    readings = [read_file(file, folder, options, cache) for file in track(found.bars, "reading files")]
    if own:
        readings.append(read_field_files(own, folder, options))
        found.bars.append(own["close"])
    readings, found = _set_securities_apart(readings, found, folder)
    _refuse_unused_actions(readings)
    _refuse_currencies(readings)
    readings = _settle_order_of_dates(readings, found.bars, folder, options, cache)
    broken = [reading for reading in readings if reading.broken is not None]
    good = [reading for reading in readings if reading.rows is not None]
    seen = Observation(
        {reading.file: reading.layout for reading in readings if reading.layout and reading.broken is None}
    )
    seen.problems = [SourceProblem(reading.file, None, None, str(reading.broken)) for reading in broken]
    too_many = len(broken) >= len(readings) - len(broken)
    real = [problem for reading in readings for problem in reading.problems]
    draft = _joined(good, options)
    draft.problems += real
    for file in found.litter:
        draft.note_file(file.name, "litter", "no file of a vendor")
    for name, why in found.unread.items():
        draft.note_file(name, "file_left_out", why)
    for reading in broken:
        draft.note_file(reading.file, "file_left_out", str(reading.broken))
    for reading in readings:
        if reading.rows is None and reading.broken is None:
            draft.note_file(reading.file, "file_left_out", "see the problems")
    tidy_instruments(draft, options)
    _read_dates(draft, seen, options)
    rename_instruments(draft, read_renames(found.renames))
    exclude_rows(draft, options)
    for reading in readings:
        if reading.layout and reading.broken is None:
            seen.adjusted[reading.file] = options.adjusted or reading.adjusted
    _finish(draft, seen, options)
    _set_benchmark(seen, draft, found, folder, options)
    _add_tables(seen, found, options, draft)
    seen.problems = sorted([*seen.problems, *draft.problems], key=lambda problem: -problem.size)
    seen.findings = draft.all_findings()
    unread = any(reading.rows is None and reading.broken is None for reading in readings)
    refusing = bool(draft.problems) and (options.on_problem == "refuse" or (unread and not good))
    seen.is_refused = refusing or (bool(broken) and too_many) or seen.rows.empty
    return seen


def _set_securities_apart(readings: list[Reading], found: FoundFiles, folder: Path) -> tuple[list[Reading], FoundFiles]:
    """Take a table of symbols, names and sectors that lies among the bars for what it is."""
    apart = [index for index, reading in enumerate(readings) if reading.broken and is_securities(reading.header)]
    if not apart:
        return readings, found
    if found.securities is None:
        found.securities = found.bars[apart[0]]
    found.bars = [file for index, file in enumerate(found.bars) if index not in apart]
    return [reading for index, reading in enumerate(readings) if index not in apart], found


def _refuse_unused_actions(readings: list[Reading]) -> None:
    """Refuse files of splits, dividends or factors beside the bars: left out, they would change returns."""
    for reading in readings:
        is_bars = bool({"open", "high", "low"} & set(reading.fields))
        named = bool(reading.header) and holds_actions(Path(reading.file).stem, reading.header)
        if reading.broken is not None and named and not is_bars:
            what = (
                "may hold splits, dividends or factors of adjustment, and would not be used; put them into columns "
                "`split` and `dividend` of the bars, or name the bars alone with `bars`, such as `bars: prices/*.csv`"
            )
            reading.problems.append(SourceProblem(reading.file, None, None, what))
            reading.broken = None


def _refuse_currencies(readings: list[Reading]) -> None:
    """Refuse files whose prices are of different currencies."""
    stated = {reading.currency[1] for reading in readings} - {""}
    if len(stated) > 1:
        first = next(reading for reading in readings if reading.currency[1])
        others = f"together with the other files, {several_currencies(stated, first.currency[0])}"
        first.problems.append(SourceProblem(first.file, None, None, others, len(readings)))


def _settle_order_of_dates(
    readings: list[Reading], files: list[Path], folder: Path, options: FilesMarketParameters, cache: Path | None
) -> list[Reading]:
    """Read files of which no date says where its day is as the other files of the same layout say."""
    if not any(reading.ambiguous for reading in readings):
        return readings
    settled = []
    for reading, file in zip(readings, files, strict=True):
        votes = {other.day_first for other in readings if other.layout == reading.layout} - {None}
        if reading.ambiguous and len(votes) == 1:
            reading = read_file(file, folder, options.model_copy(update={"day_first": votes.pop()}), cache)
        settled.append(reading)
    return settled


def _joined(readings: list[Reading], options: FilesMarketParameters) -> Draft:
    files = [reading.file for reading in readings]
    tables = []
    for index, reading in enumerate(readings):
        assert reading.rows is not None
        layout = layout_of(reading.layout)
        stated = {"dividend", "split"} & set(reading.rows.columns)
        derived = not stated and (
            (layout.derived and "vendor_adjusted_close" in reading.rows) or "previous_close" in reading.rows
        )
        adjusted = options.adjusted or layout.adjusted
        rows = reading.rows.assign(file=index, kind=reading.kind, adjusted=adjusted, derived=derived)
        if options.adjusted is None and rows["adjusted_row"].any():
            rows.loc[rows["adjusted_row"], "adjusted"] = ALL
            rows["derived"] &= ~rows["adjusted_row"]
        tables.append(rows)
    if not tables:
        names = ("line", "date", "instrument", *PRICES, "volume", *_OPTIONAL, "bad", "bad_price", "bad_action")
        empty = pd.DataFrame(
            {name: [] for name in (*names, "timed", "footer", "suspended", "file", "kind", "adjusted", "derived")}
        )
        return Draft(
            empty.astype({"date": "datetime64[ns]", "instrument": "str"}), files, options.on_problem == "leave_out"
        )
    rows = pd.concat(tables, ignore_index=True)
    for name, default in _OPTIONAL.items():
        rows[name] = rows[name].fillna(default) if name in rows else default
    rows["suspended"] = rows["suspended"].fillna(False).astype(bool) if "suspended" in rows else False
    if options.price_unit is not None:
        for name in (*PRICES, "dividend", "vendor_adjusted_close", "previous_close"):
            rows[name] = rows[name] * options.price_unit
    return Draft(rows, files, options.on_problem == "leave_out")


def _read_dates(draft: Draft, seen: Observation, options: FilesMarketParameters) -> None:
    """Choose the calendar, turn instants into its dates, and recognise bars that are not daily."""
    rows = draft.rows
    dated = rows[rows["date"].notna() & ~rows["timed"] & rows[list(PRICES)].notna().any(axis=1)]
    if dated.empty:
        return
    if options.time_zone is not None:
        local = rows["kind"] == "local"
        moved = rows.loc[local, "date"].dt.tz_localize(options.time_zone, ambiguous="NaT", nonexistent="shift_forward")
        rows.loc[local, "date"] = moved.dt.tz_convert("UTC").dt.tz_localize(None)
        rows.loc[local, "kind"] = "instant"
    values = dated[["date", "kind"]].drop_duplicates()
    if options.calendar != AUTO:
        seen.calendar = options.calendar
    elif length_of_bars(dated.assign(date=dated["date"].dt.normalize())) == DAILY:
        seen.calendar = choose_calendar(values, pd.Index(dated["instrument"].unique()), set(seen.layouts.values())).name
    rows["moment"] = rows["date"]
    zone = zone_of(seen.calendar, values["date"])
    for kind in rows["kind"].unique():
        which = rows["kind"] == kind
        rows.loc[which, "date"] = session_dates(rows.loc[which, "date"], kind, zone)
    _settle_intraday(draft, seen, options)


def _settle_intraday(draft: Draft, seen: Observation, options: FilesMarketParameters) -> None:
    rows = draft.rows
    timed = rows["kind"] != "date"
    if not timed.any():
        return
    again = rows.duplicated(["instrument", "date"], keep=False) & (rows["moment"] != rows["date"])
    share = again.groupby(rows["file"]).mean()
    intraday = rows["file"].isin(share[share > 0.1].index)
    if not intraday.any():
        return
    if options.intraday == "resample":
        clean = intraday & ~rows["bad"]
        made = resample_sessions(rows[clean])
        draft.note(made, "resampled", "a session made of shorter bars")
        draft.rows = pd.concat([rows[~clean], made], ignore_index=True)
        return
    names = [draft.files[place] for place in rows.loc[intraday, "file"].unique()]
    per_day = rows[intraday].groupby(["instrument", "date"]).size().median()
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


def _finish(draft: Draft, seen: Observation, options: FilesMarketParameters) -> None:
    """Leave out what is no bar, refuse what is wrong, and restore prices as traded."""
    leave_out_no_bars(draft)
    refuse_bad_cells(draft)
    refuse_impossible_dates(draft)
    merge_duplicates(draft)
    if len(draft.rows):
        seen.frequency = length_of_bars(draft.rows)
    if seen.frequency not in (DAILY, INTRADAY):
        draft.problems.append(
            SourceProblem(
                draft.files[0], None, None,
                f"these bars are {seen.frequency}, and daily ones are needed; export them again with one bar a session",
                len(draft.rows),
            )
        )  # fmt: skip
    elif seen.frequency == DAILY:
        better = None
        if options.calendar != AUTO and len(draft.rows):
            values = draft.rows[["date"]].drop_duplicates().assign(kind="date")
            layouts = set(seen.layouts.values())
            better = choose_calendar(values, pd.Index(draft.rows["instrument"].unique()), layouts).name
        keep_sessions(draft, seen.calendar, better)
    draft.rows = draft.rows.sort_values(["instrument", "date"], kind="stable", ignore_index=True)
    refuse_unknown_ratios(draft)
    derive_actions(draft.rows, draft)
    check_joined_files(draft)
    check_splits(draft)
    draft.rows = restore_traded(draft.rows)
    check_dividends(draft)
    refuse_wrong_units(draft)
    refuse_mixed_columns(draft)
    if options.volume_unit is None:
        refuse_wrong_amounts(draft)
    note_listings_twice(draft)
    note_possible_renames(draft)
    names = ["date", "instrument", *PRICES, "volume", "dividend", "split", "vendor_adjusted_close", "amount", "file"]
    seen.rows = draft.rows[names].astype({"instrument": "str"})


def _set_benchmark(
    seen: Observation, draft: Draft, found: FoundFiles, folder: Path, options: FilesMarketParameters
) -> None:
    """Take the benchmark from its file, or from among the bars, of which it is then no part."""
    name = options.benchmark
    if found.benchmark is None:
        if name is None:
            return
        own = seen.rows["instrument"] == name
        if not own.any():
            draft.problems.append(
                SourceProblem(name, None, None, "is the `benchmark`, but neither a file nor an instrument of the bars")
            )
            return
        seen.benchmark = seen.rows[own].reset_index(drop=True)
        seen.rows = seen.rows[~own].reset_index(drop=True)
        return
    own_options = options.model_copy(
        update={"bars": found.benchmark.name, "calendar": seen.calendar, "benchmark": None}
    )
    reading = read_file(found.benchmark, folder, own_options)
    if reading.rows is None:
        what = reading.broken or "cannot be read"
        draft.problems += reading.problems or [SourceProblem(reading.file, None, None, f"is the benchmark and {what}")]
        return
    part = _joined([reading], options)
    part.problems += reading.problems
    inner = Observation(layouts={reading.file: reading.layout})
    tidy_instruments(part, options)
    _read_dates(part, inner, own_options)
    _finish(part, inner, own_options)
    draft.problems += part.problems
    draft.findings += part.findings
    instruments = inner.rows["instrument"].unique()
    if len(instruments) != 1:
        what = f"is the benchmark and holds {len(instruments)} instruments; it has to be one"
        draft.problems.append(SourceProblem(reading.file, None, None, what))
        return
    seen.benchmark = inner.rows
    among = seen.rows["instrument"] == instruments[0]
    if among.any():
        first = seen.rows[among].head(1)
        draft.note(first, "benchmark_left_out", "the benchmark is no instrument of the market")
        seen.rows = seen.rows[~among].reset_index(drop=True)


def _add_tables(seen: Observation, found: FoundFiles, options: FilesMarketParameters, draft: Draft) -> None:
    if found.securities is not None:
        seen.securities = read_securities(found.securities)
        unknown = sorted(set(seen.rows["instrument"]) - set(seen.securities["instrument"])) if len(seen.rows) else []
        if options.securities is not None:
            what = "has bars but is not listed in this file; add it"
            draft.problems += [SourceProblem(options.securities, None, name, what) for name in unknown]
        elif unknown:
            listed = ", ".join(unknown[:5])
            draft.note_file(found.securities.name, "unlisted", f"does not list {listed}")
    stated = read_delistings(found.delistings, seen.securities)
    if len(seen.rows):
        name = "securities" if found.delistings is None else found.delistings.name
        for slip, right in slips(stated["instrument"], seen.rows["instrument"]).items():
            what = f"is no instrument of the bars, in which {right} is; correct the name of the delisting"
            draft.problems.append(SourceProblem(name, None, slip, what))
        seen.delistings = delisting_actions(stated, seen.rows, seen.calendar, draft.problems)


__all__ = ["AMBIGUOUS", "Observation", "observe"]
