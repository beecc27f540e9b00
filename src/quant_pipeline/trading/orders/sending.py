"""Send orders: type, limit price, pace; record first, use an id that the broker accepts once, ask before repeating."""

from __future__ import annotations

import logging
from decimal import Decimal
from functools import partial

import pandas as pd

from quant_pipeline.trading.broker_records import BrokerOrder, OrderRequest, OrderStatus, OrderType
from quant_pipeline.trading.ledger.events import TICK, Event, EventKind, Order
from quant_pipeline.trading.orders.account_orders import TrackedOrder
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.halt_checks import watch
from quant_pipeline.trading.orders.last_trades import check_last_trade
from quant_pipeline.trading.orders.risk_view import DenialCode, TradingState, Verdict
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.orders.windows import execution_is_over, hours_agree, time_in_force_of, window_is_over
from quant_pipeline.trading.ports import (
    BrokerError,
    BrokerUnavailableError,
    DuplicateOrderError,
    OrderRejectedError,
    OrderWithheldError,
    OutcomeUnknownError,
    RateLimitedError,
)

logger = logging.getLogger(__name__)

SUPERSEDED = "a later plan has taken its place"
_MINUTE = pd.Timedelta(minutes=1)
_CENT = Decimal("0.01")


def send_side(desk: TradingDesk, side: str) -> None:
    """Send every recorded order of one side that has not been sent; one without a price of now is held back.

    Parameters
    ----------
    desk
        The desk; its kill switch is asked before every order.
    side
        ``sell`` or ``buy``.
    """
    for tracked in desk.journal.book.of_session(desk.session, OrderState.INTENDED):
        if tracked.order.side != side:
            continue
        verdict = look(desk, tracked.order)
        if verdict is None:
            return
        if is_superseded(desk, tracked):
            end(desk, tracked, OrderState.EXPIRED, SUPERSEDED)
        elif verdict.approved:
            desk.journal.append([_submitting(desk, tracked, verdict.last_trade)])
            post(desk, tracked)
        elif verdict.code is DenialCode.STALE_DATA:
            _hold_back(desk, tracked.order, verdict.message)
        else:
            deny(desk, verdict)


def look(desk: TradingDesk, order: Order) -> Verdict | None:
    """Wait for the rate limit, then check price, kill switches, losses and sending window; nothing slow may follow.

    Returns
    -------
    Verdict or None
        What the price says of the order; None when nothing of its side may be sent: a kill switch is active, the
        trading state lets only exits or nothing through, the operator has disarmed the account, the window of the
        session is over, or prices are unknown.
    """
    while True:
        wait_for_rate(desk)
        began = desk.now()
        try:
            verdict = check_last_trade(desk, order)
        except BrokerError as error:
            _hold_back(desk, order, error.message)
            return None
        if verdict.code is DenialCode.STALE_DATA:
            return verdict  # It stays here, and is looked at many times: that must not cost the broker's answers.
        lets_through = watch(desk).lets_through(order.side) and not desk.was_disarmed
        if not lets_through or window_is_over(desk) or not hours_agree(desk):
            return None
        # A broker that is slow to answer may have made the price an old one.
        allowed = desk.limits.max_trade_age_seconds
        if allowed is None or (desk.now() - began).total_seconds() <= allowed:
            return verdict


def is_superseded(desk: TradingDesk, tracked: TrackedOrder) -> bool:
    """Return whether a later plan of the session has taken the place of the one that an order belongs to."""
    plan = desk.journal.account.plans.get(desk.session)
    if plan is None or tracked.session != desk.session:
        return False
    return not plan.has(tracked.order.client_order_id)


def post(desk: TradingDesk, tracked: TrackedOrder) -> None:
    """Send one order and record what is certain about it; what is not leaves it SUBMITTING."""
    order_id = tracked.order.client_order_id
    desk.sent.append(desk.now())
    desk.held_back.pop(order_id, None)
    try:
        known = desk.broker.submit(request_of(desk, tracked))
    except OrderRejectedError as error:
        reject(desk, tracked, f"{error.code} {error.message}".strip())
    except DuplicateOrderError:
        logger.info("the broker has %s already", order_id)
    except (OutcomeUnknownError, BrokerUnavailableError) as error:
        logger.warning("it is not known yet whether %s arrived: %s", order_id, error.message)
    except OrderWithheldError as error:
        logger.warning("%s", error.message)
    except RateLimitedError as error:
        desk.sleep(error.retry_after)
    else:
        adopt(desk, tracked, known)


def adopt(desk: TradingDesk, tracked: TrackedOrder, known: BrokerOrder) -> None:
    """Record that the broker has the order; halt when it is not the order that was recorded."""
    order_id = tracked.order.client_order_id
    sent = (tracked.order.instrument, tracked.order.side, tracked.quantity)
    if (known.instrument, known.side, known.quantity) != sent:
        found = f"{known.side} {known.quantity} {known.instrument}"
        message = f"the broker's {order_id} is {found}, not {sent[1]} {sent[2]} {sent[0]}"
        desk.tighten(TradingState.HALTED, "ORDER_NOT_INTENDED", message)
    facts = {"client_order_id": order_id, "broker_order_id": known.broker_order_id}
    desk.journal.append([Event(tracked.session, EventKind.ORDER_ACCEPTED, f"accepted:{order_id}", facts)])
    if known.status is OrderStatus.REJECTED:
        reject(desk, tracked, known.message or known.raw_status)


def reject(desk: TradingDesk, tracked: TrackedOrder, message: str) -> None:
    """Record that the broker refuses the order for good; too many in a row halt the account."""
    order_id = tracked.order.client_order_id
    facts = {"client_order_id": order_id, "message": message}
    desk.journal.append([Event(tracked.session, EventKind.ORDER_REJECTED, f"rejected:{order_id}", facts)])
    rejects = desk.journal.book.consecutive_rejects
    # Who sells everything sells the rest too, whatever the broker says to some of it.
    if rejects >= desk.limits.max_consecutive_rejects and not desk.journal.book.is_flattening:
        desk.tighten(TradingState.HALTED, "CONSECUTIVE_REJECTS", f"{rejects} orders in a row were rejected: {message}")


def resolve(desk: TradingDesk) -> None:
    """Find out what became of every order whose outcome is not known: ask, and only then send the same name again."""
    for tracked in desk.journal.book.waiting_in(OrderState.SUBMITTING):
        known = desk.ask(partial(desk.broker.order_by_client_id, tracked.order.client_order_id))
        if known is not None:
            adopt(desk, tracked, known)
        elif tracked.session < desk.session or execution_is_over(desk):
            end(desk, tracked, OrderState.EXPIRED, "it never reached the broker and its session is over")
        elif is_superseded(desk, tracked):
            end(desk, tracked, OrderState.EXPIRED, SUPERSEDED)
        elif not window_is_over(desk):
            verdict = look(desk, tracked.order)
            if verdict is not None and verdict.approved:
                desk.journal.hold_lease()  # Nothing is recorded before an order is repeated, so ask here.
                post(desk, tracked)


def deny(desk: TradingDesk, verdict: Verdict) -> None:
    """Record that an approved order may not leave after all."""
    order_id = verdict.order.client_order_id
    facts = {"client_order_id": order_id, "code": str(verdict.code), "message": verdict.message}
    desk.journal.append([Event(desk.session, EventKind.ORDER_DENIED, f"denied:{order_id}", facts)])
    logger.warning("%s is denied after all: %s", order_id, verdict.message)


def _hold_back(desk: TradingDesk, order: Order, message: str) -> None:
    if order.client_order_id not in desk.held_back:
        logger.warning("%s waits for a trade to be compared with: %s", order.client_order_id, message)
    desk.held_back[order.client_order_id] = f"waits for a trade: {message}"


def expire_unsent(desk: TradingDesk) -> None:
    """End recorded orders that were never sent and whose time is over."""
    over = window_is_over(desk)
    for tracked in desk.journal.book.waiting_in(OrderState.INTENDED):
        if tracked.session < desk.session or over:
            end(desk, tracked, OrderState.EXPIRED, "it was never sent and its time is over")


def end(desk: TradingDesk, tracked: TrackedOrder, state: OrderState, message: str) -> None:
    """Record that an order has ended without executing what was left of it."""
    order = tracked.order
    facts = {
        "client_order_id": order.client_order_id,
        "instrument": order.instrument,
        "side": order.side,
        "requested": str(tracked.quantity),
        "status": str(state),
        "message": message,
    }
    desk.journal.append([Event(tracked.session, EventKind.ORDER_ENDED, f"ended:{order.client_order_id}", facts)])


def request_of(desk: TradingDesk, tracked: TrackedOrder) -> OrderRequest:
    """Write an order as the broker takes it; the sale of everything takes any price, whatever is configured."""
    order, limit = tracked.order, None
    kind = OrderType.MARKET if desk.journal.book.is_flattening else OrderType(desk.rules.order_type)
    if kind is OrderType.LIMIT:
        distance = Decimal(str(desk.rules.limit_distance)) * (1 if order.side == "buy" else -1)
        price = Decimal(order.reference_price) * (1 + distance)
        limit = price.quantize(_CENT if price >= 1 else TICK)
    return OrderRequest(
        order.client_order_id,
        order.instrument,
        order.side,
        tracked.quantity,
        kind,
        limit,
        time_in_force_of(desk),
    )


def wait_for_rate(desk: TradingDesk) -> None:
    """Pause until one more order fits into the orders per minute, those of an interrupted run included."""
    if not desk.sent:
        before = (order.submitted_at for order in desk.journal.book.of_session(desk.session))
        desk.sent.extend(sorted(pd.Timestamp(at) for at in before if at))
    now = desk.now()
    while desk.sent and desk.sent[0] <= now - _MINUTE:
        desk.sent.popleft()
    excess = len(desk.sent) - desk.limits.max_orders_per_minute
    if excess >= 0:
        desk.sleep((desk.sent[excess] + _MINUTE - now).total_seconds())


def _submitting(desk: TradingDesk, tracked: TrackedOrder, last_trade: Decimal | None) -> Event:
    order_id = tracked.order.client_order_id
    facts = {"client_order_id": order_id, "at": desk.now().isoformat()}
    facts |= {} if last_trade is None else {"last_trade": str(last_trade)}
    return Event(tracked.session, EventKind.ORDER_SUBMITTING, f"submitting:{order_id}", facts)
