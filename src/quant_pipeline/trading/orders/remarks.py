"""What the operator has to know at the end of a run: the trading state with its reason, and what became of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.account_orders import AccountOrders, TrackedOrder
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.orders.states import OrderState

_DENIED_BY_STATE = {TradingState.REDUCING: "buys", TradingState.HALTED: "all orders"}
_WITH_REASON = (OrderState.DENIED, OrderState.REJECTED, OrderState.EXPIRED, OrderState.CANCELED)


def state_remark(events: Sequence[Event]) -> str | None:
    """Say that an account is reducing or halted, since when, why, and what lifts it; None when it is active."""
    changes = [event for event in events if event.kind is EventKind.TRADING_STATE_CHANGED]
    if not changes or TradingState(changes[-1].payload["state"]) is TradingState.ACTIVE:
        return None
    last = changes[-1]
    denied = _DENIED_BY_STATE[TradingState(last.payload["state"])]
    return (
        f"the account is {last.payload['state']} since {last.session:%Y-%m-%d}: {last.payload['message']} "
        f"({last.payload['code']}); {denied} are denied until `kedro account resume`"
    )


def orders_remark(orders: Iterable[TrackedOrder], session: pd.Timestamp) -> str:
    """Count what became of the orders of a session, with the reasons of those that were not executed."""
    orders = list(orders)
    if not orders:
        return f"there was no order for {session:%Y-%m-%d}"
    counts = Counter(str(order.state) for order in orders)
    said = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in sorted(counts.items()))
    reasons = [
        f"{order.order.side} {order.order.instrument} {order.state}: {order.message}"
        for order in orders
        if order.state in _WITH_REASON and order.message
    ]
    return f"{len(orders)} orders of {session:%Y-%m-%d}: {said}" + (f". {'; '.join(reasons)}" if reasons else "")


def is_perfect(book: AccountOrders, session: pd.Timestamp) -> bool:
    """Return whether every order of a session was executed and the account is active."""
    orders = book.of_session(session)
    return book.trading_state is TradingState.ACTIVE and all(order.state is OrderState.FILLED for order in orders)
