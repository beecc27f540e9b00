"""Read random markets in every layout, whole and mutated: the truth, or a named problem, never anything else.

``make fuzz-market`` runs this; its last line is a JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.quality import QualityParameters, check_bars
from quant_pipeline.market.sources.derived import actions_beside
from quant_pipeline.market.sources.files.observation import Observation, observe
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.testing.mutations import MUTATIONS
from quant_pipeline.testing.vendor_files import WRITERS, Written, random_market

TOLERANCE = 1e-12
KEY = ["instrument", "date"]
HARMLESS = {"zero_volume", "constant_price", "bar_consistency", "derived_dividend", "derived_split"}
"""Findings that explain no other return."""


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
def written_market(layout: str, seed: int) -> Iterator[tuple[Path, Written]]:
    """Write a random market in one layout into a folder that lives as long as the context."""
    write, calendar = WRITERS[layout]
    with tempfile.TemporaryDirectory(prefix="fuzz-market-") as name:
        yield Path(name), write(Path(name), random_market(seed, calendar))


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


def silent_difference(seen: Observation, truth: pd.DataFrame, file: str) -> str | None:
    """Return in what the returns of a reading differ from the truth although nothing says so; None when nothing does.

    Parameters
    ----------
    seen
        The reading of a mutated folder.
    truth
        Bars that were written.
    file
        Name of the mutated file.
    """
    if seen.is_refused or any(problem.file == file for problem in seen.problems):
        return None
    if "footer" in set(seen.findings["check"]):
        # The line at which the file was cut.
        return None
    if seen.rows.empty:
        return "nothing was read and nothing was said"
    right, read = _returns(truth), _returns(seen.rows)
    both = right.index.intersection(read.index)
    wrong = np.abs(right[both] - read[both]) > 1e-9
    others = read.index.difference(right.index)
    missing = right.index.difference(read.index)
    changed = [*both[wrong], *others, *missing]
    named = _named(seen) if changed else set()
    for instrument, date in changed:
        if instrument not in named:
            expected, found = (table.get((instrument, date)) for table in (right, read))
            return f"{instrument} on {date:%Y-%m-%d}: {expected} read as {found}"
    return None


def _returns(bars: pd.DataFrame) -> pd.Series:
    ordered = bars.sort_values(KEY, kind="stable").reset_index(drop=True)
    adjusted = adjust_bars(ordered, actions_beside(ordered))
    returns = adjusted["close"].groupby(adjusted["instrument"], sort=False).pct_change().fillna(0.0)
    return pd.Series(returns.to_numpy(), index=pd.MultiIndex.from_frame(ordered[KEY]))


def _named(seen: Observation) -> set[str]:
    """Return instruments about which a finding was noted."""
    bars = seen.rows
    sessions = TradingCalendar.within_bounds(seen.calendar, bars["date"].min(), bars["date"].max()).sessions
    found = check_bars(bars, actions_beside(bars), sessions, QualityParameters())
    both = pd.concat([found, seen.findings])
    return set(both.loc[~both["check"].isin(HARMLESS), "instrument"])


def fuzz(mutations: int, seed: int, layouts: Sequence[str] = tuple(WRITERS)) -> Tally:
    """Read every layout as it is written, then mutate files at random.

    Parameters
    ----------
    mutations
        How many.
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
        layout = str(random.choice(list(layouts)))
        name = str(random.choice(list(MUTATIONS)))
        own = int(random.integers(2**31))
        _mutate_once(tally, layout, name, own)
    return tally


def _mutate_once(tally: Tally, layout: str, name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    with written_market(layout, seed) as (folder, written):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
        file = files[int(random.integers(len(files)))]
        if not MUTATIONS[name](file, random):
            return
        tally.mutations += 1
        what = f"{layout}, {name}, seed {seed}"
        try:
            seen = observe(folder, FilesMarketParameters())
            wrong = silent_difference(seen, written.bars, file.relative_to(folder).as_posix())
        except MarketDataError:
            return
        except Exception:  # noqa: BLE001 - every other kind is a failure that is looked for
            tally.tracebacks.append(f"{what}: {traceback.format_exc(limit=-3)}")
            return
        if wrong is not None:
            tally.silent_differences.append(f"{what}: {wrong}")


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
