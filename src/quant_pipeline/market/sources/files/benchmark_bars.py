"""The benchmark of a market of files: a file of its own, or an instrument of the bars."""

from __future__ import annotations

from pathlib import Path

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.cleaning import tidy_instruments
from quant_pipeline.market.sources.files.discovery import FoundFiles
from quant_pipeline.market.sources.files.draft import Draft
from quant_pipeline.market.sources.files.drafting import clean_bars, join_readings, read_session_dates
from quant_pipeline.market.sources.files.observed_market import Observation
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import read_file


def set_benchmark(
    seen: Observation, draft: Draft, found: FoundFiles, folder: Path, options: FilesMarketParameters
) -> None:
    """Take the benchmark from its file, or from among the bars, of which it is then no part."""
    name = options.benchmark
    if found.benchmark is None:
        if name is None:
            return
        own = seen.rows["instrument"] == name
        if not own.any():
            draft.refuse_market(
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
        for problem in reading.problems or [SourceProblem(reading.file, None, None, f"is the benchmark and {what}")]:
            draft.refuse_market(problem)
        return
    part = join_readings([reading], options)
    part.problems += reading.problems
    inner = Observation(layouts={reading.file: reading.layout})
    tidy_instruments(part, options)
    read_session_dates(part, inner, own_options)
    clean_bars(part, inner, own_options)
    draft.problems += part.problems
    draft.is_blocked |= part.is_blocked
    draft.findings += part.findings
    instruments = inner.rows["instrument"].unique()
    if len(instruments) != 1:
        what = f"is the benchmark and holds {len(instruments)} instruments; it has to be one"
        draft.refuse_market(SourceProblem(reading.file, None, None, what))
        return
    seen.benchmark = inner.rows
    among = seen.rows["instrument"] == instruments[0]
    if among.any():
        first = seen.rows[among].head(1)
        draft.note(first, "benchmark_left_out", "the benchmark is no instrument of the market")
        seen.rows = seen.rows[~among].reset_index(drop=True)
