"""The source ``files``: a folder of the user's files as a market."""

from __future__ import annotations

import logging
import shlex
from functools import partial
from pathlib import Path

import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of, say_first
from quant_pipeline.market.benchmark import check_benchmark
from quant_pipeline.market.data import MarketData, SourceProblem
from quant_pipeline.market.quality import no_findings
from quant_pipeline.market.sources.derived import (
    PRICES,
    actions_beside,
    list_instruments,
    total_return_of,
)
from quant_pipeline.market.sources.files.kept_observation import observe_at_rest
from quant_pipeline.market.sources.files.observed_market import Observation
from quant_pipeline.market.sources.files.options import FilesMarketParameters, FilesSourceParameters
from quant_pipeline.market.sources.source import MarketRequest, MarketSource

logger = logging.getLogger(__name__)

LISTED_PROBLEMS = 20
LATEST = "latest"


def read_market_files(
    folder: Path, parameters: FilesMarketParameters, as_of: str, cache_folder: Path | None = None
) -> MarketData:
    """Read a market from files.

    Parameters
    ----------
    folder
        Where the files lie.
    parameters
        Which files, and what they cannot say themselves.
    as_of
        The as-of session, ``YYYY-MM-DD``, or ``latest``; later rows are not seen.
    cache_folder
        Where parsed files and the market that was made of them are kept, so that only changed files are read again;
        None reads all.

    Returns
    -------
    MarketData
        As known at the close of ``as_of``.

    Raises
    ------
    MarketDataError
        With every problem of every file: the file, the row and what is wrong; or when files are written meanwhile.
    """
    seen = observe_at_rest(folder, parameters, cache_folder)
    if seen.is_refused:
        raise all_problems(seen.problems, folder)
    say_left_out(seen.problems)
    return market_at(seen, as_of)


def market_at(seen: Observation, as_of: str) -> MarketData:
    """Return what of an observed market was known at the close of a session.

    Raises
    ------
    MarketDataError
        When there are no bars up to then, or the benchmark ends before.
    """
    cut = seen.rows["date"].max() if as_of == LATEST else pd.Timestamp(as_of)
    is_known = (seen.rows["date"] <= cut).to_numpy()
    known = seen.rows if is_known.all() else seen.rows[is_known].reset_index(drop=True)
    if known.empty:
        raise MarketDataError(
            f"the bars begin on {seen.rows['date'].min():%Y-%m-%d}, after as_of={as_of}; pass a later one, or none"
        )
    names = [name for name in ("vendor_adjusted_close",) if name in known and known[name].notna().any()]
    bars = known[["date", "instrument", *PRICES, "volume", *names]]
    delistings = seen.delistings[seen.delistings["date"] <= cut]
    order = ["date", "instrument", "kind"]
    actions = actions_beside(known)
    if len(delistings):
        actions = pd.concat([actions, delistings]).sort_values(order, kind="stable", ignore_index=True)
    index, noted = None, no_findings()
    if seen.benchmark is not None:
        index = total_return_of(seen.benchmark[seen.benchmark["date"] <= cut])
        last = bars["date"].max()
        if index.empty or index["date"].max() < last:
            raise MarketDataError(
                f"the benchmark ends on {seen.benchmark['date'].max():%Y-%m-%d}, before the bars, which end on "
                f"{last:%Y-%m-%d}; bring its newer bars, or leave `benchmark` out"
            )
        noted = check_benchmark(index, pd.DatetimeIndex(bars["date"].unique()).sort_values())
    instruments = list_instruments(bars, seen.securities, delistings)
    # Rows that are no bars may follow the last bar.
    own = seen.findings if cut >= seen.rows["date"].max() else seen.findings[~(seen.findings["date"] > cut)]
    findings = pd.concat([own, noted], ignore_index=True)
    return MarketData(bars, actions, instruments, index, cut, tuple(seen.problems), findings)


def all_problems(problems: list[SourceProblem], folder: Path) -> MarketDataError:
    """Return one error with every problem of the files, the largest first."""
    return list_problems(
        problems,
        folder,
        "Correct the files, or leave out what is wrong: `on_problem: leave_out`, or `exclude` with instrument and "
        f"dates. `kedro market check {shlex.quote(str(folder))}` shows all of it",
    )


def say_left_out(problems: list[SourceProblem]) -> None:
    """Warn of what was left out, the largest first; findings and the log have all of it."""
    ordered = sorted(problems, key=lambda problem: -problem.size)
    say_first(partial(logger.warning, "left out: %s"), ordered)


def list_problems(problems: list[SourceProblem], folder: Path, remedy: str) -> MarketDataError:
    """Return one error with every problem, the largest first, and the remedy."""
    ordered = sorted(problems, key=lambda problem: -problem.size)
    listed = first_of(ordered, "\n  ", limit=LISTED_PROBLEMS)
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return MarketDataError(f"{count} in the files of {folder}:\n  {listed}\n{remedy}")


def _read(parameters: FilesSourceParameters, request: MarketRequest) -> MarketData:
    return read_market_files(parameters.folder, parameters, request.as_of, request.cache)


FILES = MarketSource(FilesSourceParameters, _read)
