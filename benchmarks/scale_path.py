"""The research path on one simulated market, stage by stage, as `scale.py` measures it; prints one JSON object.

Stages are the nodes of the pipelines with the datasets of the catalog between them: each reads what it needs from disk
and leaves what it has made there.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scale_report import Settings, fuse, report

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.combination_engine import CombinationSearch, all_combinations, run_combinations
from quant_pipeline.common.allocation import give_back_what_is_free, keep_large_blocks
from quant_pipeline.common.cores import on_one_core
from quant_pipeline.datasets.atomic import ParquetTable
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.feature_sets import FeatureSet, with_traded
from quant_pipeline.factors.panel_parts import PanelInParts
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.sources.simulated import SimulatedMarket, SimulatedMarketParameters, generate_market
from quant_pipeline.market.universe import UniverseParameters, select_universe
from quant_pipeline.models.date_splits import SplitParameters
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.pipelines.features.nodes import LabelParameters, compute_feature_set, compute_labels
from quant_pipeline.pipelines.market_tables import MarketTables
from quant_pipeline.pipelines.training.nodes import predict_out_of_sample, train_model
from quant_pipeline.strategy.rules import StrategyRules

END = "2024-12-30"
LABEL, RULES, COSTS, STRATEGY = LabelParameters(), MarketRules(), CostRules(), StrategyRules()
ALPHA158 = FeatureSet(library="alpha158")
TRAINED, VALIDATED = 0.6, 0.2
"""Parts of the sessions that models learn from and are validated on; the others are scored and traded."""
TREES, SEED = 100, 7


class Meter:
    """Processor seconds and peak resident memory of stages of this process."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._within = 0.0

    def run(self, stage: str, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Do what a stage does, and add what it took to what the stage has taken before.

        That is user and system seconds, the peak in MB, and how much of the peak came in the stage. The seconds of a
        stage that runs within another one are its own alone, and those of measuring it are of neither.
        """
        begin, outer, self._within = time.process_time(), self._within, 0.0
        gc.collect()
        give_back_what_is_free()
        Path("/proc/self/clear_refs").write_text("5")
        before, start = _resident("VmRSS"), time.process_time()
        done = work(*arguments, **named)
        seconds, peak = time.process_time() - start, _resident("VmHWM")
        found = self.stages.setdefault(stage, {"seconds": 0.0, "peak_mb": 0.0, "rise_mb": 0.0})
        found["seconds"] += seconds - self._within
        found["peak_mb"], found["rise_mb"] = max(found["peak_mb"], peak), max(found["rise_mb"], peak - before)
        self._within = outer + time.process_time() - begin
        return done


def _resident(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def simulate(n_names: int, years: int) -> SimulatedMarket:
    """Make the market of a size."""
    return generate_market(SimulatedMarketParameters(start=f"{2025 - years}-01-02", end=END, n_instruments=n_names))


def split_of(sessions: pd.DatetimeIndex) -> SplitParameters:
    """Divide sessions into training, validation and test."""
    first, second = int(len(sessions) * TRAINED), int(len(sessions) * (TRAINED + VALIDATED))
    days = [f"{sessions[place]:%Y-%m-%d}" for place in (0, first - 1, first + 3, second - 1, second + 3)]
    return SplitParameters(train=(days[0], days[1]), valid=(days[2], days[3]), test=(days[4], None))


def spec_of(algorithm: str) -> ModelSpec:
    """Specify a model on all factors; trees are as many in every market, and in Qlib, as none stops early."""
    hyper = {"rounds": TREES, "patience": TREES} if algorithm == "lightgbm" else {}
    return ModelSpec.model_validate({"algorithm": algorithm, "features": "alpha158", "hyper": hyper})


class ResearchPath:
    """The path on one market; what stages leave for each other lies in a folder.

    Parameters
    ----------
    folder
        Where tables and panel are written.
    """

    def __init__(self, folder: Path) -> None:
        self.meter = Meter()
        self.panel = YearlyPanel(str(folder / "alpha158"), lazy=True)
        self._folder = folder

    def keep(self, **tables: pd.DataFrame) -> None:
        """Write tables."""
        for name, table in tables.items():
            self._dataset(name).save(table)

    def read(self, *names: str) -> dict[str, pd.DataFrame]:
        """Read tables by their names."""
        return {name: self._dataset(name).load() for name in names}

    def _dataset(self, name: str) -> ParquetTable:
        return ParquetTable(filepath=str(self._folder / f"{name}.parquet"))

    def ingest(self, n_names: int, years: int) -> pd.DatetimeIndex:
        """Make a market, adjust its bars, select the universe; return the sessions."""
        market = self.meter.run("market", simulate, n_names, years)
        self.keep(bars=market.bars, corporate_actions=market.corporate_actions)
        self.keep(sessions=pd.DataFrame({"date": market.sessions}))
        self.keep(benchmark=market.benchmark, instruments=market.instruments)
        instruments, sessions = market.instruments, market.sessions
        del market
        self.meter.run("adjust", self._adjust)
        self.meter.run("universe", self._select, instruments)
        return sessions

    def _adjust(self) -> None:
        given = self.read("bars", "corporate_actions")
        self.keep(adjusted_bars=adjust_bars(given["bars"], given["corporate_actions"]))

    def _select(self, instruments: pd.DataFrame) -> None:
        members = select_universe(self.read("bars")["bars"], instruments, UniverseParameters())
        self.keep(universe_members=members)

    def compute(self) -> None:
        """Compute and write panel and labels; parts of a panel are computed while it is written."""
        given = self.read("adjusted_bars", "sessions")
        expressions = with_traded(ALPHA158.computed_expressions())
        # Machine code is made, or read, before anything is timed.
        compute_factors(given["adjusted_bars"].head(1000), expressions, given["sessions"])
        del given
        panel = self.meter.run("compute", self._features)
        if isinstance(panel, PanelInParts):
            computed = panel.compute
            panel = replace(panel, compute=lambda stretch: self.meter.run("compute", computed, stretch))
        with on_one_core():  # A part would be written while the next one is computed, and seconds be of both.
            self.meter.run("save", self.panel.save, panel)
        del panel
        self.meter.run("labels", self._labels)

    def _features(self) -> pd.DataFrame | PanelInParts:
        return compute_feature_set(**self.read("adjusted_bars", "sessions"), feature_set=ALPHA158)

    def _labels(self) -> None:
        given = self.read("adjusted_bars", "corporate_actions", "sessions")
        self.keep(labels=compute_labels(**given, label=LABEL, market_rules=RULES))

    def learn(self, split: SplitParameters) -> dict[str, pd.DataFrame]:
        """Train two models and score the validation and test sessions; return the scores by model."""
        features = self.meter.run("load", self.panel.load)
        scores = {}
        for algorithm, scoring in (("lightgbm", "predict"), ("ridge", "predict_ridge")):
            bundle, *_ = self.meter.run(algorithm, self._train, features, algorithm, split)
            given = {"features": features, "label": LABEL, "split": split, "bundle": bundle}
            scores[algorithm] = self.meter.run(scoring, self._score, given)
        return scores

    def _train(self, features: Any, algorithm: str, split: SplitParameters) -> Any:
        given = self.read("labels", "universe_members", "sessions")
        setting = {"spec": spec_of(algorithm), "feature_set": ALPHA158, "label": LABEL, "market_rules": RULES}
        return train_model(**given, **setting, features=features, split=split, bundle_as_found=None)

    def _score(self, given: dict[str, Any]) -> pd.DataFrame:
        return predict_out_of_sample(**given, **self.read("universe_members", "sessions"))

    def trade(self, predictions: dict[str, pd.DataFrame], sessions: pd.DatetimeIndex) -> None:
        """Backtest the first scores, and search 4,095 combinations of twelve score sets."""
        scores = [table.loc[table["segment"] == "test", "score"] for table in predictions.values()]
        traded = self.meter.run("backtest", self._backtest, scores[0], sessions)
        search = CombinationSearch(_score_sets(scores, traded), traded, STRATEGY, COSTS)
        self.meter.run("search", run_combinations, search, all_combinations(12))

    def show(self, predictions: dict[str, pd.DataFrame]) -> None:
        """Fuse the scores, backtest the combinations with their tables, and write the page of the report."""
        self.meter.run("report", self._report, predictions)

    def _report(self, predictions: dict[str, pd.DataFrame]) -> None:
        given = self.read("labels", "sessions")
        fused = fuse(predictions, **given, label=LABEL)
        tables = MarketTables(**self.read("bars", "corporate_actions", "sessions", "benchmark", "instruments"))
        rules = Settings(STRATEGY, RULES, COSTS, LABEL)
        page = report(fused, tables, given["labels"], list(predictions), rules)
        (self._folder / "report.html").write_text(page)

    def _backtest(self, scores: pd.Series, sessions: pd.DatetimeIndex) -> TradingMarket:
        tables = self.read("bars", "corporate_actions").values()
        tested = sessions[sessions >= scores.index[0][0]]
        bars, actions = (table[table["date"] >= tested[0]] for table in tables)
        market = TradingMarket.from_bars(bars, actions, tested, RULES)
        run_backtest(scores, market, STRATEGY, COSTS)
        return market


def _score_sets(scores: list[pd.Series], market: TradingMarket) -> np.ndarray:
    """Make twelve score sets of two models: each is one of them with noise of its own."""
    random = np.random.default_rng(SEED)
    matrices = [market.score_matrix(score) for score in scores] * 6
    return np.stack([matrix + np.nanstd(matrix) * random.normal(size=matrix.shape) for matrix in matrices])


def measure(n_names: int, years: int) -> dict[str, Any]:
    """Run the path once."""
    with tempfile.TemporaryDirectory() as folder:
        path = ResearchPath(Path(folder))
        sessions = path.ingest(n_names, years)
        path.compute()
        years_of_panel = (Path(folder) / "alpha158").glob("*.parquet")
        panel_mb = sum(file.stat().st_size for file in years_of_panel) / 2**20
        scores = path.learn(split_of(sessions))
        path.trade(scores, sessions)
        path.show(scores)
        rows = len(path.read("labels")["labels"])
    stages = {name: {key: round(value, 2) for key, value in found.items()} for name, found in path.meter.stages.items()}
    return {"names": n_names, "rows": rows, "panel_mb": round(panel_mb), "stages": stages}


if __name__ == "__main__":
    # As the process of a run does.
    keep_large_blocks()
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
