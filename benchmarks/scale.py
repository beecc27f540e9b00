"""Processor seconds and peak memory of the research path on simulated markets of growing size.

Every size is a process of its own: a market, adjusted bars, Alpha158, saving and reading the panel, two models with
their scores out of sample, a backtest, and a search of 4,095 combinations of twelve score sets. The last line is one
JSON object. ``python benchmarks/scale.py --names 250 500 --years 12``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

STAGES = ("market", "adjust", "compute", "save", "load", "labels", "lightgbm", "ridge", "predict", "backtest", "search")
TRAINED, VALIDATED = 0.6, 0.2
"""Parts of the sessions that models learn from and are validated on; the others are scored."""
SEED = 7


class Meter:
    """Processor seconds and peak resident memory of stages, one after the other in this process."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}

    def run(self, stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do what a stage does, and keep what it took: seconds, peak in MB, and how much of that came in the stage."""
        Path("/proc/self/clear_refs").write_text("5")
        before, start = _resident("VmRSS"), time.process_time()
        done = work(*arguments)
        seconds, peak = time.process_time() - start, _resident("VmHWM")
        self.stages[stage] = {"seconds": round(seconds, 2), "peak_mb": round(peak), "rise_mb": round(peak - before)}
        return done


def _resident(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def measure(n_names: int, years: int, folder: str) -> dict[str, Any]:
    """Run the path once on a market of a size."""
    from quant_pipeline.backtest.array_engine import run_backtest
    from quant_pipeline.backtest.combination_engine import CombinationSearch, all_combinations, run_combinations
    from quant_pipeline.datasets.panel import YearlyPanel
    from quant_pipeline.exchange.market import TradingMarket
    from quant_pipeline.exchange.rules import CostRules, MarketRules
    from quant_pipeline.factors.alpha158 import EXPRESSIONS
    from quant_pipeline.factors.engine import compute_factors
    from quant_pipeline.factors.feature_sets import with_traded
    from quant_pipeline.factors.labels import compute_labels, label_expression
    from quant_pipeline.market.price_adjustment import adjust_bars
    from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
    from quant_pipeline.models.bundle import BundleFacts
    from quant_pipeline.models.spec import ModelSpec
    from quant_pipeline.models.training import train_bundle
    from quant_pipeline.strategy.rules import StrategyRules

    meter = Meter()
    size = SimulatedMarketParameters(start=f"{2025 - years}-01-02", end="2024-12-30", n_instruments=n_names)
    market = meter.run("market", generate_market, size)
    adjusted = meter.run("adjust", adjust_bars, market.bars, market.corporate_actions)
    days = market.sessions
    expressions = with_traded(EXPRESSIONS)
    compute_factors(adjusted.head(1000), expressions, days)  # Machine code is made, or read, before anything is timed.
    panel = meter.run("compute", compute_factors, adjusted, expressions, days)
    panel_mb = panel.memory_usage(index=False).sum() / 2**20
    meter.run("save", YearlyPanel(folder).save, panel)
    del panel
    panel = meter.run("load", YearlyPanel(folder).load)
    wanted = ("open", {"label": 1})
    labels = meter.run("labels", compute_labels, adjusted, market.corporate_actions, days, *wanted)["label"]
    first, second = int(len(days) * TRAINED), int(len(days) * (TRAINED + VALIDATED))
    segments = {"train": days[:first], "valid": days[first + 3 : second]}
    window = {name: [f"{each[0]:%Y-%m-%d}", f"{each[-1]:%Y-%m-%d}"] for name, each in segments.items()}
    members = panel.index.to_frame(index=False).rename(columns={"datetime": "date"})
    bundles = {}
    for algorithm in ("lightgbm", "ridge"):
        spec = ModelSpec.model_validate({"algorithm": algorithm, "features": "alpha158"})
        facts = BundleFacts(spec, dict(EXPRESSIONS), label_expression("open", 1), window, "XNYS")
        bundles[algorithm] = meter.run(algorithm, train_bundle, facts, panel, labels, members, segments)
    rows = np.flatnonzero(panel.index.get_level_values("datetime") >= days[second + 3])
    scores = meter.run("predict", _predict, bundles.values(), panel, rows)
    n_rows = len(panel)
    del panel, labels, members
    rules, tested = StrategyRules(), days[second + 3 :]

    def trade() -> TradingMarket:
        known = market.bars[market.bars["date"] >= tested[0]]
        actions = market.corporate_actions[market.corporate_actions["date"] >= tested[0]]
        traded = TradingMarket.from_bars(known, actions, tested, MarketRules())
        run_backtest(scores[0], traded, rules, CostRules())
        return traded

    traded = meter.run("backtest", trade)
    search = CombinationSearch(_score_sets(scores, traded), traded, rules, CostRules())
    meter.run("search", run_combinations, search, all_combinations(12))
    return {"names": n_names, "rows": n_rows, "panel_mb": round(panel_mb), "stages": meter.stages}


def _predict(bundles: Iterable[Any], panel: pd.DataFrame, rows: np.ndarray) -> list[pd.Series]:
    return [bundle.predict(panel, rows) for bundle in bundles]


def _score_sets(scores: list[pd.Series], market: Any) -> np.ndarray:
    """Make twelve score sets of two models: each is one of them with noise of its own."""
    random = np.random.default_rng(SEED)
    matrices = [market.score_matrix(score) for score in scores] * 6
    return np.stack([matrix + np.nanstd(matrix) * random.normal(size=matrix.shape) for matrix in matrices])


def summarise(sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures that goals are set for."""
    largest = max(sizes, key=lambda size: size["rows"])
    stages = largest["stages"]
    seconds = [sum(stage["seconds"] for stage in size["stages"].values()) for size in sizes]
    rows = [size["rows"] for size in sizes]
    exponent = float(np.polyfit(np.log(rows), np.log(seconds), 1)[0]) if len(set(rows)) > 1 else None
    rise = max(stages[stage]["rise_mb"] for stage in ("load", "lightgbm", "ridge", "predict"))
    return {
        "save_over_compute": round(stages["save"]["seconds"] / stages["compute"]["seconds"], 2),
        "load_over_compute": round(stages["load"]["seconds"] / stages["compute"]["seconds"], 2),
        "peak_bytes_per_panel_byte": round(rise / largest["panel_mb"], 2),
        "growth_exponent": None if exponent is None else round(exponent, 3),
        "largest_names": largest["names"],
        "largest_peak_mb": max(stage["peak_mb"] for stage in stages.values()),
        "sizes": sizes,
    }


def main() -> None:
    """Print one table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--years", type=int, default=12)
    parser.add_argument("--daily", action="store_true", help="also the daily run on 500 CSV files, see daily.py")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(arguments.names[0], arguments.years, folder)))
        return
    print(f"{'names':>6} {'rows':>9} " + " ".join(f"{stage:>14}" for stage in STAGES) + "   (CPU s / peak MB)")
    sizes = []
    for n_names in arguments.names:
        command = [sys.executable, __file__, "--one", "--names", str(n_names), "--years", str(arguments.years)]
        size = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )
        cells = (size["stages"][stage] for stage in STAGES)
        row = " ".join(f"{cell['seconds']:>7.1f}/{cell['peak_mb']:>6.0f}" for cell in cells)
        print(f"{size['names']:>6} {size['rows']:>9} {row}", flush=True)
        sizes.append(size)
    figures = summarise(sizes)
    if arguments.daily:
        command = [sys.executable, str(Path(__file__).with_name("daily.py")), "--names", "500"]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        figures |= {"daily_seconds_500": found["daily_seconds"], "daily": found}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
