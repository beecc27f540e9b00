"""What became of the orders of a plan, as the ledger knows it: whether they were sent to a broker or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.strategy.reasons import NOT_EXECUTED, not_carried_out
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.ledger.tables import trades_table
from quant_pipeline.trading.orders.account_orders import AccountOrders

PLANNED = "planned"
"""State of an order of which nothing is known but its plan."""
IS_OVER = "its session is over, and nothing of it was sent or booked"


class OrderCourse(NamedTuple):
    """What became of an order.

    Attributes
    ----------
    state
        `PLANNED`, a state of the order at the broker, or how it was booked.
    filled, price
        Shares executed, and their mean price; None while there are none.
    message
        Why it was denied, rejected or ended; empty otherwise.
    reason
        Why it was decided; for an order that was not carried out, that it was not, and why.
    """

    state: str
    filled: float
    price: Decimal | float | None
    message: str
    reason: str


def explained(reason: str, message: str) -> str:
    """Return the reason of an order with its message, which is said once."""
    return reason if message in reason else f"{reason}; {message}"


@dataclass(frozen=True)
class OrderCourses:
    """What a ledger says of its orders.

    Attributes
    ----------
    book
        Orders that were judged or sent; a simulated account sends none.
    booked
        Every order that was executed or ended, by its name; see `trades_table`.
    closed
        Last session that was closed; None before the first.
    """

    book: AccountOrders
    booked: pd.DataFrame
    closed: pd.Timestamp | None

    @classmethod
    def of(cls, book: AccountOrders, events: Sequence[Event]) -> OrderCourses:
        """Read a ledger."""
        closed = [event.session for event in events if event.kind is EventKind.SESSION_CLOSED]
        return cls(book, trades_table(events).set_index("client_order_id"), max(closed, default=None))

    def course(self, order: Order, session: pd.Timestamp) -> OrderCourse:
        """Return what became of an order that executes in a session."""
        tracked = self.book.orders.get(order.client_order_id)
        if tracked is not None:
            price = tracked.average_price
            return OrderCourse(str(tracked.state), float(tracked.filled), price, tracked.message, tracked.reason())
        if order.client_order_id in self.booked.index:
            return _booked(order, self.booked.loc[[order.client_order_id]])
        is_over = self.closed is not None and session <= self.closed
        reason = not_carried_out(order.reason, NOT_EXECUTED, IS_OVER) if is_over else order.reason
        return OrderCourse(PLANNED, 0.0, None, IS_OVER if is_over else "", reason)


def _booked(order: Order, rows: pd.DataFrame) -> OrderCourse:
    """Return what became of an order that was executed without being sent."""
    filled = float(rows["quantity"].fillna(0.0).sum())
    price = float((rows["quantity"] * rows["price"]).sum()) / filled if filled else None
    last = rows.iloc[-1]
    message = "" if pd.isna(last["message"]) else str(last["message"])
    reason = order.reason if filled else not_carried_out(order.reason, NOT_EXECUTED, message)
    return OrderCourse(str(last["status"]), filled, price, message, reason)
