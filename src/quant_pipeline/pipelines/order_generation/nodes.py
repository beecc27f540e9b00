"""Nodes of order generation."""

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.backtest.market import TradingMarket
from quant_pipeline.exceptions import StaleDataError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.strategy.clock import deal_session
from quant_pipeline.strategy.money import ticks_to_float
from quant_pipeline.strategy.rebalance import rebalance
from quant_pipeline.strategy.rules import CostRules, MarketRules, StrategyRules
from quant_pipeline.strategy.schedule import decides_on
from quant_pipeline.trading.account import fold
from quant_pipeline.trading.domain import Event
from quant_pipeline.trading.plans import record_plan


def generate_orders(
    latest_fused_scores: pd.DataFrame,
    events: Sequence[Event],
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    ensemble: EnsembleParameters,
    strategy: StrategyRules,
    market_rules: MarketRules,
    cost_rules: CostRules,
    as_of: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn the fused score of the default combination into the orders of the next session.

    Parameters
    ----------
    latest_fused_scores
        ``datetime``, ``instrument``, ``combination``, ``score`` of the session ``as_of``.
    events
        The ledger, booked up to ``as_of``.
    bars, corporate_actions, sessions
        The market; what came after ``as_of`` is not looked at.
    ensemble, strategy, market_rules, cost_rules
        The default combination, and the rules that the backtest uses.
    as_of
        Session of the decision; the orders deal in the next one.

    Returns
    -------
    tuple of pandas.DataFrame
        The same table twice, for Parquet and for CSV: ``instrument``, ``side`` (``sell``, ``buy``, ``hold``),
        ``quantity``, ``reference_price`` (close, USD), ``estimated_value`` (USD), ``score``, ``rank``, ``reason``.

    Raises
    ------
    StaleDataError
        When the scores or the ledger are not of ``as_of``, or the market does not reach it.
    """
    session = pd.Timestamp(as_of)
    state = fold(events, up_to=session)
    scores = latest_fused_scores[latest_fused_scores["combination"] == ensemble.default].set_index("instrument")
    _refuse_stale(session, scores, state.last_session)
    days, bars, corporate_actions = known_at(as_of, sessions, bars, corporate_actions)
    market = TradingMarket.from_bars(bars, corporate_actions, days, market_rules)
    orders = rebalance(
        scores["score"],
        state.positions_table(),
        pd.Series(ticks_to_float(market.arrays.mark[-1]), index=market.instruments),
        pd.Series(market.arrays.has_bar[-1], index=market.instruments),
        state.cash,
        strategy,
        market_rules,
        cost_rules,
    )
    if not decides_on(_calendar(market_rules, session), session, strategy.schedule):
        orders = orders[orders["side"] != "buy"].assign(side="hold", reason="the schedule decides nothing today")
    value = orders["quantity"] * orders["reference_price"]
    orders.insert(orders.columns.get_loc("reference_price") + 1, "estimated_value", value)
    return orders, orders


def record_orders(
    events: Sequence[Event], orders: pd.DataFrame, market_rules: MarketRules, as_of: str
) -> tuple[Event, ...]:
    """Record the plan in the ledger before anything is sent.

    Returns
    -------
    tuple of Event
        One event, or none when the very same plan is recorded.
    """
    decided = pd.Timestamp(as_of)
    return record_plan(events, orders, decided, deal_session(_calendar(market_rules, decided), decided))


def _calendar(market_rules: MarketRules, session: pd.Timestamp) -> TradingCalendar:
    return TradingCalendar.of(market_rules.calendar, session, session)


def _refuse_stale(session: pd.Timestamp, scores: pd.DataFrame, booked: pd.Timestamp | None) -> None:
    scored = scores["datetime"].max() if len(scores) else None
    if scored != session:
        found = "there are none" if scored is None else f"they are of {scored:%Y-%m-%d}"
        raise StaleDataError(
            f"orders of {session:%Y-%m-%d} need fused scores of that session, but {found}. "
            f"Run `kedro run --pipelines prediction --params as_of={session:%Y-%m-%d}` first."
        )
    if booked != session:
        raise StaleDataError(
            f"orders of {session:%Y-%m-%d} need the account of that session, but the ledger is booked up to "
            f"{booked}. Run `kedro run --pipelines post_trade --params as_of={session:%Y-%m-%d}` first."
        )
