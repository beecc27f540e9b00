"""Speed of exact backtests: parity with Qlib first, then one run against Qlib's, then every combination of models.

The data is generated, the same on every machine. ``python benchmarks/backtest.py`` prints a table and, as its last
line, one JSON object. A fast wrong run fails before anything is timed. Times per combination and per run are processor
time of one core, the best of some repeats, for Qlib too: they change little when other programs share the machine. The
21,699 combinations on two threads are timed by the clock on the wall, and in processor time beside it.
"""

import argparse
import json
import logging
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from qlib_needed import require_qlib

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.combination_engine import (
    CombinationSearch,
    all_combinations,
    fuse_equally,
    run_combinations,
    stream_combinations,
)
from quant_pipeline.backtest.qlib_quotes import QlibExchangeRules, QlibMarket, QlibTopkDropoutRules
from quant_pipeline.backtest.qlib_topk_dropout import run_qlib_arrays, run_qlib_backtest
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import write_provider
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import Schedule

os.environ["TQDM_DISABLE"] = "1"  # Qlib's progress bar would bury the table.

COSTS = CostRules(buy_rate=0.0005, sell_rate=0.0005, min_commission=1.0, half_spread=0.0002)
WEEKLY = Schedule(frequency="weekly", phase=4)
EXACT = 1e-12


def generate(n_sessions: int, n_instruments: int, seed: int):
    """Random walks with quarterly dividends, yearly splits of a few, and half a percent of halts."""
    rng = np.random.default_rng(seed)
    sessions = pd.bdate_range("2016-01-04", periods=n_sessions)
    names = [f"I{number:03d}" for number in range(n_instruments)]
    close = 50 * np.exp(np.cumsum(rng.normal(0.0002, 0.015, (n_sessions, n_instruments)), axis=0))
    open_ = close * np.exp(rng.normal(0, 0.005, close.shape))
    actions = []
    for j in range(n_instruments):
        for t in range(int(rng.integers(1, 63)), n_sessions, 63):
            actions.append((sessions[t], names[j], "cash_dividend", 0.2))
    for j in range(0, n_instruments, 20):
        t = int(rng.integers(1, n_sessions))
        close[t:, j] /= 2
        open_[t:, j] /= 2
        actions.append((sessions[t], names[j], "split", 2.0))
    index = pd.MultiIndex.from_product([sessions, names], names=["date", "instrument"])
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    columns = {"open": open_, "high": high, "low": low, "close": close}
    bars = pd.DataFrame({name: np.round(values, 2).ravel() for name, values in columns.items()}, index=index)
    bars = bars.assign(volume=1e6).reset_index()[rng.random(close.size) >= 0.005]
    bars = bars.sort_values(["instrument", "date"], ignore_index=True)
    return bars, pd.DataFrame(actions, columns=["date", "instrument", "kind", "value"]), sessions


def persistent_scores(n_models: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Scores that change slowly from session to session, without ties."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_models, *shape))
    for t in range(1, shape[0]):
        scores[:, t] += 0.9 * scores[:, t - 1]
    return scores


def against_qlib(n_sessions: int, n_instruments: int) -> dict[str, float]:
    """Run Qlib's backtest and ours on the same provider; assert equality, return the ratio of times."""
    import qlib
    from qlib.backtest.exchange import Exchange
    from qlib.contrib.evaluate import backtest_daily
    from qlib.contrib.strategy import TopkDropoutStrategy

    bars, actions, sessions = generate(n_sessions + 2, n_instruments, 1)
    adjusted = adjust_bars(bars, actions)
    rules = QlibTopkDropoutRules(topk=50, n_drop=5)
    exchange_rules = QlibExchangeRules(limit_threshold=0.095, trade_unit=100)
    market = QlibMarket.from_adjusted_bars(adjusted, sessions, sessions[1], sessions[-2], exchange_rules)
    values = persistent_scores(1, (len(sessions), n_instruments), 2)[0]
    index = pd.MultiIndex.from_product([sessions, market.instruments], names=["datetime", "instrument"])
    scores = pd.Series(values.ravel(), index=index)
    with tempfile.TemporaryDirectory() as folder:
        provider = Path(folder) / "provider"
        write_provider(adjusted, sessions, provider)
        qlib.init(provider_uri=str(provider), region="us", logging_level=logging.ERROR, kernels=1)
        exchange = Exchange(
            freq="day",
            start_time=sessions[1],
            end_time=sessions[-2],
            codes=list(market.instruments),
            **exchange_rules.model_dump(),
        )
        ours = run_qlib_backtest(scores, market, rules, 1e8)
        started = time.process_time()
        report, _ = backtest_daily(
            start_time=sessions[1],
            end_time=sessions[-2],
            strategy=TopkDropoutStrategy(signal=scores, **rules.model_dump()),
            account=1e8,
            benchmark=pd.Series(0.0, index=sessions),
            exchange_kwargs={"exchange": exchange},
        )
        qlib_seconds = time.process_time() - started
    difference = float((ours["account"] / report["account"] - 1).abs().max())
    if not difference <= EXACT:
        raise SystemExit(f"The account values differ from Qlib's by {difference:.2e}; no time is worth reporting.")
    matrix = market.decided_scores(scores)
    seconds = best_of(5, lambda: run_qlib_arrays(matrix, market, rules, 1e8))
    return {
        "qlib_seconds": qlib_seconds,
        "compatible_ms": seconds * 1e3,
        "exact_vs_qlib": qlib_seconds / seconds,
        "max_relative_nav_difference": difference,
    }


def search_of(scores: np.ndarray, market: TradingMarket, rules: StrategyRules) -> CombinationSearch:
    """Search with the benchmark's costs."""
    return CombinationSearch(scores, market, rules, COSTS, 100_000_000)


def best_of(repeats: int, run) -> float:
    """Shortest processor time of several runs, seconds; the first one also compiles."""
    run()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def ms_per_combination(repeats: int, search: CombinationSearch, combinations: list) -> float:
    """Processor time of one combination on one core: each block of combinations at its best of the repeats.

    The first block is left out, because it also prepares the search, and compiles.
    """
    times = []
    for _ in range(repeats):
        marks, counts = [], []
        for block in stream_combinations(search, combinations):
            marks.append(time.process_time())
            counts.append(len(block.figures))
        times.append(np.diff(marks))
    return float(np.min(times, axis=0).sum()) / sum(counts[1:]) * 1e3


def assert_search_is_exact(search: CombinationSearch) -> None:
    """Compare a few combinations with their single backtests, to the cent."""
    combinations = [(0,), (0, 3, 7), (2, 5), tuple(range(12))]
    results = run_combinations(search, combinations)
    market = search.market
    index = pd.MultiIndex.from_product([market.sessions, market.instruments], names=["datetime", "instrument"])
    for combination, value in zip(results.combinations, results.figures["final_value"], strict=True):
        fused = pd.Series(fuse_equally(search.scores, combination).ravel(), index=index)
        alone = run_backtest(fused, market, search.rules, search.cost_rules, search.initial_cash)
        if alone.nav.iloc[-1] != value:
            raise SystemExit(f"Combination {combination} ends at {value}, its single backtest at {alone.nav.iloc[-1]}.")


def searches(repeats: int) -> dict[str, float]:
    """Time all 4,095 combinations of 12 models and 21,699 of 20, on 480 instruments and 500 sessions."""
    bars, actions, sessions = generate(500, 480, 3)
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules())
    twelve = persistent_scores(12, (500, 480), 4)
    every = all_combinations(12)
    figures: dict[str, float] = {}
    for topk, n_drop in ((20, 3), (50, 5)):
        for name, schedule in (("daily", Schedule()), ("weekly", WEEKLY)):
            search = search_of(twelve, market, StrategyRules(topk=topk, n_drop=n_drop, schedule=schedule))
            assert_search_is_exact(search)
            figures[f"{name}_ms_per_combination_topk{topk}"] = ms_per_combination(repeats, search, every)
    twenty = persistent_scores(20, (500, 480), 5)
    search = search_of(twenty, market, StrategyRules(topk=20, n_drop=3))
    started, started_cpu = time.perf_counter(), time.process_time()
    done = sum(len(block.figures) for block in stream_combinations(search, all_combinations(20, 5), n_threads=2))
    figures["seconds_21699_combinations"] = time.perf_counter() - started
    figures["cpu_seconds_21699_combinations"] = time.process_time() - started_cpu
    figures["combinations"] = done
    figures["daily_ms_per_combination"] = figures["daily_ms_per_combination_topk20"]
    figures["weekly_ms_per_combination"] = figures["weekly_ms_per_combination_topk20"]
    return figures


def main() -> None:
    """Print the table, and one JSON object as the last line."""
    require_qlib()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1259, help="sessions of the run against Qlib")
    parser.add_argument("--instruments", type=int, default=480, help="instruments of the run against Qlib")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each search")
    arguments = parser.parse_args()
    figures = against_qlib(arguments.sessions, arguments.instruments) | searches(arguments.repeats)
    figures["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["load_average"] = os.getloadavg()[0]
    for name, value in figures.items():
        print(f"{name:<40} {value:>14.4g}")
    print(json.dumps({name: float(f"{value:.6g}") for name, value in figures.items()}))


if __name__ == "__main__":
    main()
