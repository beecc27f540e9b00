"""The decision for a session, made again from what is known now, with the code of now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pandas as pd

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.shared_market import market_until
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.order_generation.decision import DecisionRules, Situation, booked_up_to
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.order_generation.sources import choose_source, fingerprint_of_scores, scores_by_source
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.ledger.bookkeeping import net_asset_value
from quant_pipeline.trading.ledger.events import Event, EventKind, Order, money
from quant_pipeline.trading.shadow.causes import DecidedAgain

logger = logging.getLogger(__name__)

Tables = Mapping[str, Callable[[], pd.DataFrame]]
"""Functions that read the table of a session, by session, ``2024-12-31``."""


@dataclass(frozen=True)
class EarlierScores:
    """Scores of earlier sessions, by source.

    Attributes
    ----------
    score_file
        Scores made elsewhere, of all sessions; None where there are none.
    earlier_fused_scores
        Fused scores; None where models are not asked for.
    models
        Scores of the models by ``<model>_earlier_scores``.
    """

    score_file: pd.DataFrame | None
    earlier_fused_scores: Tables | None = None
    models: Mapping[str, Tables] = field(default_factory=dict)

    def at(self, session: pd.Timestamp) -> dict[str, pd.DataFrame]:
        """Read those of a session, see `scores_by_source`; what has none is left out."""
        day = f"{session:%Y-%m-%d}"
        latest = {
            name.replace("_earlier_scores", "_latest_scores"): tables[day]()
            for name, tables in self.models.items()
            if day in tables
        }
        fused = (self.earlier_fused_scores or {}).get(day)
        return scores_by_source(None if fused is None else fused(), latest, self.score_file)


@dataclass(frozen=True)
class Deciding:
    """Everything that a decision is made from beside scores and the ledger."""

    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    sessions: pd.DataFrame
    instruments: pd.DataFrame
    rules: DecisionRules
    ensemble: EnsembleParameters
    account: AccountParameters

    @classmethod
    def of(
        cls,
        bars: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        sessions: pd.DataFrame,
        instruments: pd.DataFrame,
        strategy: StrategyRules,
        market_rules: MarketRules,
        cost_rules: CostRules,
        order_generation: OrderGenerationParameters,
        ensemble: EnsembleParameters,
        account: AccountParameters,
    ) -> Deciding:
        """Put together what a node is given."""
        rules = DecisionRules(strategy, market_rules, cost_rules, order_generation)
        return cls(bars, corporate_actions, sessions, instruments, rules, ensemble, account)

    def again(
        self, session: pd.Timestamp, events: Sequence[Event], scores: EarlierScores, market: TradingMarket
    ) -> DecidedAgain | None:
        """Decide again for the session after this one.

        Parameters
        ----------
        session
            Session at whose close it is decided.
        events
            The ledger, as it is now.
        scores
            Scores of earlier sessions, that one among them.
        market
            The market up to a later session.

        Returns
        -------
        DecidedAgain or None
            None where the scores are not there any more, or are not what the parameters of now ask for.
        """
        rules = self.rules
        try:
            today = choose_source(
                scores.at(session), rules.order_generation.source, self.ensemble, session, rules.market_rules.deal_price
            )
            state = booked_up_to(session, events)
            known_at(session, self.sessions)  # Refuses one that the market has no longer.
            until = market_until(session, market, self.bars)
            tables = self.bars, self.corporate_actions, self.instruments
            situation = Situation.of(state, events, until, *tables, self.account)
        except QuantPipelineError as error:
            logger.info("the decision of %s is not made again: %s", f"{session:%Y-%m-%d}", error.message)
            return None
        decided = situation.decide_by_schedule(today.set_index("instrument")["score"], rules)
        wanted = decided[decided["side"].isin(["sell", "buy"]) & (decided["quantity"] > 0)]
        orders = tuple(
            Order("", row.instrument, row.side, int(row.quantity), money(row.reference_price), row.reason)
            for row in wanted.itertuples(index=False)
        )
        same = _has_same_inputs(events, session, today, situation.prices) and self._is_valued_as_closed(situation)
        return DecidedAgain(orders, same)

    def _is_valued_as_closed(self, situation: Situation) -> bool:
        """Whether the account is worth at the closes of now what the ledger has closed with.

        They may be those of holdings that are not traded, which size every order. A broker values by its own prices.
        """
        if self.account.filled_by == "broker":
            return True
        session, closed_with, _ = situation.state.closes[-1]
        return Decimal(money(net_asset_value(situation.state, situation.market, session))) == closed_with


def _has_same_inputs(events: Sequence[Event], session: pd.Timestamp, today: pd.DataFrame, prices: pd.Series) -> bool:
    """Whether the first plan of a decision was made from these scores and these closes."""
    plans = [e for e in events if e.kind is EventKind.PLAN_RECORDED and e.session == session]
    if not plans:
        return False
    recorded = plans[0].payload
    if recorded.get("provenance", {}).get("scores_sha256") != fingerprint_of_scores(today):
        return False
    return all(
        Decimal(order["reference_price"]) == Decimal(money(float(prices.get(order["instrument"], 0.0))))
        for order in recorded["orders"]
    )
