"""Book sessions of the simulated account: corporate actions and fills by the exchange rules of the backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_float, value_in_cents
from quant_pipeline.exchange.quotes import NO_LIMIT
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.exchange.session import (
    Carry,
    CorporateActionOutcome,
    apply_corporate_actions,
    execute_orders,
    reference_closes,
)
from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.ledger.bookkeeping import StatementEntry, book_days
from quant_pipeline.trading.ledger.events import Event, EventKind, Order, money
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.execution import verdict_events
from quant_pipeline.trading.orders.risk_view import DenialCode, TradingState, Verdict
from quant_pipeline.trading.orders.states import OrderState


def book_sessions(
    events: Sequence[Event],
    account: str,
    initial_cash: float,
    exchange: Exchange,
    entries: Sequence[StatementEntry] = (),
    lot_method: str = "fifo",
    stop: str | None = None,
) -> tuple[Event, ...]:
    """Book every session after the last booked one, in order: statements, corporate actions, fills, close.

    A plan that never went through order management is subject to the trading state all the same: of a halted account
    nothing executes, of a reducing one only sales; what is held back is recorded as denied, with the reason. A halt
    cancels orders that order management has sent, as at a broker.

    Parameters
    ----------
    events
        Everything the ledger knows.
    account, initial_cash
        Name and first deposit; an account without events is opened at the close of the last session.
    exchange
        The market as traded up to the as-of session, which is its last, and the rules of the backtest.
    entries
        What statements report: deposits, withdrawals, fees, transfers. Cash of a session can be traded in it.
    lot_method
        Which lots sales take.
    stop
        Why nothing may be executed, whatever the ledger says, such as a kill switch's file; None when nothing is
        stopped.

    Returns
    -------
    tuple of Event
        New events in order; none when the last session has been booked before.
    """
    bars, corporate_actions, sessions, market_rules, cost_rules = exchange.parts
    state = fold(events)
    if not entries and state.last_session is not None and sessions[-1] <= state.last_session:
        return ()
    market = market_of(bars, corporate_actions, sessions, market_rules)
    unseen = bars if state.last_session is None else bars[bars["date"] > state.last_session]
    by_session = dict(tuple(unseen.groupby("date")))
    book = AccountOrders.of(events)

    def execute(books: AccountState, session: pd.Timestamp) -> list[Event]:
        actions = corporate_actions[corporate_actions["date"] == session]
        plan = books.plans.get(session)
        arrived = () if plan is None else orders_that_arrived(plan.orders, book, session)
        orders, held_back = _permitted(arrived, session, book, stop)
        price = market_rules.deal_price if plan is None or plan.deal_price is None else plan.deal_price
        # A plan executes at the price that it was decided for, though another one is configured by now.
        rules = market_rules.model_copy(update={"deal_price": price})
        quoted = market if rules == market_rules else market_of(bars, corporate_actions, sessions, rules)
        traded = by_session.get(session, bars.head(0))
        return [*held_back, *_book_session(books, session, orders, traded, actions, quoted, cost_rules)]

    return book_days(events, account, initial_cash, market, entries, execute, lot_method)


def orders_that_arrived(orders: Sequence[Order], book: AccountOrders, session: pd.Timestamp) -> tuple[Order, ...]:
    """Return which orders of a plan the exchange executes.

    Parameters
    ----------
    orders
        The plan.
    book
        What order management did with it.
    session
        Session in which they execute.

    Returns
    -------
    tuple of Order
        All of them when the plan never went through order management; else those that it sent, as it sent them, those
        of an earlier plan of the session included: no later plan calls back what has left.
    """
    managed = book.of_session(session)
    if not managed:
        return tuple(orders)
    return tuple(replace(o.order, quantity=int(o.quantity)) for o in managed if o.state.is_at_broker)


def _permitted(
    orders: Sequence[Order], session: pd.Timestamp, book: AccountOrders, stop: str | None
) -> tuple[tuple[Order, ...], tuple[Event, ...]]:
    """Return what the trading state and the kill switches let through, and the events of what they hold back."""
    state = TradingState.HALTED if stop is not None else book.trading_state
    halted = stop or "the account is halted"
    if book.of_session(session):
        # These have left; a state that lets only exits through calls nothing back.
        is_cancelled = state is TradingState.HALTED
        return (() if is_cancelled else tuple(orders)), _cancelled(orders, session, halted) if is_cancelled else ()
    code, reason = DenialCode.TRADING_HALTED, halted
    if state is TradingState.REDUCING:
        code, reason = DenialCode.REDUCE_ONLY, "the account lets only exits through"
    denied = [Verdict(order, code, reason) for order in orders if not state.lets_through(order.side)]
    permitted = tuple(order for order in orders if state.lets_through(order.side))
    return permitted, verdict_events(denied, f"{session:%Y-%m-%d}", {})


def _cancelled(orders: Sequence[Order], session: pd.Timestamp, reason: str) -> tuple[Event, ...]:
    ended = []
    for order in orders:
        facts = {"client_order_id": order.client_order_id, "instrument": order.instrument, "side": order.side}
        facts |= {"requested": str(order.quantity), "status": str(OrderState.CANCELED), "message": reason}
        ended.append(Event(session, EventKind.ORDER_ENDED, f"ended:{order.client_order_id}", facts))
    return tuple(ended)


def _book_session(
    state: AccountState,
    session: pd.Timestamp,
    orders: Sequence[Order],
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    market: TradingMarket,
    cost_rules: CostRules,
) -> list[Event]:
    outcome, fills = execute_session(
        state.positions_table(), state.cash, _orders_table(orders), session, bars, actions, market, cost_rules
    )
    events = [event for row in outcome.events.to_dict("records") for event in _acted(session, row)]
    if outcome.interest:
        events.insert(0, _moved(session, EventKind.INTEREST, "", outcome.interest))
    identity = {(order.instrument, order.side): order.client_order_id for order in orders}
    return events + [
        _fill_event(session, identity[row["instrument"], row["side"]], row) for row in fills.to_dict("records")
    ]


def execute_session(
    positions: pd.DataFrame,
    cash: Decimal,
    orders: pd.DataFrame,
    session: pd.Timestamp,
    bars: pd.DataFrame,
    actions: pd.DataFrame,
    market: TradingMarket,
    cost_rules: CostRules,
) -> tuple[CorporateActionOutcome, pd.DataFrame]:
    """Let one session happen: corporate actions on the holdings, then the fills.

    Parameters
    ----------
    positions, cash
        Holdings at the previous close.
    orders
        Orders of this session: ``instrument``, ``side``, ``quantity``.
    session, bars, actions
        The session with its bars and corporate actions.
    market, cost_rules
        Market (its rules included) and costs.

    Returns
    -------
    outcome
        After the corporate actions.
    fills
        One row per order, see :func:`~quant_pipeline.exchange.session.execute_orders`.
    """
    row = market.sessions.get_loc(session)
    closes = closes_of(market, row - 1)
    carry = Carry(float(market.arrays.interest[row]), market.rules.dividend_tax_rate)
    outcome = apply_corporate_actions(positions, cash, actions, closes, orders, market.rules, carry)
    # What was just listed has no limit, as little as what has no previous close.
    is_limited = market.limits_of(row)[1] < NO_LIMIT
    references = reference_closes(closes, actions).where(is_limited)
    traded = bars.assign(previous_close=bars["instrument"].map(references))
    pending = orders if outcome.pending_orders is None else outcome.pending_orders
    rules, costs = market.rules.at(session), cost_rules.at(session)
    fills = execute_orders(pending, outcome.positions, outcome.cash, traded, rules, costs)
    return outcome, fills


def _fill_event(session: pd.Timestamp, order_id: str, row: dict[str, Any]) -> Event:
    facts = {"client_order_id": order_id, "requested": str(row["requested"])}
    facts |= {name: row[name] for name in ("instrument", "side", "status", "message")}
    if row["quantity"] == 0:
        return Event(session, EventKind.ORDER_ENDED, f"ended:{order_id}", facts)
    facts |= {"quantity": str(row["quantity"])}
    facts |= {name: money(row[name]) for name in ("price", "market_price", "fee")}
    value = value_in_cents(row["quantity"], Decimal(facts["price"]))
    facts["cash"] = money((value if row["side"] == "sell" else -value) - Decimal(facts["fee"]))
    return Event(session, EventKind.FILL, f"fill:{order_id}", facts)


def closes_of(market: TradingMarket, row: int) -> pd.Series:
    """Return the last known closes of a session, in USD by instrument."""
    return pd.Series(ticks_to_float(market.arrays.mark[row]), index=market.instruments)


def _acted(session: pd.Timestamp, row: dict[str, Any]) -> list[Event]:
    """Record a corporate action, gross, and the tax that was withheld from it."""
    amount, tax = Decimal(money(row["amount"])), Decimal(money(row["tax"]))
    facts = {
        "instrument": row["instrument"],
        "quantity_before": str(row["quantity_before"]),
        "quantity_after": str(row["quantity_after"]),
        "amount": money(amount + tax),
    }
    name = f"{row['kind']}:{session:%Y-%m-%d}:{row['instrument']}"
    acted = Event(session, EventKind(row["kind"]), name, facts)
    return [acted, _moved(session, EventKind.TAX, row["instrument"], -tax)] if tax else [acted]


def _moved(session: pd.Timestamp, kind: EventKind, instrument: str, amount: Decimal) -> Event:
    name = f"{kind.value}:{session:%Y-%m-%d}" + (f":{instrument}" if instrument else "")
    return Event(session, kind, name, {"instrument": instrument, "amount": money(amount)})


def _orders_table(orders: Sequence[Order]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "instrument": pd.Series([order.instrument for order in orders], dtype="str"),
            "side": pd.Series([order.side for order in orders], dtype="str"),
            "quantity": pd.Series([order.quantity for order in orders], dtype="int64"),
        }
    )
