"""Execution of a session: recover, judge, record, sell, wait, buy, collect, reconcile.

Every step may be the last one of the process. Running `execute` again is the whole recovery: each step looks at the
ledger and at the broker first, and does only what has not been done.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

import pandas as pd

from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.account_orders import TrackedOrder
from quant_pipeline.trading.orders.collection import collect
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.halt_checks import heed_losses, standing_of, watch
from quant_pipeline.trading.orders.reconciliation import Break, open_books, reconcile
from quant_pipeline.trading.orders.risk import check_orders
from quant_pipeline.trading.orders.risk_inputs import view_of_account
from quant_pipeline.trading.orders.risk_view import InstrumentView, Verdict
from quant_pipeline.trading.orders.sending import SUPERSEDED, deny, end, is_superseded, send_side
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.orders.windows import (
    auction_at,
    execution_is_over,
    refuse_other_price,
    refuse_too_early,
    warn_of_late_orders,
)

logger = logging.getLogger(__name__)

Market = Mapping[str, InstrumentView]


def recover(desk: TradingDesk) -> tuple[Break, ...]:
    """Begin the books if there are none, settle what an earlier run left, and compare with the broker.

    Raises
    ------
    ConfigurationError
        When the broker would execute orders at another price than the configured one; nothing was settled or sent.
    """
    refuse_other_price(desk)
    open_books(desk)
    breaks = reconcile(desk)
    _retire_replaced(desk)
    return breaks


def judge(desk: TradingDesk, market: Market, signal_age: int) -> tuple[Verdict, ...]:
    """Ask the risk limits about the orders of the session's plan that have no verdict yet; nothing is changed.

    Raises
    ------
    ConfigurationError
        When the broker would execute the orders at another price than the configured one.
    """
    refuse_other_price(desk)
    plan = desk.journal.account.plans.get(desk.session)
    orders = [] if plan is None else [o for o in plan.orders if o.client_order_id not in desk.journal.book.orders]
    return check_orders(orders, view_of_account(desk, market, signal_age), desk.limits)


def verdict_events(verdicts: Sequence[Verdict], session: str, provenance: Mapping[str, str]) -> tuple[Event, ...]:
    """Make the events that record orders and denials, each with where its decision came from.

    Parameters
    ----------
    verdicts
        Verdicts of orders that have none in the ledger yet.
    session
        Session in which they execute.
    provenance
        What the decision was made of: scores, models, newest data.
    """
    events = []
    for verdict in verdicts:
        kind = EventKind.ORDER_RECORDED if verdict.approved else EventKind.ORDER_DENIED
        facts = {"order": verdict.order.facts, "deal_session": session, "provenance": dict(provenance)}
        if verdict.code is not None:
            facts |= {"client_order_id": verdict.order.client_order_id, "code": str(verdict.code)}
            facts |= {"value": verdict.value, "limit": verdict.limit, "message": verdict.message}
        events.append(Event(pd.Timestamp(session), kind, f"order:{verdict.order.client_order_id}", facts))
    return tuple(events)


def execute(desk: TradingDesk, market: Market, signal_age: int) -> tuple[Break, ...]:
    """Send the recorded orders of the session and follow them to their end.

    Parameters
    ----------
    desk
        The desk; it holds the lease.
    market
        What is known of each instrument.
    signal_age
        Sessions between the scores and the decision.

    Returns
    -------
    tuple of Break
        What differs between the books and the broker afterwards.

    Raises
    ------
    ConfigurationError
        When the broker would execute the orders at another price than the configured one.
    StaleDataError
        When it is too early to send orders of this session.
    """
    refuse_other_price(desk)
    refuse_too_early(desk)
    collect(desk)
    if desk.journal.book.of_session(desk.session, OrderState.INTENDED):
        warn_of_late_orders(desk)
    heed_losses(desk, standing_of(desk, desk.check_account()))
    send_side(desk, "sell")
    if desk.rules.waves == "sells_first":
        wait_for(desk, "sell", desk.rules.wait_for_sales_seconds)
        fit_buys(desk, market, signal_age)
    send_side(desk, "buy")
    wait_for(desk, None, desk.rules.wait_for_fills_seconds)
    cancel_what_is_left(desk)
    return reconcile(desk)


def cancel_what_is_left(desk: TradingDesk) -> None:
    """Cancel orders of ours that still work although their session is over: they would execute in the next one."""
    left = [o for o in desk.journal.book.unfinished if o.session < desk.session or execution_is_over(desk)]
    if left:
        logger.warning("%d orders outlived their session and are cancelled", len(left))
        desk.cancel(left)
        collect(desk)


def wait_for(desk: TradingDesk, side: str | None, seconds: float) -> None:
    """Collect until no order of a side is open at the broker, or the time is over; send what was held back.

    Orders of an auction that is held later than that are not waited for. Updates of the broker may cut a pause short.
    Such a collection is one more, not one of the polls that a missing fill is waited for: an update arrives before the
    activity feed shows its fill.
    """
    poll_seconds = desk.rules.poll_seconds
    waited, since_poll = 0.0, poll_seconds
    while True:
        is_poll = since_poll >= poll_seconds
        collect(desk, is_poll=is_poll)
        since_poll = 0.0 if is_poll else since_poll
        if not _are_pending(desk, side) or waited >= seconds or execution_is_over(desk):
            return
        auction = auction_at(desk)
        if auction is not None and not desk.held_back and desk.now() + pd.Timedelta(seconds=seconds - waited) < auction:
            logger.info(
                "the orders wait for the auction of %s UTC; the daily run after the close books what it executed",
                f"{auction:%Y-%m-%d %H:%M}",
            )
            return
        watch(desk)
        # Waiting may outlast the lease; no process takes over from a sender that is alive.
        desk.journal.hold_lease()
        paused = poll_seconds
        if desk.pause is None:
            desk.sleep(poll_seconds)
        else:
            paused = desk.pause(poll_seconds)
        waited += paused
        since_poll += paused
        if desk.held_back:
            began = desk.now()
            for one in ("sell", "buy") if side is None else (side,):
                send_side(desk, one)
            waited += (desk.now() - began).total_seconds()


def _are_pending(desk: TradingDesk, side: str | None) -> bool:
    """Return whether orders of a side are open at the broker, or held back and could still leave."""
    state = desk.journal.book.trading_state
    held_back = [
        tracked
        for tracked in desk.journal.book.of_session(desk.session, OrderState.INTENDED)
        if tracked.order.client_order_id in desk.held_back and state.lets_through(tracked.order.side)
    ]
    return any(side in (None, tracked.order.side) for tracked in [*desk.journal.book.unfinished, *held_back])


def fit_buys(desk: TradingDesk, market: Market, signal_age: int) -> None:
    """Cut the buys to the cash there is after the sales, and ask the risk limits again before they leave."""
    waiting = [o for o in desk.journal.book.of_session(desk.session, OrderState.INTENDED) if o.order.side == "buy"]
    if not waiting:
        return
    view = view_of_account(desk, market, signal_age)
    heed_losses(desk, view)
    cash = view.cash - Decimal(str(desk.limits.min_cash)) * view.equity
    orders = []
    for tracked in waiting:
        affordable = _affordable(desk, tracked, cash)
        if affordable == 0:
            end(desk, tracked, OrderState.EXPIRED, f"the sales left {max(cash, Decimal(0)):.2f} cash")
            continue
        if affordable < tracked.quantity:
            _resize(desk, tracked, affordable)
        cash -= affordable * Decimal(tracked.order.reference_price)
        orders.append(replace(tracked.order, quantity=int(affordable)))
    state = desk.journal.book.trading_state
    for verdict in check_orders(orders, replace(view, state=state), desk.limits):
        if not verdict.approved:
            deny(desk, verdict)


def _retire_replaced(desk: TradingDesk) -> None:
    """End what an earlier plan of the session recorded but never sent; the later plan stands in its place."""
    for tracked in desk.journal.book.of_session(desk.session, OrderState.INTENDED):
        if is_superseded(desk, tracked) or desk.session not in desk.journal.account.plans:
            end(desk, tracked, OrderState.EXPIRED, SUPERSEDED)


def _affordable(desk: TradingDesk, tracked: TrackedOrder, cash: Decimal) -> Decimal:
    price = Decimal(tracked.order.reference_price)
    if tracked.quantity * price <= cash:
        return tracked.quantity
    highest = price * (1 + Decimal(str(desk.rules.cash_buffer)))
    return max(Decimal(0), (cash / highest).to_integral_value(ROUND_FLOOR))


def _resize(desk: TradingDesk, tracked: TrackedOrder, quantity: Decimal) -> None:
    order_id = tracked.order.client_order_id
    facts = {"client_order_id": order_id, "quantity": str(quantity), "message": "cut to the cash after the sales"}
    key = f"resized:{order_id}:{quantity}"
    desk.journal.append([Event(tracked.session, EventKind.ORDER_RESIZED, key, facts)])
