"""One measurement of `second_core.py`: a stage on the cores that this process was given."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from quant_pipeline.common.openmp import let_waiting_threads_sleep

logging.disable(logging.INFO)
let_waiting_threads_sleep()  # As commands do.

Work = Callable[[], Iterable[Any]]
"""What is timed; it returns arrays and tables, whose bits are compared."""

END = "2024-12-30"
SEED = 7


def make_inputs(folder: Path, names: int, years: int) -> None:
    """Write bars, sessions, a CSV file per name, and a panel of Alpha158; what is there already stays."""
    import pandas as pd
    from daily import write_market

    from quant_pipeline.datasets.panel import YearlyPanel
    from quant_pipeline.market.price_adjustment import adjust_bars
    from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market

    if (folder / "panel" / "_manifest.json").exists():
        return
    write_market(folder / "files", names, years)
    market = generate_market(SimulatedMarketParameters(start=f"{2025 - years}-01-02", end=END, n_instruments=names))
    tables = {"bars": market.bars, "actions": market.corporate_actions, "instruments": market.instruments}
    tables["benchmark"] = market.benchmark
    tables["adjusted"] = adjust_bars(market.bars, market.corporate_actions)
    tables["sessions"] = pd.DataFrame({"date": market.sessions})
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    YearlyPanel(str(folder / "panel")).save(_features(folder))


def _tables(folder: Path, *names: str) -> list[Any]:
    import pandas as pd

    return [pd.read_parquet(folder / f"{name}.parquet") for name in names]


def _features(folder: Path) -> Any:
    from quant_pipeline.factors.feature_sets import FeatureSet
    from quant_pipeline.pipelines.features.nodes import compute_feature_set

    return compute_feature_set(*_tables(folder, "adjusted", "sessions"), feature_set=FeatureSet(library="alpha158"))


def parsing(folder: Path, cores: int) -> Work:
    """Read every file of a folder of CSV files."""
    from quant_pipeline.market.sources.files import FilesMarketParameters
    from quant_pipeline.market.sources.files.reading_cache import ReadingCache

    files, options = sorted((folder / "files").glob("*.csv")), FilesMarketParameters(calendar="XNYS")
    cache = ReadingCache(None)

    def read() -> Iterable[Any]:
        readings = list(cache.read_all(files, folder / "files", options))
        # Only the bits are compared as tables, one for each file: a market is made of all columns at once.
        return (reading.rows for reading in readings)

    read()
    return read


def observing(folder: Path, cores: int) -> Work:
    """Read the folder and put it together as a market."""
    from quant_pipeline.market.sources.files import FilesMarketParameters
    from quant_pipeline.market.sources.files.observation import observe

    options = FilesMarketParameters(calendar="XNYS")
    return lambda: [observe(folder / "files", options).rows]


def engine(folder: Path, cores: int) -> Work:
    """Compute Alpha158."""
    from quant_pipeline.factors.engine import compile_factors
    from quant_pipeline.factors.feature_sets import FeatureSet, with_traded
    from quant_pipeline.factors.grid import lay_out
    from quant_pipeline.market.calendar import as_sessions

    adjusted, sessions = _tables(folder, "adjusted", "sessions")
    plan = compile_factors(with_traded(FeatureSet(library="alpha158").computed_expressions()))
    grid = lay_out(adjusted, as_sessions(sessions), plan.program.fields)
    plan.evaluate(grid, grid.sessions[-20])
    return lambda: [plan.evaluate(grid)[0]]


def panel(folder: Path, cores: int) -> Work:
    """Compute a feature panel, sort it and save it."""
    import shutil
    from tempfile import mkdtemp

    import numpy as np

    from quant_pipeline.datasets.panel import YearlyPanel

    _features(folder)

    def read(saved: Path) -> Iterable[Any]:
        """Read what was saved, and remove it: neither is timed, and years that are there are not written again."""
        yield from (np.memmap(file, mode="r") for file in sorted(saved.glob("*.parquet")))
        shutil.rmtree(saved)

    def compute() -> Iterable[Any]:
        saved = Path(mkdtemp(dir=folder))
        YearlyPanel(str(saved)).save(_features(folder))
        return read(saved)

    return compute


def _processors(folder: Path, *specs: Any) -> Work:
    from quant_pipeline.datasets.panel import YearlyPanel
    from quant_pipeline.factors.processors import ProcessorChain

    features = YearlyPanel(str(folder / "panel")).load()
    ProcessorChain(specs).fit_transform(features.iloc[:20_000])
    return lambda: [ProcessorChain(specs).fit_transform(features)]


def learned(folder: Path, cores: int) -> Work:
    """Learn and apply the processors that models have by default."""
    from quant_pipeline.factors.processors import FillMissing, RobustZScore

    return _processors(folder, RobustZScore(), FillMissing())


def processed(folder: Path, cores: int) -> Work:
    """Read a panel from its files, and learn and apply the processors that models have by default."""
    from quant_pipeline.datasets.panel import YearlyPanel
    from quant_pipeline.factors.processors import FillMissing, ProcessorChain, RobustZScore
    from quant_pipeline.models.processed import ProcessedPanel

    def process() -> list[Any]:
        stored = YearlyPanel(str(folder / "panel"), lazy=True).load()
        chain = ProcessorChain([RobustZScore(), FillMissing()])
        chain.fit(lambda names: stored.read(columns=names), list(stored.columns))
        return [ProcessedPanel(stored, chain, several_passes=True).read()]

    return process


def ranked(folder: Path, cores: int) -> Work:
    """Rank every session."""
    from quant_pipeline.factors.processors import CrossSectionalRank

    return _processors(folder, CrossSectionalRank())


def standardised(folder: Path, cores: int) -> Work:
    """Fill and scale every session."""
    from quant_pipeline.factors.processors import CrossSectionalFill, CrossSectionalZScore

    return _processors(folder, CrossSectionalFill(), CrossSectionalZScore())


def _samples(folder: Path, sessions: tuple[int, int, int], columns: int | None = None) -> tuple[Any, Any]:
    import numpy as np

    from quant_pipeline.datasets.panel import YearlyPanel
    from quant_pipeline.factors.feature_sets import TRADED
    from quant_pipeline.factors.processors import FillMissing, ProcessorChain, RobustZScore
    from quant_pipeline.models.fitted import Samples

    features = YearlyPanel(str(folder / "panel")).load().drop(columns=TRADED).iloc[:, :columns]
    days = features.index.codes[0]
    table = ProcessorChain([RobustZScore(), FillMissing()]).fit_transform(features[days < sessions[2]])
    days = table.index.codes[0]
    noise = np.random.default_rng(SEED).normal(size=len(table))
    labels = (0.2 * table.iloc[:, 0].to_numpy() + noise).astype(np.float32)
    parts = (np.flatnonzero((days >= first) & (days < last)) for first, last in pairwise(sessions))
    train, valid = (Samples(table, rows, labels[rows]) for rows in parts)
    return train, valid


def network(folder: Path, cores: int) -> Work:
    """Train the GRU of the registry for an epoch, its instruments in two groups on either number of cores."""
    from quant_pipeline.models.algorithms.networks import GRUHyper
    from quant_pipeline.models.networks.training import NetworkTraining
    from quant_pipeline.models.randomness import seeded

    train, valid = _samples(folder, (60, 310, 360))
    with seeded(SEED):
        training = NetworkTraining(train, valid, GRUHyper(threads=2), SEED)
        training.run_epoch()

    def learn() -> list[Any]:
        with seeded(SEED):
            training.run_epoch()
            training.validation_rank_ic()
        return [tensor.numpy() for tensor in training.weights().values()]

    return learn


def lightgbm(folder: Path, cores: int) -> Work:
    """Fit trees."""
    from quant_pipeline.models.algorithms.lightgbm import LightGBMHyper
    from quant_pipeline.models.gbdt import fit_trees

    train, valid = _samples(folder, (0, 800, 1000))
    small = train.__class__(train.panel, train.rows[:20_000], train.labels[:20_000])
    fit_trees(small, valid, LightGBMHyper(threads=cores, rounds=2, patience=2), SEED)
    hyper = LightGBMHyper(threads=cores, rounds=40, patience=40)
    return lambda: [fit_trees(train, valid, hyper, SEED).predict(valid)]


def ridge(folder: Path, cores: int) -> Work:
    """Sum the products of factors, solve for the coefficients, and measure both segments."""
    from quant_pipeline.models.algorithms.linear import RidgeHyper, fit_ridge

    train, valid = _samples(folder, (0, 1500, 1900))
    fit_ridge(valid, valid, RidgeHyper())

    def learn() -> list[Any]:
        model = fit_ridge(train, valid, RidgeHyper())
        return [model.coefficients, model.predict(valid)]

    return learn


def _market(folder: Path) -> tuple[Any, Any]:
    from quant_pipeline.exchange.rules import CostRules, MarketRules
    from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
    from quant_pipeline.strategy.account_parameters import AccountParameters
    from quant_pipeline.strategy.rules import StrategyRules

    tables = MarketTables(*_tables(folder, "bars", "actions", "sessions", "benchmark", "instruments"))
    return tables, TradingRules(StrategyRules(), MarketRules(), CostRules(), AccountParameters(name="bench"))


def _scores(market: Any, count: int) -> Any:
    import numpy as np

    random = np.random.default_rng(SEED)
    shape = (len(market.sessions), len(market.instruments))
    scores = random.normal(size=(count, *shape))
    for session in range(1, shape[0]):
        scores[:, session] += 0.9 * scores[:, session - 1]
    return scores


def search(folder: Path, cores: int) -> Work:
    """Backtest the 4,095 combinations of twelve models over two years."""
    from quant_pipeline.backtest.combination_engine import CombinationSearch, all_combinations, run_combinations

    tables, rules = _market(folder)
    market = tables.market_of(tables.sessions["date"].iloc[-500:].pipe(_index), rules)
    found = CombinationSearch(_scores(market, 12), market, rules.strategy, rules.cost_rules)
    run_combinations(found, all_combinations(2), cores)
    return lambda: [run_combinations(found, all_combinations(12), cores).figures]


def _index(days: Any) -> Any:
    import pandas as pd

    return pd.DatetimeIndex(days)


def backtests(folder: Path, cores: int) -> Work:
    """Backtest twelve combinations of models over the whole time, with their tables and measures."""
    import pandas as pd

    from quant_pipeline.factors.labels import compute_labels, label_expression
    from quant_pipeline.market.calendar import as_sessions
    from quant_pipeline.pipelines.backtest.nodes import backtest_combinations
    from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
    from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters

    tables, rules = _market(folder)
    market = tables.market_of(_index(tables.sessions["date"]), rules)
    index = pd.MultiIndex.from_product([market.sessions, market.instruments], names=["datetime", "instrument"])
    (adjusted,) = _tables(folder, "adjusted")
    calendar = as_sessions(tables.sessions)
    labels = compute_labels(adjusted, tables.corporate_actions, calendar, "open", {"label": 1})
    stated = label_expression("open", 1)
    names = [f"model_{number}" for number in range(12)]
    parts = [
        pd.DataFrame({"score": scores.ravel()}, index=index).reset_index().assign(combination=name, label=stated)
        for name, scores in zip(names, _scores(market, len(names)), strict=True)
    ]
    fused = pd.concat(parts, ignore_index=True)
    ensemble = EnsembleParameters.model_validate(
        {"default": names[0], "combinations": {name: {"models": [name]} for name in names}}
    )

    def run(wanted: Any) -> list[Any]:
        given = wanted, tables, labels, ensemble, rules, BacktestParameters()
        return list(backtest_combinations.__wrapped__(*given))[4:6]

    return lambda: run(fused)


STAGES: dict[str, tuple[str, Callable[[Path, int], Work]]] = {
    "parsing": ("parsing of CSV files", parsing),
    "observing": ("from CSV files to a market", observing),
    "engine": ("factor engine", engine),
    "panel": ("panel: computed, sorted, saved", panel),
    "learned": ("processors that learn: robust z-score, fill", learned),
    "processed": ("a panel from its files through these processors", processed),
    "ranked": ("processor: rank of a session", ranked),
    "standardised": ("processors: fill and z-score of a session", standardised),
    "network": ("network: an epoch of the GRU", network),
    "ridge": ("Gram matrix and fit of the ridge", ridge),
    "lightgbm": ("LightGBM", lightgbm),
    "search": ("search", search),
    "backtests": ("backtests of twelve combinations", backtests),
}
"""Title and function by name; the function prepares a stage, compiles it, and returns what is timed."""


def digest_of(results: Iterable[Any]) -> str:
    """Hash results, bit for bit."""
    import numpy as np
    import pandas as pd

    digest = hashlib.sha256()
    for result in results:
        if isinstance(result, pd.DataFrame):
            texts = result.select_dtypes(exclude="number")
            digest.update(pd.util.hash_pandas_object(texts).to_numpy().tobytes())
            digest.update(repr(list(result.columns)).encode())
            result = result.select_dtypes("number").to_numpy()
        digest.update(result.encode() if isinstance(result, str) else np.ascontiguousarray(result).tobytes())
    return digest.hexdigest()


def main() -> None:
    """Measure, and print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["inputs", *STAGES])
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--names", type=int)
    parser.add_argument("--years", type=int)
    given = parser.parse_args()
    from quant_pipeline.common.allocation import keep_large_blocks

    if given.stage == "inputs":
        make_inputs(given.folder, given.names, given.years)
        print("{}")
        return
    keep_large_blocks()  # As commands that compute do.
    work = STAGES[given.stage][1](given.folder, given.cores)
    found: dict[str, Any] = {}
    for _ in range(given.repeats):
        began, spent = time.perf_counter(), time.process_time()
        results = work()
        seconds, processor = time.perf_counter() - began, time.process_time() - spent
        found.setdefault("digest", digest_of(results))
        found["seconds"] = min(found.get("seconds", seconds), seconds)
        found["processor_seconds"] = min(found.get("processor_seconds", processor), processor)
        del results
    print(json.dumps(found))


if __name__ == "__main__":
    main()
