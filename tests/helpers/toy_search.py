"""A market of random walks on which we know which model is good, and a search on it from node to node."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.datasets.chunks import ChunkedTable
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble_search import nodes
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules

N_SESSIONS, N_INSTRUMENTS = 420, 40
SESSIONS = pd.bdate_range("2022-01-03", periods=N_SESSIONS, unit="ns", name="date")
INSTRUMENTS = [f"I{number:02d}" for number in range(N_INSTRUMENTS)]
SECTORS = pd.DataFrame({"instrument": INSTRUMENTS, "sector": [f"sector {n % 4}" for n in range(N_INSTRUMENTS)]})
ENSEMBLE = EnsembleParameters.model_validate({"default": "one", "combinations": {"one": {"models": ["good"]}}})
STRATEGY = StrategyRules(topk=8, n_drop=4)
LABEL = "Ref($open, -2)/Ref($open, -1)-1"
PARAMETERS = EnsembleSearchParameters(
    max_models=4,
    first_training_periods=20,
    fold_periods=10,
    holdout_periods=10,
    overfitting_blocks=10,
    bootstrap_repeats=300,
    finalists=3,
    threads=1,
)


@dataclass(frozen=True)
class Toy:
    """Inputs of a search."""

    bars: pd.DataFrame
    benchmark: pd.DataFrame
    predictions: dict[str, pd.DataFrame]
    parameters: EnsembleSearchParameters = PARAMETERS
    strategy: StrategyRules = STRATEGY
    market_rules: MarketRules = field(default_factory=MarketRules)
    actions: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {"date": pd.DatetimeIndex([], dtype="datetime64[ns]"), "instrument": [], "kind": [], "value": []}
        )
    )

    def candidates(self) -> pd.DataFrame:
        named = {f"{name}_predictions": table for name, table in self.predictions.items()}
        return nodes.align_candidates(ENSEMBLE, self.parameters, self.market_rules, **named)

    def market(self, candidates: pd.DataFrame) -> tuple[Any, ...]:
        return candidates, self.bars, self.actions, pd.DataFrame({"date": SESSIONS}), self.benchmark, SECTORS

    def rules(self) -> tuple[Any, ...]:
        account = AccountParameters(name="toy", initial_cash=1_000_000)
        costs = CostRules(half_spread=0.0001)
        return LabelParameters(), self.strategy, self.market_rules, costs, account, self.parameters

    def backtest(self, folder: Path, most_chunks: int | None = None) -> int:
        """Run the backtesting node and save as Kedro does; return how many chunks were new."""
        chunks = ChunkedTable(str(folder))
        new = 0
        for chunk in nodes.backtest_candidates(*self.market(self.candidates()), *self.rules(), chunks.load()):
            chunks.save(chunk)
            new += 1
            if new == most_chunks:
                break
        return new

    def collect(self, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        return nodes.collect_trials(*self.market(self.candidates()), *self.rules(), ChunkedTable(str(folder)).load())

    def run(self, folder: Path) -> dict[str, Any]:
        """Run every node; return all datasets by name."""
        self.backtest(folder)
        trials, periods = self.collect(folder)
        candidates = self.candidates()
        curves, measures = nodes.backtest_finalists(trials, periods, *self.market(candidates), *self.rules())
        correlations = nodes.measure_similarity(candidates, trials, periods)
        board, folds, verdict, logits = nodes.judge_search(trials, periods, measures, correlations, self.parameters)
        attribution = nodes.attribute_returns(trials, periods, verdict)
        page = nodes.compose_search_page(
            verdict,
            periods,
            logits,
            board,
            curves,
            folds,
            attribution,
            correlations,
            AccountParameters(name="toy"),
            self.parameters,
            OrderGenerationParameters(stop_rules={"stop_loss": 0.1}),
        )
        return {
            "trials": trials,
            "periods": periods,
            "curves": curves,
            "measures": measures,
            "correlations": correlations,
            "leaderboard": board,
            "folds": folds,
            "verdict": verdict,
            "logits": logits,
            "attribution": attribution,
            "page": page,
        }

    def after(self, **changes: Any) -> Toy:
        """Change parameters of the search."""
        return replace(self, parameters=self.parameters.model_copy(update=changes))


def toy(models: dict[str, float], seed: int = 3) -> Toy:
    """Make a market and models.

    Parameters
    ----------
    models
        Name to skill: the part of the score that is the return to come, in standard deviations; 0 is pure noise.
    seed
        Of everything random.
    """
    rng = np.random.default_rng(seed)
    opens = 50 * np.exp(np.cumsum(rng.normal(0, 0.012, (N_SESSIONS + 3, N_INSTRUMENTS)), axis=0))
    # The return that a score of t can earn: from the open of t+1 to the open of t+2.
    earned = opens[2:] / opens[1:-1] - 1
    index = pd.MultiIndex.from_product([SESSIONS, INSTRUMENTS], names=["datetime", "instrument"])
    day, name = index.get_level_values(0), index.get_level_values(1)
    opened = np.round(opens[:N_SESSIONS], 2).ravel()
    bars = pd.DataFrame(
        {
            "date": day,
            "instrument": pd.array(name, dtype="str"),
            "open": opened,
            "high": opened,
            "low": opened,
            "close": opened,
            "volume": 1e6,
        }
    )
    level = opens[:N_SESSIONS].mean(axis=1)
    predictions = {}
    for model, skill in models.items():
        noise = rng.normal(size=(N_SESSIONS, N_INSTRUMENTS))
        score = skill * earned[:N_SESSIONS] / 0.012 + noise
        predictions[model] = pd.DataFrame({"score": score.ravel(), "segment": "test", "label": LABEL}, index=index)
    return Toy(bars, pd.DataFrame({"date": SESSIONS, "total_return_close": level}), predictions)
