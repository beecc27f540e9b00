"""What became of the plan of a session: every order with its reason, the state of the account, and an exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.account_orders import TrackedOrder
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.reconciliation import Break
from quant_pipeline.trading.orders.remarks import account_remarks
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.orders.windows import EXCHANGE_HOURS, auction_at, window_is_over

_CENT = Decimal("0.01")


class OrderOutcome(NamedTuple):
    """An order as it is now, and why it was not executed; no reason is needed for a filled one."""

    tracked: TrackedOrder
    reason: str

    @property
    def state(self) -> OrderState:
        """Where the order is in its life."""
        return self.tracked.state


@dataclass(frozen=True)
class Outcome:
    """What a run of execution leaves behind.

    Attributes
    ----------
    account, session
        Name of the account, and the session in which the orders execute.
    currency
        Of the exchange.
    has_plan
        Whether a plan was recorded for the session; a plan may hold no order.
    orders
        Orders of the newest plan, and those of earlier plans that were sent.
    waits_for
        What open orders wait for by design, such as an auction; empty when they should have been executed by now.
    is_active
        Whether orders of both sides may be sent.
    remarks
        What the operator has to know of the account: its state with the command that lifts it.
    breaks
        What differs between the books and the broker.
    """

    account: str
    session: pd.Timestamp
    currency: str
    has_plan: bool
    orders: tuple[OrderOutcome, ...]
    waits_for: str
    is_active: bool
    remarks: tuple[str, ...]
    breaks: tuple[Break, ...] = ()

    @property
    def status(self) -> ExitStatus:
        """Exit status of the run."""
        if self.breaks or not self.is_active:
            return ExitStatus.ATTENTION
        if not self.has_plan:
            return ExitStatus.NO_PLAN
        return ExitStatus.DONE if all(self._is_as_planned(order) for order in self.orders) else ExitStatus.INCOMPLETE

    @property
    def failed(self) -> tuple[OrderOutcome, ...]:
        """Orders that were not executed as planned, or not yet."""
        return tuple(order for order in self.orders if not self._is_as_planned(order))

    @property
    def counts(self) -> dict[str, int]:
        """Number of orders by state, the planned and the sent ones first."""
        sent = sum(order.tracked.is_sent for order in self.orders)
        states = Counter(_word_of(order) for order in self.orders)
        return {"planned": len(self.orders), "sent": sent, **dict(sorted(states.items()))}

    def value(self, side: str) -> Decimal:
        """Return what was bought or sold, to the cent."""
        total = sum((order.tracked.value for order in self.orders if order.tracked.order.side == side), Decimal(0))
        return total.quantize(_CENT)

    def _is_as_planned(self, order: OrderOutcome) -> bool:
        is_waiting = order.state.is_at_broker and order.state is not OrderState.SUBMITTING and bool(self.waits_for)
        return order.state is OrderState.FILLED or is_waiting


def outcome_of(desk: TradingDesk, breaks: Sequence[Break] = ()) -> Outcome:
    """Describe what became of the plan of the session; nothing is asked of the broker.

    Parameters
    ----------
    desk
        The desk after its orders were followed to their end.
    breaks
        What the comparison with the broker has found.
    """
    events, book, session = desk.journal.ledger.events(), desk.journal.book, desk.session
    plan = desk.journal.account.plans.get(session)
    planned = set() if plan is None else {order.client_order_id for order in plan.orders}
    cancelled = {e.payload["client_order_id"] for e in events if e.kind is EventKind.ORDER_CANCEL_REQUESTED}
    shown = [o for o in book.of_session(session) if o.is_sent or o.order.client_order_id in planned]
    stop = desk.kill_switch.reason(book.trading_state)
    return Outcome(
        account=desk.account,
        session=session,
        currency=unit_of_amounts(desk.calendar.name),
        has_plan=plan is not None,
        orders=tuple(OrderOutcome(o, _reason(desk, o, o.order.client_order_id in cancelled)) for o in shown),
        waits_for=_designed_wait(desk),
        is_active=stop is None and book.trading_state is TradingState.ACTIVE,
        remarks=_remarks(events, session, stop, book.trading_state),
        breaks=tuple(breaks),
    )


def _word_of(order: OrderOutcome) -> str:
    if order.state is OrderState.INTENDED:
        return "not sent"
    if order.state.is_final:
        return str(order.state)
    return "partly filled" if order.tracked.filled else "open"


def _remarks(events: Sequence[Event], session: pd.Timestamp, stop: str | None, state: TradingState) -> tuple[str, ...]:
    """Name what the ledger says of the account, and a switch that the ledger does not know."""
    said = account_remarks(events, session).lines
    if stop is None or state is TradingState.HALTED:
        return said
    return (f"nothing is sent: {stop}; `kedro account resume` takes file and ledger back", *said)


def _designed_wait(desk: TradingDesk) -> str:
    """Return what open orders wait for while it cannot have come yet."""
    auction = auction_at(desk)
    comes_at = desk.calendar.hours(desk.session)[0] if auction is None else auction
    if desk.now() >= comes_at:
        return ""
    return f"{'the open' if auction is None else 'the auction'} of {comes_at:%Y-%m-%d %H:%M} UTC"


def _reason(desk: TradingDesk, order: TrackedOrder, is_cancelled_here: bool) -> str:
    """Say why an order was not executed."""
    if order.state is OrderState.FILLED:
        return ""
    if order.state is OrderState.INTENDED:
        return why_unsent(desk, order)
    if order.state is OrderState.CANCELED:
        by = "cancelled from here" if is_cancelled_here else "cancelled at the broker, not from here"
        words = order.message if order.message not in ("", str(order.state)) else ""
        return f"{by}: {words}" if words else by
    if order.state is OrderState.SUBMITTING:
        return "it is not known yet whether it arrived; run execution again"
    if not order.state.is_final:
        return f"open at the broker for {order.quantity - order.filled:g} shares"
    return order.message


def why_unsent(desk: TradingDesk, order: TrackedOrder) -> str:
    """Say why an order that is recorded has not left."""
    held = desk.held_back.get(order.order.client_order_id)
    if held is not None:
        return held
    state = desk.journal.book.trading_state
    stop = desk.kill_switch.reason(state)
    if stop is not None:
        return stop
    if desk.was_disarmed:
        return f"the account is not armed for {desk.session:%Y-%m-%d}"
    if not state.lets_through(order.order.side):
        return f"the account is {state}"
    if window_is_over(desk):
        return "the time to send orders of the session is over"
    closed = [
        event.payload["message"]
        for event in desk.journal.ledger.events()
        if event.kind is EventKind.ALERT_RAISED
        and event.session == desk.session
        and event.payload["code"] == EXCHANGE_HOURS
    ]
    return closed[-1] if closed else "sending stopped before it; run execution again"
