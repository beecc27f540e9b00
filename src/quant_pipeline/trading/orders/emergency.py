"""What always has to work: cancel orders of ours, and sell what the broker holds; neither needs a market.

Both ask the broker what there is, not the books: when they are needed, the books may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from typing import NamedTuple, TypeVar

import pandas as pd

from quant_pipeline.common.exceptions import IncompleteError
from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.broker_records import BrokerAsset, BrokerOrder, BrokerPosition
from quant_pipeline.trading.ledger.events import is_named_by
from quant_pipeline.trading.orders.collection import collect
from quant_pipeline.trading.orders.desk import TradingDesk, trading_state_event
from quant_pipeline.trading.orders.execution import judge, verdict_events, wait_for
from quant_pipeline.trading.orders.outcome import why_unsent
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.reconciliation import open_books, reconcile
from quant_pipeline.trading.orders.risk_view import FLATTEN, InstrumentView, TradingState
from quant_pipeline.trading.orders.sending import send_side
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.orders.windows import refuse_too_early
from quant_pipeline.trading.ports import (
    Broker,
    BrokerError,
    OrderNotCancelableError,
    PartlyUnreadableError,
    UnknownOrderError,
)

Row = TypeVar("Row")

_LOOK_BACK = pd.Timedelta(days=5)


class Cancelled(NamedTuple):
    """Names of orders that were cancelled, and why others may still be open, by name."""

    done: tuple[str, ...]
    failed: Mapping[str, str]


class Left(NamedTuple):
    """Shares that were not sold, and why; their number is None when it cannot be read."""

    instrument: str
    quantity: Decimal | None
    reason: str


def cancel_own(broker: Broker, account: str, known: Collection[str] = ()) -> Cancelled:
    """Cancel every open order of an account at its broker, and what has replaced one; the ledger is not needed.

    Parameters
    ----------
    broker
        The broker.
    account
        Name of the account; its orders bear it.
    known
        Names of orders that the ledger knows, where it could be read.

    Raises
    ------
    BrokerError
        When the broker does not say what is open.
    """
    ours: set[str] = set()
    done = []
    # Of what has ended, only the chain of replacements matters; what is open and cannot be read may be ours.
    known_before, _ = as_far_as_readable(lambda: broker.orders(_time_of(broker) - _LOOK_BACK))
    still_open, unreadable = as_far_as_readable(broker.open_orders)
    failed = {name: f"its record cannot be read, {why}" for name, why in unreadable.items()}
    orders = {order.broker_order_id: order for order in (*known_before, *still_open)}
    for order in sorted(orders.values(), key=lambda order: order.submitted_at):
        if not (_is_ours(order, account, known) or order.replaces in ours):
            continue
        ours.add(order.broker_order_id)
        if order.status.is_final:
            continue
        try:
            broker.cancel(order.client_order_id)
        except (UnknownOrderError, OrderNotCancelableError):
            continue  # It has ended meanwhile.
        except BrokerError as error:
            failed[order.client_order_id] = error.message
        else:
            done.append(order.client_order_id)
    return Cancelled(tuple(done), failed)


def _time_of(broker: Broker) -> pd.Timestamp:
    """Return the broker's time, and that of this machine when the broker does not say it: it only says how far back."""
    try:
        return broker.clock().now
    except BrokerError:
        return pd.Timestamp.now("UTC")


def as_far_as_readable(question: Callable[[], tuple[Row, ...]]) -> tuple[tuple[Row, ...], Mapping[str, str]]:
    """Return the rows of a list that can be read, and by name why others cannot; those must stop no emergency."""
    try:
        return question(), {}
    except PartlyUnreadableError as error:
        return error.readable, error.unreadable


def _is_ours(order: BrokerOrder, account: str, known: Collection[str]) -> bool:
    return order.client_order_id in known or is_named_by(account, order.client_order_id, order.instrument, order.side)


def sell_everything(desk: TradingDesk) -> tuple[Left, ...]:
    """Sell what the broker holds, less what is not ours to trade, and return what is left.

    From now on only exits pass; the broker takes orders again, also when the account was halted.

    Raises
    ------
    StaleDataError
        When the exchange is closed; buys are closed all the same.
    """
    desk.journal.catch_up()
    book = desk.journal.book
    if not book.is_flattening:
        words = "everything is sold by the operator's command"
        event = trading_state_event(desk.session, book.state_changes, TradingState.REDUCING, FLATTEN, words)
        desk.journal.append([event])
    desk.cancel_own_orders()
    desk.broker.suspend_trading(False)
    desk.kill_switch.file.unlink(missing_ok=True)
    refuse_too_early(desk)
    open_books(desk)
    _await_cancellations(desk)
    held = [position for position in desk.ask(desk.broker.positions) if not position.is_foreign]
    views = {position.instrument: _view_of(desk, position) for position in held}
    _record(desk, held, views)
    send_side(desk, "sell")
    wait_for(desk, "sell", desk.rules.wait_for_sales_seconds)
    reconcile(desk)
    return _what_is_left(desk)


def _await_cancellations(desk: TradingDesk) -> None:
    """Collect until what was cancelled has ended, for its shares are promised until then; not for ever."""
    for _ in range(desk.rules.missing_fill_polls):
        collect(desk)
        if not desk.journal.book.unfinished:
            return
        desk.sleep(desk.rules.poll_seconds)


def _view_of(desk: TradingDesk, position: BrokerPosition) -> InstrumentView:
    asset = _asset_of(desk, position)
    return InstrumentView(_price_of(position), 0, Decimal(0), "", asset is not None and asset.tradable, True)


def _asset_of(desk: TradingDesk, position: BrokerPosition) -> BrokerAsset | None:
    """Ask for an asset; one that the broker does not answer for is left, and stops no other sale."""
    try:
        return desk.ask(partial(desk.broker.asset, position.instrument))
    except BrokerError:
        return None


def _price_of(position: BrokerPosition) -> Decimal:
    value = position.market_value
    return position.average_entry_price if value is None or not value else value / position.quantity


def _record(desk: TradingDesk, held: list[BrokerPosition], views: Mapping[str, InstrumentView]) -> None:
    """Plan the sales, ask the few limits that hold an emergency exit, and record the verdicts."""
    rows = [
        (p.instrument, "sell", _sellable(desk, p), views[p.instrument].price, "flattened by the operator") for p in held
    ]
    orders = pd.DataFrame(
        [row for row in rows if row[2] > 0], columns=["instrument", "side", "quantity", "reference_price", "reason"]
    )
    decided = desk.calendar.previous(desk.session)
    source = {"scores": "none, the operator's command"}
    events = desk.journal.ledger.events()
    desk.journal.append(record_plan(events, orders, decided, desk.session, source, replaces_sent=True))
    verdicts = judge(desk, views, 0)
    provenance = {**source, "data": "the broker's positions", "limits": desk.limits.fingerprint}
    desk.journal.append(verdict_events(verdicts, f"{desk.session:%Y-%m-%d}", provenance))


def _sellable(desk: TradingDesk, position: BrokerPosition) -> Decimal:
    """Return what may be sold: fractions only where the broker takes them."""
    available = min(position.available, position.quantity)
    if available % 1 == 0:
        return available
    asset = _asset_of(desk, position)
    is_whole_only = asset is None or not asset.fractionable
    return available.to_integral_value(ROUND_FLOOR) if is_whole_only else available


def _what_is_left(desk: TradingDesk) -> tuple[Left, ...]:
    said = {o.order.instrument: o for o in desk.journal.book.of_session(desk.session) if o.order.side == "sell"}
    left = []
    for position in desk.ask(desk.broker.positions):
        if position.is_foreign:
            reason = "it is held short or is no share: close it at the broker"
        elif position.instrument not in said:
            reason = "no part of it can be sold: a fraction, or promised to another order"
        else:
            order = said[position.instrument]
            reason = order.message or f"the order is {order.state}"
            if order.state is OrderState.INTENDED:
                reason = f"its order has not left: {why_unsent(desk, order)}"
        left.append(Left(position.instrument, position.quantity, reason))
    return tuple(left)


def require_sold(left: tuple[Left, ...], account: str) -> None:
    """Refuse to call an account flat that holds something.

    Raises
    ------
    IncompleteError
        Names everything that is left, and why.
    """
    if left:
        rows = first_of(
            (
                f"{'an unknown number of' if row.quantity is None else row.quantity} {row.instrument}: {row.reason}"
                for row in left
            ),
            "; ",
        )
        raise IncompleteError(
            f"'{account}' still holds {len(left)} positions: {rows}. Run flatten again, or sell them there."
        )
