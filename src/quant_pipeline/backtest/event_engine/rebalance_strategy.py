"""The daily strategy as an event strategy: it decides at the close, its orders execute in the next session."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.event_engine.events import SessionPhase
from quant_pipeline.backtest.event_engine.market_view import MarketView
from quant_pipeline.backtest.event_engine.orders import EventOrder
from quant_pipeline.backtest.weight_multipliers import preferences
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rebalance import rebalance
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import decision_flags


class RebalanceStrategy:
    """Calls :func:`~quant_pipeline.strategy.rebalance.rebalance` at the closes of its schedule.

    Parameters
    ----------
    market
        The market that will be traded: its calendar, and volatilities where the rules weigh by them.
    rules, cost_rules
        Rules.
    """

    def __init__(self, market: TradingMarket, rules: StrategyRules, cost_rules: CostRules) -> None:
        self._rules = rules
        self._cost_rules = cost_rules
        self._market_rules: MarketRules = market.rules
        self._decides = set(market.sessions[decision_flags(market.sessions, rules.schedule)])
        weighs = rules.method == "target_weights"
        self._preferred: npt.NDArray[np.float64] | None = preferences(market, rules) if weighs else None
        self._sessions = market.sessions
        self._classification = market.classification

    def react(self, view: MarketView) -> Iterable[EventOrder]:
        """Decide at the close of a session that has scores."""
        if view.kind is not SessionPhase.CLOSE or view.session not in self._decides:
            return []
        scores = view.scores
        if scores.isna().all():
            return []
        preferred = None
        if self._preferred is not None:
            row = self._preferred[self._sessions.get_loc(view.session)]
            preferred = pd.Series(row, index=scores.index)
        orders = rebalance(
            scores,
            view.positions,
            view.prices,
            view.tradable,
            view.cash,
            self._rules,
            self._market_rules,
            self._cost_rules.at(view.session),
            preferred,
            self._classification,
        )
        traded = orders[orders["side"].isin(["sell", "buy"]) & (orders["quantity"] > 0)]
        signs = np.where(traded["side"] == "sell", -1, 1)
        return [
            EventOrder(instrument, int(sign * quantity), reason=reason)
            for instrument, quantity, reason, sign in zip(
                traded["instrument"], traded["quantity"], traded["reason"], signs, strict=True
            )
        ]
