"""Collecting: fills and everything else that moved cash or shares, from the broker's activities into the ledger.

The activities are the truth about money, the orders only say what to wait for. A batch of activities and the cursor
behind it are one transaction, so a batch is booked wholly or not at all, and the next one begins where it ended.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.activities.corporate import INCOMPLETE
from quant_pipeline.trading.activities.quarantine import open_rows
from quant_pipeline.trading.activities.records import EXTERNAL, OwnOrder
from quant_pipeline.trading.activities.translation import Translator
from quant_pipeline.trading.broker_records import Activity, BrokerOrder, FillActivity, OrderStatus
from quant_pipeline.trading.ledger.events import Event, EventKind, Order, is_named_by
from quant_pipeline.trading.orders.account_orders import AccountOrders, TrackedOrder
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.orders.sending import adopt, end, expire_unsent, reject, resolve
from quant_pipeline.trading.orders.states import OrderState

logger = logging.getLogger(__name__)

# Brokers have reported fills days late; what they report under an older id is looked for this far back.
_LOOK_BACK = pd.Timedelta(days=5)
_ENDED = {OrderStatus.CANCELED: OrderState.CANCELED, OrderStatus.EXPIRED: OrderState.EXPIRED}


def collect(desk: TradingDesk, late: bool = False, is_poll: bool = True) -> None:
    """Bring the ledger up to what the broker knows.

    Parameters
    ----------
    desk
        The desk.
    late
        Whether to look also for what the broker reported late, behind the cursor.
    is_poll
        Whether a fill that the activities do not show is missing for one more poll.
    """
    resolve(desk)
    expire_unsent(desk)
    orders = _orders_at_broker(desk)
    _adopt_unknown(desk, orders)
    book = desk.journal.book
    fresh = _certain(desk, desk.ask(lambda: tuple(desk.broker.activities(after=book.cursor))))
    _book(desk, fresh, fresh[-1].activity_id if fresh else None)
    if late or desk.missing:
        since = desk.session - _LOOK_BACK
        found = desk.ask(lambda: tuple(desk.broker.activities(since=since)))
        _book(desk, _certain(desk, [fact for fact in found if fact.activity_id > book.first_cursor]), None)
    for order in orders:
        _follow(desk, order, is_poll)


def _certain(desk: TradingDesk, activities: Sequence[Activity]) -> list[Activity]:
    """Cut the batch before the first fill that may belong to an order of ours which has no name at the broker yet."""
    book = desk.journal.book
    nameless = {(o.order.instrument, o.order.side) for o in book.waiting_in(OrderState.SUBMITTING)}
    certain = []
    for activity in activities:
        if (
            isinstance(activity, FillActivity)
            and activity.broker_order_id not in book.by_broker_id
            and (activity.instrument, activity.side) in nameless
        ):
            break
        certain.append(activity)
    return certain


def _book(desk: TradingDesk, activities: Sequence[Activity], cursor: str | None) -> None:
    """Append the events of activities, and the cursor, in one transaction."""
    book, ledger = desk.journal.book, desk.journal.ledger
    events = _supersede_inferred(desk, activities)
    if activities:
        translator = Translator(partial(_own_order, book), ledger.find, desk.session_of, desk.journal.account)
        events = [*events, *translator.events(activities, events)]
    if cursor is not None and cursor != book.cursor:
        events.append(Event(desk.session, EventKind.CURSOR_MOVED, f"cursor:{cursor}", {"activity_id": cursor}))
    if events:
        _announce(desk, desk.journal.append(events))


def _own_order(book: AccountOrders, broker_order_id: str) -> OwnOrder | None:
    order_id = book.by_broker_id.get(broker_order_id)
    return None if order_id is None else OwnOrder(order_id, book.orders[order_id].quantity)


def _announce(desk: TradingDesk, events: Sequence[Event]) -> None:
    book = desk.journal.book
    for event in events:
        if event.kind is EventKind.ACTIVITY_QUARANTINED and event.payload["code"] != INCOMPLETE:
            words = f"{event.payload['sort']} {event.payload['activity_id']}: {event.payload['problem']}"
            desk.tighten(TradingState.REDUCING, "QUARANTINE", words)
        elif event.kind is EventKind.ALERT_RAISED:
            logger.warning("%s: %s", desk.account, event.payload["message"])
        elif event.kind is EventKind.FILL:
            order = book.orders.get(event.payload.get("client_order_id", ""))
            facts = f"{event.payload['side']} {event.payload['quantity']} {event.payload['instrument']}"
            if order is None:
                desk.raise_alert(event.key, "EXTERNAL_FILL", f"the user traded {facts} outside of this account's plans")
            elif order.filled > order.quantity:
                message = f"{order.order.client_order_id} executed {order.filled} of {order.quantity}"
                desk.tighten(TradingState.HALTED, "OVERFILL", message)
            elif order.state.is_final and order.state is not OrderState.FILLED:
                message = f"{order.order.client_order_id} executed {facts} after it was {order.state}"
                desk.raise_alert(event.key, "LATE_FILL", message)


def _orders_at_broker(desk: TradingDesk) -> tuple[BrokerOrder, ...]:
    """List the broker's orders since the oldest one that is not settled here."""
    book = desk.journal.book
    unsettled = [order.session for order in book.unfinished]
    first = min([desk.session, *unsettled])
    since = desk.calendar.hours(desk.calendar.previous(first))[0]
    return desk.ask(lambda: desk.broker.orders(since))


def _adopt_unknown(desk: TradingDesk, orders: Sequence[BrokerOrder]) -> None:
    """Recognise orders that bear our name and are not known here as sent: the ledger was restored from a backup."""
    book = desk.journal.book
    for known in orders:
        tracked = book.orders.get(known.client_order_id)
        if tracked is None and _is_ours(desk, known):
            _record_found(desk, known)
            tracked = book.orders[known.client_order_id]
        if tracked is not None and not tracked.broker_order_id and tracked.state is not OrderState.DENIED:
            if tracked.state is OrderState.INTENDED:
                facts = {"client_order_id": known.client_order_id, "at": known.submitted_at.isoformat()}
                key = f"submitting:{known.client_order_id}"
                desk.journal.append([Event(tracked.session, EventKind.ORDER_SUBMITTING, key, facts)])
            adopt(desk, tracked, known)


def _is_ours(desk: TradingDesk, known: BrokerOrder) -> bool:
    return is_named_by(desk.account, known.client_order_id, known.instrument, known.side)


def _record_found(desk: TradingDesk, known: BrokerOrder) -> None:
    """Record an order found at the broker; one that no recorded plan contains lets only exits through."""
    plans = desk.journal.account.plans.values()
    planned = [order for plan in plans for order in plan.orders if order.client_order_id == known.client_order_id]
    quantity = known.quantity if known.quantity is not None else known.filled_quantity
    price = str(known.average_fill_price or known.limit_price or 0)
    found = Order(known.client_order_id, known.instrument, known.side, quantity, price, "found at the broker")
    facts = {
        "order": (planned[0] if planned else found).facts,
        "deal_session": f"{desk.session:%Y-%m-%d}",
        "message": "found at the broker",
    }
    key = f"order:{known.client_order_id}"
    desk.journal.append([Event(desk.session, EventKind.ORDER_RECORDED, key, facts)])
    if not planned:
        message = f"{known.side} {known.quantity} {known.instrument} bears our name but no plan contains it"
        desk.raise_alert(f"foreign:{known.client_order_id}", "ORDER_NOT_PLANNED", message)
        desk.tighten(TradingState.REDUCING, "ORDER_NOT_PLANNED", message)


def _supersede_inferred(desk: TradingDesk, activities: Sequence[Activity]) -> list[Event]:
    """Take back inferred fills of orders whose real fills have come."""
    book = desk.journal.book
    inferred = {key: fill.order_id for key, fill in book.fills.items() if fill.inferred}
    if not inferred:
        return []
    fills = {f"fill:{fact.activity_id}": fact for fact in activities if isinstance(fact, FillActivity)}
    known = desk.journal.ledger.find(list(fills))
    reported = {book.by_broker_id.get(fact.broker_order_id) for key, fact in fills.items() if key not in known}
    return [
        Event(book.orders[order_id].session, EventKind.TRADE_BUST, f"bust:{key}", {"fill": key})
        for key, order_id in inferred.items()
        if order_id in reported
    ]


def _follow(desk: TradingDesk, known: BrokerOrder, is_poll: bool) -> None:
    """Let an order end here when it has ended at the broker and all of its fills are booked."""
    tracked = desk.journal.book.orders.get(known.client_order_id)
    if tracked is None or tracked.broker_order_id != known.broker_order_id:
        return
    if known.status is OrderStatus.UNKNOWN:
        message = f"{known.client_order_id} is '{known.raw_status}' at the broker, which this version does not know"
        desk.raise_alert(f"status:{known.client_order_id}:{known.raw_status}", "UNKNOWN_STATUS", message)
    aside = _in_quarantine(desk, known)
    if known.filled_quantity > tracked.filled + aside:
        _wait_or_infer(desk, tracked, known, is_poll)
        return
    desk.missing.pop(known.client_order_id, None)
    if tracked.state.is_final or known.filled_quantity != tracked.filled + aside:
        return
    if aside and known.status is OrderStatus.FILLED:
        end(desk, tracked, OrderState.FILLED, "its fill is in quarantine")
    if known.status is OrderStatus.REJECTED:
        reject(desk, tracked, known.message or known.raw_status)
    elif known.status in _ENDED:
        end(desk, tracked, _ENDED[known.status], known.message or known.raw_status)


def _in_quarantine(desk: TradingDesk, known: BrokerOrder) -> Decimal:
    """Count the shares of an order whose fills the books could not take."""
    rows = (row for row in open_rows(desk.journal.account) if row.order_id == known.broker_order_id)
    return sum((abs(row.shares or Decimal(0)) for row in rows), Decimal(0))


def _wait_or_infer(desk: TradingDesk, tracked: TrackedOrder, known: BrokerOrder, is_poll: bool) -> None:
    """Wait for fills that the activities do not show yet; after the grace book what the order itself says."""
    order_id, stranger = known.client_order_id, f"{EXTERNAL}:{known.broker_order_id}"
    if any(event.payload.get("client_order_id") == stranger for event in desk.journal.account.history):
        return  # Its fills came before its name and are booked already.
    desk.missing[order_id] = desk.missing.get(order_id, 0) + is_poll
    if desk.missing[order_id] < desk.rules.missing_fill_polls or known.average_fill_price is None:
        return
    quantity = known.filled_quantity - tracked.filled
    value = known.average_fill_price * known.filled_quantity - tracked.value
    key = f"fill:inferred:{order_id}:{known.filled_quantity}:{quantity}"
    if desk.journal.ledger.find([key]):
        return
    sign = -1 if known.side == "buy" else 1
    facts = {
        "client_order_id": order_id,
        "instrument": known.instrument,
        "side": known.side,
        "requested": str(tracked.quantity),
        "quantity": str(quantity),
        "price": str((value / quantity).quantize(Decimal("0.00000001"))),
        "cash": str(sign * value.quantize(Decimal("0.0001"))),
        "fee": "0",
        "status": "filled",
        "message": "inferred from the order; the broker has not reported the fill",
        "inferred": True,
    }
    message = f"{quantity} {known.instrument} of {order_id} were executed but not reported; inferred"
    try:
        desk.journal.append([Event(tracked.session, EventKind.FILL, key, facts)])
    except AccountError as error:
        # The books cannot take it, and only the operator can say why; what it moved shows as a break.
        message = f"{message}, but the books cannot take it: {error.message}"
    desk.raise_alert(key, "FILL_MISSING", message)
    desk.tighten(TradingState.REDUCING, "FILL_MISSING", message)
