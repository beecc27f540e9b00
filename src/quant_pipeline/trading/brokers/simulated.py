"""The simulated account: it deals recorded plans by the very exchange rules of the backtest."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.backtest.exchange import apply_corporate_actions, deal_orders, reference_closes
from quant_pipeline.backtest.market import TradingMarket
from quant_pipeline.strategy.money import ticks_to_decimal, ticks_to_float
from quant_pipeline.strategy.rules import CostRules, MarketRules
from quant_pipeline.trading.account import AccountState, fold
from quant_pipeline.trading.domain import Event, EventKind, Order, money


def book_sessions(
    events: Sequence[Event],
    account: str,
    initial_cash: float,
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DatetimeIndex,
    market_rules: MarketRules,
    cost_rules: CostRules,
) -> tuple[Event, ...]:
    """Book every session after the last booked one, in order: corporate actions, deals, close.

    Parameters
    ----------
    events
        Everything the ledger knows.
    account, initial_cash
        Name and first deposit; an account without events is opened at the close of the last session.
    bars, corporate_actions
        The market as traded, up to the last session.
    sessions
        Sessions of the exchange up to the one to stand at; it is the last.
    market_rules, cost_rules
        Rules; the same that the backtest uses.

    Returns
    -------
    tuple of Event
        New events in order; none when the last session has been booked before.
    """
    new: list[Event] = []
    state = fold(events)
    as_of = sessions[-1]
    if state.last_session is None:
        opened = Event(
            as_of, EventKind.ACCOUNT_OPENED, f"open:{account}", {"account": account, "cash": money(initial_cash)}
        )
        closed = _closed(as_of, Decimal(money(initial_cash)), Decimal(money(initial_cash)))
        return (opened, closed)
    if as_of <= state.last_session:
        return ()
    market = TradingMarket.from_bars(bars, corporate_actions, sessions, market_rules)
    by_session = dict(tuple(bars[bars["date"] > state.last_session].groupby("date")))
    for session in sessions[sessions > state.last_session]:
        actions = corporate_actions[corporate_actions["date"] == session]
        booked = _book_session(state, session, by_session.get(session, bars.head(0)), actions, market, cost_rules)
        for event in booked:
            state.apply(event)
        close = _closed(session, _net_asset_value(state, market, session), state.cash)
        state.apply(close)
        new += [*booked, close]
    return tuple(new)


def _book_session(
    state: AccountState,
    session: pd.Timestamp,
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    market: TradingMarket,
    cost_rules: CostRules,
) -> list[Event]:
    plan = state.plans.get(session)
    orders = plan.orders if plan is not None else ()
    yesterday = market.sessions.get_loc(session) - 1
    closes = _closes(market, yesterday)
    outcome = apply_corporate_actions(
        state.positions_table(), state.cash, actions, closes, _orders_table(orders), market.rules.lot
    )
    events = [
        Event(
            session,
            EventKind(row.kind),
            f"{row.kind}:{session:%Y-%m-%d}:{row.instrument}",
            {
                "instrument": row.instrument,
                "quantity_before": str(row.quantity_before),
                "quantity_after": str(row.quantity_after),
                "amount": money(row.amount),
            },
        )
        for row in outcome.events.itertuples(index=False)
    ]
    if not orders:
        return events
    session_bars = bars.assign(previous_close=bars["instrument"].map(reference_closes(closes, actions)))
    fills = deal_orders(outcome.pending_orders, outcome.positions, outcome.cash, session_bars, market.rules, cost_rules)
    identity = {(order.instrument, order.side): order.client_order_id for order in orders}
    return events + [_dealt(session, identity[row["instrument"], row["side"]], row) for row in fills.to_dict("records")]


def _dealt(session: pd.Timestamp, order_id: str, row: dict[str, Any]) -> Event:
    facts = {"client_order_id": order_id, "requested": str(row["requested"])}
    facts |= {name: row[name] for name in ("instrument", "side", "status", "message")}
    if row["quantity"] == 0:
        return Event(session, EventKind.ORDER_ENDED, f"ended:{order_id}", facts)
    facts |= {"quantity": str(row["quantity"])}
    facts |= {name: money(row[name]) for name in ("price", "market_price", "fee")}
    return Event(session, EventKind.FILL, f"fill:{order_id}", facts)


def _closed(session: pd.Timestamp, value: Decimal, cash: Decimal) -> Event:
    facts = {"net_asset_value": money(value), "cash": money(cash)}
    return Event(session, EventKind.SESSION_CLOSED, f"close:{session:%Y-%m-%d}", facts)


def _net_asset_value(state: AccountState, market: TradingMarket, session: pd.Timestamp) -> Decimal:
    marks = market.arrays.mark[market.sessions.get_loc(session)]
    value = state.cash
    for instrument, position in state.positions.items():
        value += position.quantity * ticks_to_decimal(marks[market.instruments.get_loc(instrument)])
    return value


def _closes(market: TradingMarket, row: int) -> pd.Series:
    return pd.Series(ticks_to_float(market.arrays.mark[row]), index=market.instruments)


def _orders_table(orders: Sequence[Order]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "instrument": pd.Series([order.instrument for order in orders], dtype="str"),
            "side": pd.Series([order.side for order in orders], dtype="str"),
            "quantity": pd.Series([order.quantity for order in orders], dtype="int64"),
        }
    )
