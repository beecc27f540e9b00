"""Selling everything while the ledger cannot be used: it is locked by another process, damaged, or the disk is full.

What is sold is known by the broker alone. The next comparison with it books the fills as trades by hand, raises an
alert, and lets only exits pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.trading.broker_records import BrokerOrder, BrokerPosition, OrderRequest, OrderStatus
from quant_pipeline.trading.ledger.events import client_order_id
from quant_pipeline.trading.orders.emergency import Left, as_far_as_readable, cancel_own
from quant_pipeline.trading.ports import Broker, BrokerError, DuplicateOrderError, PartlyUnreadableError

_FIRST_REVISION, _LAST_REVISION = 80, 99
"""Numbers that no plan of a session reaches; a name that the broker knows already is not used again."""


class UnrecordedSale(NamedTuple):
    """Orders as the broker has them, and what is left with the reasons."""

    orders: tuple[BrokerOrder, ...]
    left: tuple[Left, ...]


def sell_without_ledger(
    broker: Broker, account: str, pinned: str | None, polls: int, pause: Callable[[], None]
) -> UnrecordedSale:
    """Cancel what is open and sell what the broker holds, less what is not ours to trade; nothing is recorded.

    The caller has stopped every other sender by the kill switch's file.

    Parameters
    ----------
    broker
        The broker, reached without ledger and lease.
    account
        Name of the account; its orders bear it.
    pinned
        The only account number that may be sold; None when any may.
    polls, pause
        How often to look whether orders have ended, and what to do in between.

    Raises
    ------
    ConfigurationError
        When the keys open another account than the pinned one, or one that does not state its number.
    StaleDataError
        When the market of the broker is closed; open orders were cancelled.
    """
    found = _number_of(broker)
    if pinned is not None and found != pinned:
        other = f"account {found}" if found else "an account without a number"
        raise ConfigurationError(f"the keys of '{account}' open {other}, not {pinned}; nothing was sold")
    cancelled = cancel_own(broker, account).done
    broker.suspend_trading(False)
    clock = broker.clock()
    if not clock.is_open:
        raise StaleDataError(
            f"the broker's market is closed until {clock.next_open:%Y-%m-%d %H:%M} UTC; open orders were cancelled. "
            "Run `kedro account flatten` again then"
        )
    # Orders by hand go on, and the sale does not wait for them.
    _await(broker, lambda: all(order.status.is_final for order in _orders(broker, cancelled)), polls, pause)
    reasons, names = {}, []
    for position in as_far_as_readable(broker.positions)[0]:
        try:
            names.append(_sell(broker, account, position).client_order_id)
        except BrokerError as error:
            reasons[position.instrument] = error.message
        except _NothingToSellError as error:
            reasons[position.instrument] = str(error)
    _await(broker, lambda: all(order.status.is_final for order in _orders(broker, names)), polls, pause)
    held, unreadable = as_far_as_readable(broker.positions)
    orders = _orders(broker, names)
    reasons |= {order.instrument: _why_unsold(order) for order in orders}
    left = [Left(p.instrument, p.quantity, reasons.get(p.instrument, "it was bought meanwhile")) for p in held]
    left += [Left(name, None, f"its record cannot be read, {why}") for name, why in unreadable.items()]
    return UnrecordedSale(tuple(order for order in orders if order.filled_quantity), tuple(left))


def _number_of(broker: Broker) -> str:
    """Return the number of the account, also when the rest of its record cannot be read; empty when it has none."""
    try:
        return broker.account().account_number
    except PartlyUnreadableError as error:
        return next(iter(error.readable), "")


def _why_unsold(order: BrokerOrder) -> str:
    if not order.status.is_final:
        return "its sale has not ended yet"
    if order.status is OrderStatus.FILLED:
        return "no more of it could be sold"
    return f"the broker has {order.raw_status} its sale{f': {order.message}' if order.message else ''}"


class _NothingToSellError(Exception):
    """A position of which nothing can be sold, and why."""


def _sell(broker: Broker, account: str, position: BrokerPosition) -> BrokerOrder:
    if position.is_foreign:
        raise _NothingToSellError("it is held short or is no share: close it at the broker")
    asset, available = broker.asset(position.instrument), min(position.available, position.quantity)
    if asset is None or not asset.fractionable:
        available = available.to_integral_value(ROUND_FLOOR)
    if available <= Decimal(0):
        raise _NothingToSellError("no part of it can be sold: a fraction, or promised to another order")
    day = broker.clock().now.tz_localize(None).normalize()
    for revision in range(_FIRST_REVISION, _LAST_REVISION + 1):
        name = client_order_id(account, day, position.instrument, "sell", revision)
        if broker.order_by_client_id(name) is not None:
            continue
        try:
            return broker.submit(OrderRequest(name, position.instrument, "sell", available))
        except DuplicateOrderError:
            continue
    raise _NothingToSellError("too many sales of it were tried today: sell it at the broker")


def _orders(broker: Broker, names: Sequence[str]) -> tuple[BrokerOrder, ...]:
    found = (broker.order_by_client_id(name) for name in names)
    return tuple(order for order in found if order is not None)


def _await(broker: Broker, has_ended: Callable[[], bool], polls: int, pause: Callable[[], None]) -> None:
    for _ in range(polls):
        if has_ended():
            return
        pause()
