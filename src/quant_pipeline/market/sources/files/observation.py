"""All files of a folder, read and put together: bars as traded, actions, and everything that was noted."""

from __future__ import annotations

from pathlib import Path

from quant_pipeline.common.progress import track
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.benchmark_bars import set_benchmark
from quant_pipeline.market.sources.files.cleaning import exclude_rows, rename_instruments, tidy_instruments
from quant_pipeline.market.sources.files.discovery import FoundFiles, find_files
from quant_pipeline.market.sources.files.draft import Draft
from quant_pipeline.market.sources.files.drafting import clean_bars, join_readings, read_session_dates
from quant_pipeline.market.sources.files.field_files import fields_of
from quant_pipeline.market.sources.files.file_reading import Reading
from quant_pipeline.market.sources.files.folder_problems import (
    note_adjusted_names,
    note_lacking_actions,
    refuse_currencies,
    refuse_unused_actions,
)
from quant_pipeline.market.sources.files.instrument_names import printable
from quant_pipeline.market.sources.files.observed_market import DAILY, Observation
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import AMBIGUOUS, read_field_files
from quant_pipeline.market.sources.files.reading_cache import ReadingCache
from quant_pipeline.market.sources.files.tables import (
    delisting_actions,
    is_securities,
    read_delistings,
    read_renames,
    read_securities,
    slips,
)


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
    kept = ReadingCache(cache)
    readings = list(track(kept.read_all(found.bars, folder, options), "reading files", len(found.bars)))
    if found.deeper and all(reading.broken is not None for reading in readings):
        # Lists of symbols lie above folders of bars.
        readings += track(kept.read_all(found.deeper, folder, options), "reading files", len(found.deeper))
        found.bars += found.deeper
        found.unread = {name: why for name, why in found.unread.items() if folder / name not in found.deeper}
    if own:
        readings.append(read_field_files(own, folder, options))
        found.bars.append(own["close"])
    readings, found = _set_securities_apart(readings, found, folder)
    refuse_unused_actions(readings)
    refuse_currencies(readings)
    readings = _settle_order_of_dates(readings, found.bars, folder, options, kept)
    kept.prune()
    broken = [reading for reading in readings if reading.broken is not None]
    good = [reading for reading in readings if reading.held is not None]
    seen = Observation(
        {reading.file: reading.layout for reading in readings if reading.layout and reading.broken is None}
    )
    seen.problems = [SourceProblem(reading.file, None, None, str(reading.broken)) for reading in broken]
    too_many = len(broken) >= len(readings) - len(broken)
    real = [problem for reading in readings for problem in reading.problems]
    draft = join_readings(good, options)
    draft.problems += real
    for file in found.litter:
        draft.note_file(printable(file.name), "litter", "no file of a vendor")
    for name, why in found.unread.items():
        draft.note_file(printable(name), "file_left_out", why)
    for reading in broken:
        draft.note_file(reading.file, "file_left_out", str(reading.broken))
    for reading in readings:
        if reading.held is None and reading.broken is None:
            draft.note_file(reading.file, "file_left_out", "see the problems")
    if options.adjusted is None:
        note_lacking_actions(draft, readings)
        note_adjusted_names(draft, readings)
    tidy_instruments(draft, options)
    read_session_dates(draft, seen, options)
    rename_instruments(draft, read_renames(found.renames))
    exclude_rows(draft, options)
    for reading in readings:
        if reading.layout and reading.broken is None:
            seen.adjusted[reading.file] = options.adjusted or reading.adjusted
    clean_bars(draft, seen, options)
    set_benchmark(seen, draft, found, folder, options)
    _add_tables(seen, found, options, draft)
    seen.problems = sorted([*seen.problems, *draft.problems], key=lambda problem: -problem.size)
    seen.findings = draft.all_findings()
    unread = any(reading.held is None and reading.broken is None for reading in readings)
    refusing = bool(draft.problems) and (options.on_problem == "refuse" or (unread and not good))
    seen.is_blocked = draft.is_blocked or any(reading.is_blocking for reading in readings)
    seen.is_refused = refusing or seen.is_blocked or (bool(broken) and too_many) or seen.rows.empty
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


def _settle_order_of_dates(
    readings: list[Reading], files: list[Path], folder: Path, options: FilesMarketParameters, kept: ReadingCache
) -> list[Reading]:
    """Read files of which no date says where its day is as the other files of the same layout say."""
    if not any(reading.ambiguous for reading in readings):
        return readings
    settled = []
    for reading, file in zip(readings, files, strict=True):
        votes = {other.day_first for other in readings if other.layout == reading.layout} - {None}
        if reading.ambiguous and len(votes) == 1:
            reading = kept.read(file, folder, options.model_copy(update={"day_first": votes.pop()}))
        settled.append(reading)
    return settled


def _add_tables(seen: Observation, found: FoundFiles, options: FilesMarketParameters, draft: Draft) -> None:
    if found.securities is not None:
        seen.securities = read_securities(found.securities)
        unknown = sorted(set(seen.rows["instrument"]) - set(seen.securities["instrument"])) if len(seen.rows) else []
        if options.securities is not None:
            what = "has bars but is not listed in this file; add it"
            draft.problems += [SourceProblem(options.securities, None, name, what) for name in unknown]
        elif unknown:
            draft.note_instruments(unknown, "unlisted", f"{printable(found.securities.name)} does not list it")
    stated = read_delistings(found.delistings, seen.securities)
    if len(seen.rows):
        name = "securities" if found.delistings is None else printable(found.delistings.name)
        for slip, right in slips(stated["instrument"], seen.rows["instrument"]).items():
            what = f"is no instrument of the bars, in which {right} is; correct the name of the delisting"
            draft.refuse_market(SourceProblem(name, None, slip, what))
        seen.delistings = delisting_actions(stated, seen.rows, seen.calendar, draft.problems)


__all__ = ["AMBIGUOUS", "DAILY", "Observation", "observe"]
