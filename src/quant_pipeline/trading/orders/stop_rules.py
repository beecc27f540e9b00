"""Stops of an account that decides once a session: holdings whose close has fallen or risen too far are sold whole.

The levels are those of the backtest's protective rules; here they are compared with closes, and the sale executes
in the next session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import NonNegativeInt

from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.lots import Position

STOPPED = "stopped: "


class StopRules(ProtectiveRules):
    """The ``stop_rules`` block of the parameters.

    Attributes
    ----------
    time_stop
        Closes after which a holding is sold; None never does.
    cooldown
        Sessions in which an instrument that was stopped is not bought again.
    """

    time_stop: NonNegativeInt | None = None
    cooldown: NonNegativeInt = 5


def find_stops(
    rules: StopRules,
    positions: Mapping[str, Position],
    prices: pd.Series,
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
) -> dict[str, str]:
    """Return which holdings a stop sells, and why.

    Parameters
    ----------
    rules
        The stops.
    positions
        Holdings at the close of the decision.
    prices
        Closes of the decision by instrument, as traded.
    bars, corporate_actions
        The market up to that close.

    Returns
    -------
    dict of str
        Reason by instrument.
    """
    found: dict[str, str] = {}
    if not rules.is_active and rules.time_stop is None:
        return found
    for name, position in positions.items():
        price, cost = float(prices[name]), float(position.cost / position.quantity)
        if rules.stop_loss is not None and price <= cost * (1 - rules.stop_loss):
            found[name] = f"{STOPPED}close {price:.2f} is {1 - price / cost:.1%} below its cost {cost:.2f}"
            continue
        if rules.trailing_stop is not None:
            highest = highest_since(bars, corporate_actions, name, position.lots[0].session)
            if price <= highest * (1 - rules.trailing_stop):
                found[name] = f"{STOPPED}close {price:.2f} is {1 - price / highest:.1%} below its high {highest:.2f}"
                continue
        if rules.take_profit is not None and cost > 0 and price >= cost * (1 + rules.take_profit):
            found[name] = f"{STOPPED}close {price:.2f} is {price / cost - 1:.1%} above its cost {cost:.2f}"
        elif rules.time_stop is not None and position.sessions_held >= rules.time_stop:
            found[name] = f"{STOPPED}held for {position.sessions_held} closes"
    return found


def cooling_down(rules: StopRules, events: Sequence[Event], sessions: pd.DatetimeIndex) -> set[str]:
    """Return the instruments that were stopped so lately that they are not bought again.

    Parameters
    ----------
    rules
        The stops.
    events
        The ledger.
    sessions
        Sessions up to that of the decision.
    """
    if not rules.cooldown:
        return set()
    since = sessions[-min(rules.cooldown, len(sessions))]
    return {
        order["instrument"]
        for event in events
        # The plan of this very session may be made a second time: it cools nothing down yet.
        if event.kind is EventKind.PLAN_RECORDED and since <= event.session < sessions[-1]
        for order in event.payload["orders"]
        if order["reason"].startswith(STOPPED)
    }


def apply_stops(orders: pd.DataFrame, stops: Mapping[str, str], positions: pd.DataFrame) -> pd.DataFrame:
    """Sell what a stop sells, whatever the strategy says.

    Parameters
    ----------
    orders
        The decision; see `quant_pipeline.strategy.rebalance.rebalance`.
    stops
        Reason by instrument.
    positions
        ``quantity`` by instrument.

    Returns
    -------
    pandas.DataFrame
        The orders, the stopped ones first. What the sales bring is invested by the next decision.
    """
    if not stops:
        return orders
    stopped = orders[orders["instrument"].isin(stops)].drop_duplicates("instrument")
    sales = stopped.assign(
        side="sell",
        quantity=stopped["instrument"].map(positions["quantity"]).astype("int64"),
        reason=stopped["instrument"].map(dict(stops)),
    )
    return pd.concat([sales, orders[~orders["instrument"].isin(stops)]], ignore_index=True)


def highest_since(
    bars: pd.DataFrame, corporate_actions: pd.DataFrame, instrument: str, since: pd.Timestamp, price: str = "close"
) -> float:
    """Return the highest close, or high, since a session, in the shares of today; NaN without a bar."""
    own = bars[(bars["instrument"] == instrument) & (bars["date"] >= since)].set_index("date")[price]
    actions = corporate_actions
    splits = actions[(actions["instrument"] == instrument) & (actions["kind"] == "split")]
    for split in splits.itertuples(index=False):
        own = own.where(own.index >= split.date, own / split.value)
    return float(own.max())
