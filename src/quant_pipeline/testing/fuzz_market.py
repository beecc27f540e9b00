"""Read random markets in every layout, whole and mutated: the truth, or a named problem, never anything else.

``make fuzz-market`` runs this; its last line is a JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.quality import QualityParameters, check_bars
from quant_pipeline.market.sources.derived import actions_beside
from quant_pipeline.market.sources.files.observation import Observation, observe
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.testing.market_to_write import Written, random_market
from quant_pipeline.testing.mutations import MUTATIONS
from quant_pipeline.testing.vendor_files import WRITERS

TOLERANCE = 1e-12
KEY = ["instrument", "date"]
HARMLESS = {"zero_volume", "constant_price", "bar_consistency", "derived_dividend", "derived_split"}
"""Findings that explain no other return."""
FILES_OF_A_FOLDER = 24
"""Instruments of a market whose files are mutated: together they cost little more than one."""


@dataclass
class Tally:
    """What a fuzzing found.

    Attributes
    ----------
    layouts, mutations
        How many layouts were written, how many files mutated.
    tracebacks, silent_differences
        Descriptions of failures.
    """

    layouts: int = 0
    mutations: int = 0
    tracebacks: list[str] = field(default_factory=list)
    silent_differences: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, int]:
        """Return the four counts."""
        return {
            "layouts": self.layouts, "mutations": self.mutations,
            "tracebacks": len(self.tracebacks), "silent_differences": len(self.silent_differences),
        }  # fmt: skip


@contextmanager
def written_market(layout: str, seed: int, instruments: int = 3) -> Iterator[tuple[Path, Written]]:
    """Write a random market in one layout into a folder that lives as long as the context."""
    write, calendar = WRITERS[layout]
    with tempfile.TemporaryDirectory(prefix="fuzz-market-") as name:
        yield Path(name), write(Path(name), random_market(seed, calendar, instruments=instruments))


def differences(seen: Observation, truth: pd.DataFrame) -> list[str]:
    """Return in what a reading differs from the truth, beyond rounding."""
    right = truth.sort_values(KEY, kind="stable").reset_index(drop=True)
    read = seen.rows
    if len(read) != len(right) or not all((read[name].to_numpy() == right[name].to_numpy()).all() for name in KEY):
        return [f"{len(read)} bars instead of {len(right)}, or others"]
    wrong = []
    for name in ("open", "high", "low", "close", "volume", "dividend", "split"):
        size = np.maximum(np.abs(right[name]), right["close"] if name == "dividend" else 1e-9)
        worst = float((np.abs(read[name] - right[name]) / size).max())
        if worst > TOLERANCE:
            wrong.append(f"{name} differs by {worst:.2g}")
    return wrong


def silent_differences(seen: Observation, truth: pd.DataFrame, owners: Mapping[str, str] | None = None) -> list[str]:
    """Return in what the returns of a reading differ from the truth although nothing says so.

    Parameters
    ----------
    seen
        The reading of a folder with mutated files.
    truth
        Bars that were written.
    owners
        Instrument to its file, about which a problem may be noted; None when every file holds all of them.
    """
    named = {problem.file for problem in seen.problems}
    if owners is None and (named or "footer" in set(seen.findings["check"])):
        # The only mutated file is named, or the line at which it was cut.
        return []
    if seen.rows.empty:
        return [] if seen.problems else ["nothing was read and nothing was said"]
    right, read = _returns(truth), _returns(seen.rows)
    both = right.index.intersection(read.index)
    wrong = np.abs(right[both] - read[both]) > 1e-9
    changed = [*both[wrong], *read.index.difference(right.index), *right.index.difference(read.index)]
    silent = {instrument for instrument, _ in changed if (owners or {}).get(instrument) not in named}
    silent -= _noted(seen, silent) if silent else set()
    found: dict[str, str] = {}
    for instrument, date in changed:
        if instrument in silent:
            expected, got = (table.get((instrument, date)) for table in (right, read))
            found.setdefault(instrument, f"{instrument} on {date:%Y-%m-%d}: {expected} read as {got}")
    return list(found.values())


def _returns(bars: pd.DataFrame) -> pd.Series:
    """Return the cash per share that the holder received since the bar before, with splits and dividends."""
    ordered = bars.sort_values(KEY, kind="stable")
    before = ordered["close"].groupby(ordered["instrument"], sort=False).shift()
    returns = ((ordered["close"] + ordered["dividend"]) * ordered["split"] / before - 1.0).fillna(0.0)
    return pd.Series(returns.to_numpy(), index=pd.MultiIndex.from_frame(ordered[KEY]))


def _noted(seen: Observation, instruments: set[str]) -> set[str]:
    """Return which of some instruments a finding or a problem was noted about."""
    found = seen.findings[~seen.findings["check"].isin(HARMLESS)]
    noted = set(found["instrument"]) | {str(problem.instrument) for problem in seen.problems}
    bars = seen.rows[seen.rows["instrument"].isin(instruments - noted)]
    if bars.empty:
        return noted
    sessions = TradingCalendar.within_bounds(seen.calendar, bars["date"].min(), bars["date"].max()).sessions
    checked = check_bars(bars, actions_beside(bars), sessions, QualityParameters())
    return noted | set(checked.loc[~checked["check"].isin(HARMLESS), "instrument"])


def fuzz(mutations: int, seed: int, layouts: Sequence[str] = tuple(WRITERS)) -> Tally:
    """Read every layout as it is written, then folders of which files are mutated at random.

    Parameters
    ----------
    mutations
        How many files are mutated, at least.
    seed
        Of everything that is random.
    layouts
        Names of the writers.
    """
    random = np.random.default_rng(seed)
    tally = Tally(layouts=len(layouts))
    for layout in layouts:
        with written_market(layout, seed) as (folder, written):
            try:
                wrong = differences(observe(folder, FilesMarketParameters()), written.bars)
            except MarketDataError as error:
                wrong = [str(error)]
            if wrong:
                tally.silent_differences.append(f"{layout}, not mutated: {wrong}")
    while tally.mutations < mutations:
        for layout in layouts:
            if tally.mutations < mutations:
                mutate_folder(tally, layout, int(random.integers(2**31)))
    return tally


def mutate_folder(tally: Tally, layout: str, seed: int) -> None:
    """Write a market, mutate its files, read the folder and count what fails.

    Where each instrument has a file of its own, all files but two are mutated, else one.
    """
    random = np.random.default_rng(seed)
    with written_market(layout, seed, FILES_OF_A_FOLDER) as (folder, written):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
        names = {path: path.relative_to(folder).as_posix() for path in files}
        owners = _owners(names.values(), written.bars["instrument"].unique())
        chosen = random.permutation(len(files))[: 1 if owners is None else len(files) - 2]
        done = {}
        for place in chosen:
            for name in random.permutation(list(MUTATIONS)):
                if MUTATIONS[str(name)](files[place], random):
                    done[names[files[place]]] = str(name)
                    break
        tally.mutations += len(done)
        what = f"{layout}, seed {seed}"
        try:
            seen = observe(folder, FilesMarketParameters())
            wrong = silent_differences(seen, written.bars, owners)
        except MarketDataError as error:
            # A single file may leave nothing to read; one of many must not.
            wrong = [] if owners is None else [f"all of it is refused: {error}"]
        except Exception:  # noqa: BLE001 - every other kind is a failure that is looked for
            tally.tracebacks.append(f"{what}, {done}: {traceback.format_exc(limit=-3)}")
            return
        tally.silent_differences += [f"{what}, {done}: {text}" for text in wrong]


def _owners(files: Iterable[str], instruments: Iterable[str]) -> dict[str, str] | None:
    """Return the file of each instrument, which is named after it; None where files hold several."""
    found = {name: [file for file in files if name in file] for name in instruments}
    return {name: own[0] for name, own in found.items()} if all(len(own) == 1 for own in found.values()) else None


@click.command()
@click.option("--mutations", default=10_000, show_default=True, help="How many files are mutated.")
@click.option("--seed", default=0, show_default=True, help="Of everything that is random.")
def main(mutations: int, seed: int) -> None:
    """Fuzz the reader of market files."""
    tally = fuzz(mutations, seed)
    for failure in [*tally.tracebacks, *tally.silent_differences]:
        click.echo(failure)
    click.echo(json.dumps(tally.summary()))
    sys.exit(1 if tally.tracebacks or tally.silent_differences else 0)


if __name__ == "__main__":
    main()
