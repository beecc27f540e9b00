"""Orders, trading state and cursor as a fold over the events of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.strategy.reasons import NOT_EXECUTED, NOT_SENT, not_carried_out
from quant_pipeline.trading.ledger.account import owners_cash
from quant_pipeline.trading.ledger.amendments import EffectiveFill
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.orders.risk_view import FLATTEN, TradingState
from quant_pipeline.trading.orders.states import OrderState, next_state

ZERO = Decimal(0)


@dataclass(frozen=True)
class TrackedOrder:
    """An order and what has become of it.

    Attributes
    ----------
    order
        As it was decided; `quantity` is what is sent, it may have been made smaller before.
    session
        Session in which it executes.
    state
        Where it stands.
    quantity
        Shares to execute.
    filled, value
        Shares executed so far and what they were worth.
    inferred
        Shares among them that were taken from the order because the broker never reported the fill.
    broker_order_id
        The broker's name of it; empty before it is known.
    submitted_at
        When it was first sent, ISO 8601 in UTC; empty before.
    message
        Why it was denied, rejected or ended.
    """

    order: Order
    session: pd.Timestamp
    state: OrderState
    quantity: Decimal
    filled: Decimal = ZERO
    value: Decimal = ZERO
    inferred: Decimal = ZERO
    broker_order_id: str = ""
    submitted_at: str = ""
    message: str = ""

    @property
    def average_price(self) -> Decimal | None:
        """Mean price of what was executed, exact."""
        return self.value / self.filled if self.filled else None

    @property
    def is_sent(self) -> bool:
        """Whether it has left, or is known at the broker."""
        return bool(self.submitted_at or self.broker_order_id or self.filled)

    def reason(self, why: str | None = None) -> str:
        """Return the reason of the order as it stands: that of its decision, or that it was not carried out, and why.

        Parameters
        ----------
        why
            Why it was not carried out; None is the message of the order.
        """
        why = self.message if why is None else why
        if not self.is_sent:
            return not_carried_out(self.order.reason, NOT_SENT, why)
        if self.state.is_final and not self.filled:
            return not_carried_out(self.order.reason, NOT_EXECUTED, why)
        return self.order.reason


class TrackedFill(NamedTuple):
    """A fill of a tracked order; a guess was taken from the order because the broker never reported it."""

    order_id: str
    fill: EffectiveFill
    is_guess: bool

    @property
    def quantity(self) -> Decimal:
        """Shares that count."""
        return self.fill.quantity

    @property
    def inferred(self) -> Decimal:
        """Shares that count and are guessed."""
        return self.quantity if self.is_guess else ZERO


@dataclass
class AccountOrders:
    """Everything order management must know, computed from events alone.

    Attributes
    ----------
    orders
        By client order id, in the order in which they were recorded.
    live
        Orders that are not final, by client order id.
    by_broker_id
        Client order id by the broker's id.
    fills
        Fills of tracked orders by ledger key, as they count.
    trading_state, state_code, state_changes
        Trading state, why it was entered, and how often it was changed.
    cursor, first_cursor
        Id of the last activity that was booked, and of the last one before the books were opened.
    armed, arm_changes
        Sessions for which the account is armed, with the account number, and how often it was armed and disarmed.
    consecutive_rejects
        Rejected orders since the last accepted one.
    closed_equity
        Net asset value of the last close, with what the owner has paid in or taken out since.
    highest_equity
        Highest net asset value of all closes. What the owner pays in or takes out changes it in proportion: a
        withdrawal is no loss and a deposit no gain.
    """

    orders: dict[str, TrackedOrder] = field(default_factory=dict)
    live: dict[str, TrackedOrder] = field(default_factory=dict)
    by_broker_id: dict[str, str] = field(default_factory=dict)
    fills: dict[str, TrackedFill] = field(default_factory=dict)
    trading_state: TradingState = TradingState.ACTIVE
    state_code: str = ""
    state_changes: int = 0
    cursor: str | None = None
    first_cursor: str = ""
    armed: dict[pd.Timestamp, str] = field(default_factory=dict)
    arm_changes: int = 0
    consecutive_rejects: int = 0
    closed_equity: Decimal = ZERO
    highest_equity: Decimal = ZERO

    @classmethod
    def of(cls, events: Iterable[Event]) -> AccountOrders:
        """Fold the events of a ledger."""
        book = cls()
        for event in events:
            book.apply(event)
        return book

    def apply(self, event: Event) -> None:
        """Change the book by one event.

        Raises
        ------
        IllegalTransitionError
            When the event contradicts the life of its order.
        """
        change = _CHANGES.get(event.kind)
        if change is not None:
            change(self, event)

    def of_session(self, session: pd.Timestamp, *states: OrderState) -> tuple[TrackedOrder, ...]:
        """Orders that execute in a session, those in the given states only when any are given."""
        return tuple(
            order
            for order in self.orders.values()
            if order.session == session and (not states or order.state in states)
        )

    def waiting_in(self, state: OrderState) -> tuple[TrackedOrder, ...]:
        """Orders of any session in a state that is not final."""
        return tuple(order for order in self.live.values() if order.state is state)

    @property
    def is_flattening(self) -> bool:
        """Whether the operator has ordered to sell everything."""
        return self.trading_state is TradingState.REDUCING and self.state_code == FLATTEN

    @property
    def unfinished(self) -> tuple[TrackedOrder, ...]:
        """Orders that the broker may be working on."""
        return tuple(order for order in self.live.values() if order.state.is_at_broker)

    def _put(self, tracked: TrackedOrder) -> None:
        order_id = tracked.order.client_order_id
        self.orders[order_id] = tracked
        if tracked.state.is_final:
            self.live.pop(order_id, None)
        else:
            self.live[order_id] = tracked

    def _change(self, event: Event, **changes: object) -> TrackedOrder:
        known = self._known(event)
        if "state" in changes:
            changes["state"] = next_state(known.order.client_order_id, known.state, OrderState(str(changes["state"])))
        changed = replace(known, **changes)  # type: ignore[arg-type]
        self._put(changed)
        return changed

    def _known(self, event: Event) -> TrackedOrder:
        try:
            return self.orders[event.payload["client_order_id"]]
        except KeyError:
            raise AccountError(
                f"{event.key} is about order {event.payload['client_order_id']}, which was never recorded"
            ) from None


def _record(book: AccountOrders, event: Event) -> None:
    facts = event.payload
    order = Order.of(facts["order"])
    if order.client_order_id in book.orders:
        raise AccountError(f"order {order.client_order_id} is recorded twice; an order is one for ever")
    denied = event.kind is EventKind.ORDER_DENIED
    state = OrderState.DENIED if denied else OrderState.INTENDED
    session, message = pd.Timestamp(facts["deal_session"]), facts.get("message", "")
    book._put(TrackedOrder(order, session, state, Decimal(order.quantity), message=message))


def _deny(book: AccountOrders, event: Event) -> None:
    if "order" in event.payload:
        _record(book, event)
    else:
        book._change(event, state=OrderState.DENIED, message=event.payload["message"])


def _resize(book: AccountOrders, event: Event) -> None:
    known, quantity = book._known(event), Decimal(event.payload["quantity"])
    if known.state is not OrderState.INTENDED or not 0 < quantity <= known.quantity:
        raise AccountError(f"{event.key} resizes an order that is {known.state} with {known.quantity} to {quantity}")
    book._change(event, quantity=quantity)


def _submit(book: AccountOrders, event: Event) -> None:
    book._change(event, state=OrderState.SUBMITTING, submitted_at=event.payload["at"])


def _accept(book: AccountOrders, event: Event) -> None:
    known, broker_id = book._known(event), event.payload["broker_order_id"]
    book.by_broker_id[broker_id] = known.order.client_order_id
    # A fill may be faster than the answer to the order; the answer then only gives the name.
    state = OrderState.ACCEPTED if known.state in (OrderState.SUBMITTING, OrderState.PENDING_CANCEL) else known.state
    if known.state is OrderState.INTENDED:
        book._change(event, state=OrderState.SUBMITTING)
        state = OrderState.ACCEPTED
    if known.state is OrderState.PENDING_CANCEL and known.filled:
        state = OrderState.PARTIALLY_FILLED
    book._change(event, state=state, broker_order_id=broker_id)
    book.consecutive_rejects = 0


def _reject(book: AccountOrders, event: Event) -> None:
    book._change(event, state=OrderState.REJECTED, message=event.payload["message"])
    book.consecutive_rejects += 1


def _request_cancel(book: AccountOrders, event: Event) -> None:
    if book._known(event).state in (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED):
        book._change(event, state=OrderState.PENDING_CANCEL)


def _end(book: AccountOrders, event: Event) -> None:
    if event.payload.get("client_order_id") not in book.orders:
        return  # A plan that was executed without having been sent through order management.
    status = str(event.payload["status"])
    state = OrderState(status) if status in set(OrderState) else OrderState.EXPIRED
    book._change(event, state=state, message=event.payload.get("message", ""))


def _fill(book: AccountOrders, event: Event) -> None:
    facts = event.payload
    # Fills of statements belong to no order of ours.
    known = book.orders.get(facts.get("client_order_id", ""))
    if known is None:
        return
    fill = TrackedFill(known.order.client_order_id, EffectiveFill.of(event), bool(facts.get("inferred", False)))
    book.fills[event.key] = fill
    filled = known.filled + fill.quantity
    state = known.state
    if not state.is_final:
        if state is OrderState.INTENDED:
            # The simulated exchange executes recorded orders without an answer in between.
            book._change(event, state=OrderState.SUBMITTING)
        if filled >= known.quantity:
            state = OrderState.FILLED
        elif filled > 0 and state is not OrderState.PENDING_CANCEL:
            state = OrderState.PARTIALLY_FILLED
    value, inferred = known.value + fill.fill.value, known.inferred + fill.inferred
    book._change(event, state=state, filled=filled, value=value, inferred=inferred)


def _amend(book: AccountOrders, event: Event) -> None:
    known = book.fills.get(event.payload["fill"])
    if known is None:
        return
    now = known._replace(fill=known.fill.amended(event))
    book.fills[event.payload["fill"]] = now
    order = book.orders[known.order_id]
    book._put(
        replace(
            order,
            filled=order.filled - known.quantity + now.quantity,
            value=order.value - known.fill.value + now.fill.value,
            inferred=order.inferred - known.inferred + now.inferred,
        )
    )


def _move_cursor(book: AccountOrders, event: Event) -> None:
    book.cursor = event.payload["activity_id"]
    if event.payload.get("opening"):
        book.first_cursor = event.payload["activity_id"]


def _change_trading_state(book: AccountOrders, event: Event) -> None:
    book.trading_state, book.state_code = TradingState(event.payload["state"]), event.payload["code"]
    book.state_changes += 1
    if book.trading_state is TradingState.ACTIVE:
        book.consecutive_rejects = 0


def _arm(book: AccountOrders, event: Event) -> None:
    book.armed[pd.Timestamp(event.payload["session"])] = event.payload["account_number"]
    book.arm_changes += 1


def _disarm(book: AccountOrders, event: Event) -> None:
    book.armed.pop(pd.Timestamp(event.payload["session"]), None)
    book.arm_changes += 1


def _pay(book: AccountOrders, event: Event) -> None:
    before, after = book.closed_equity, book.closed_equity + owners_cash(event)
    if before > 0:
        book.highest_equity *= max(after, ZERO) / before
        book.closed_equity = after


def _close(book: AccountOrders, event: Event) -> None:
    book.closed_equity = Decimal(event.payload["net_asset_value"])
    book.highest_equity = max(book.highest_equity, book.closed_equity)
    for order in book.unfinished:
        # An order for the day does not outlive a booked close; the desk books none while a broker still works.
        if order.session <= event.session and order.state in (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED):
            book._put(replace(order, state=OrderState.EXPIRED, message="the session has closed"))


_CHANGES: dict[EventKind, Callable[[AccountOrders, Event], None]] = {
    EventKind.ORDER_RECORDED: _record,
    EventKind.ORDER_DENIED: _deny,
    EventKind.ORDER_RESIZED: _resize,
    EventKind.ORDER_SUBMITTING: _submit,
    EventKind.ORDER_ACCEPTED: _accept,
    EventKind.ORDER_REJECTED: _reject,
    EventKind.ORDER_CANCEL_REQUESTED: _request_cancel,
    EventKind.ORDER_ENDED: _end,
    EventKind.FILL: _fill,
    EventKind.TRADE_BUST: _amend,
    EventKind.TRADE_CORRECTION: _amend,
    EventKind.CURSOR_MOVED: _move_cursor,
    EventKind.TRADING_STATE_CHANGED: _change_trading_state,
    EventKind.ACCOUNT_ARMED: _arm,
    EventKind.ACCOUNT_DISARMED: _disarm,
    EventKind.DEPOSIT: _pay,
    EventKind.WITHDRAWAL: _pay,
    EventKind.SESSION_CLOSED: _close,
}
