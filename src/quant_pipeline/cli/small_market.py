"""A market of a few sessions, on which every stage that has kernels runs once."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from quant_pipeline.exchange.market import TradingMarket


class SmallMarket:
    """Run what has kernels as the pipelines run it.

    Types and layouts of arrays decide which machine code is made, sizes and values do not.
    """

    def __init__(self) -> None:
        from quant_pipeline.exchange.rules import CostRules, MarketRules
        from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
        from quant_pipeline.strategy.rules import StrategyRules

        simulated = generate_market(SimulatedMarketParameters(start="2024-01-02", end="2024-03-28", n_instruments=12))
        self.bars, self.sessions = simulated.bars, simulated.sessions
        self.actions = simulated.corporate_actions
        self.strategy, self.rules, self.costs = StrategyRules(topk=3, n_drop=1), MarketRules(), CostRules()
        instruments = sorted(self.bars["instrument"].unique())
        index = pd.MultiIndex.from_product([self.sessions, instruments], names=["datetime", "instrument"])
        self.scores = pd.Series(np.random.default_rng(7).random(len(index)), index=index)

    @cached_property
    def market(self) -> TradingMarket:
        """The arrays in which orders are executed; reading bars into them is compiled too."""
        from quant_pipeline.exchange.market import TradingMarket

        return TradingMarket.from_bars(self.bars, self.actions, self.sessions, self.rules)

    def compute_factors(self) -> None:
        """Run the engine of the factors."""
        from quant_pipeline.factors.engine import compute_factors

        compute_factors(self.bars, {"mean": "Mean($close, 5)"}, self.sessions)

    def read_files(self) -> None:
        """Count the lines of no file: all kernels that read files are compiled together."""
        from quant_pipeline.market.sources.files.kernels.cells import N_FACTS
        from quant_pipeline.market.sources.files.kernels.entries import count_rows

        count_rows(np.zeros(1, dtype=np.uint8), np.zeros((0, N_FACTS), dtype=np.int64))

    def book_session(self) -> None:
        """Apply corporate actions to holdings and execute orders, as the simulated broker does."""
        from quant_pipeline.exchange.session import apply_corporate_actions, execute_orders

        names = list(self.market.instruments[:2])
        held = pd.DataFrame({"quantity": [10, 20], "sessions_held": [1, 1]}, index=pd.Index(names, dtype="str"))
        orders = pd.DataFrame({"instrument": names, "side": ["sell", "buy"], "quantity": [5, 5]})
        split = pd.DataFrame({"instrument": names[:1], "kind": ["split"], "value": [2.0]})
        closes = pd.Series(100.0, index=self.market.instruments)
        apply_corporate_actions(held, Decimal(1000), split, closes, orders)
        first = self.bars[self.bars["date"] == self.sessions[0]]
        execute_orders(orders, held, Decimal(1000), first.assign(previous_close=100.0), self.rules, self.costs)

    def decide(self) -> None:
        """Decide on orders, as order generation does."""
        from quant_pipeline.exchange.money import ticks_to_float
        from quant_pipeline.strategy.rebalance import rebalance

        held = pd.DataFrame({"quantity": [10], "sessions_held": [1]}, index=self.market.instruments[:1])
        prices = pd.Series(ticks_to_float(self.market.arrays.mark[-1]), index=self.market.instruments)
        scores = self.scores.loc[self.sessions[-1]]
        rebalance(scores, held, prices, prices > 0, Decimal(10_000), self.strategy, self.rules, self.costs)

    def run_backtest(self) -> None:
        """Trade scores through the market."""
        from quant_pipeline.backtest.array_engine import run_backtest

        run_backtest(self.scores, self.market, self.strategy, self.costs)

    def run_combinations(self) -> None:
        """Trade combinations of models through the market."""
        from quant_pipeline.backtest.combination_engine import CombinationSearch, all_combinations, run_combinations

        matrix = self.market.score_matrix(self.scores)
        search = CombinationSearch(np.stack([matrix, -matrix]), self.market, self.strategy, self.costs)
        run_combinations(search, all_combinations(2))

    def score_factors(self) -> None:
        """Score a factor against labels, and correlate it with itself."""
        from quant_pipeline.evaluation.factor_correlation import correlate_factors
        from quant_pipeline.evaluation.factor_scores import ScoringParameters, score_factors

        panel = self.scores.to_frame("factor")
        score_factors(panel, panel.rename(columns={"factor": "1"}), ScoringParameters(horizons=(1,)))
        correlate_factors(panel, most_sessions=2)
