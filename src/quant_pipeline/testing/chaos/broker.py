"""A broker that lives outside of the process under test and fails as instructed.

It implements `quant_pipeline.trading.ports.Broker`. Everything it does follows from its seed, its faults and the calls
it receives, so a rehearsal can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.chaos.market import FaultyMarket
from quant_pipeline.trading.broker_records import (
    Activity,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    LastTrade,
    OrderRequest,
    OrderStatus,
    TimeInForce,
)
from quant_pipeline.trading.execution_capability import AuctionOrders, ExecutionCapability
from quant_pipeline.trading.ports import (
    DuplicateOrderError,
    OrderNotCancelableError,
    OrderRejectedError,
    OutcomeUnknownError,
    RateLimitedError,
    UnknownOrderError,
)

ACCOUNT_NUMBER = "CHAOS001"
REFUSED_INSTRUMENT = "BAD"
_LAG = 3


def _hours_around(now: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the hours of the session that runs at an instant, or of the next one."""
    calendar = TradingCalendar.of("XNYS", now.tz_localize(None) - _MARGIN, now.tz_localize(None) + _MARGIN)
    day = now.tz_localize(None).normalize()
    if calendar.is_session(day) and now < calendar.hours(day)[1]:
        return calendar.hours(day)
    return calendar.hours(calendar.next(calendar.latest_on_or_before(day)))


_MARGIN = pd.Timedelta(days=10)
_EVENING = pd.Timedelta(hours=14, minutes=30)
CAPABILITY = ExecutionCapability(
    broker="the faulty broker",
    times_in_force={"open": (TimeInForce.DAY, TimeInForce.OPENING), "close": (TimeInForce.CLOSING,)},
    auctions={
        TimeInForce.OPENING: AuctionOrders("open", _EVENING, pd.Timedelta(minutes=2)),
        TimeInForce.CLOSING: AuctionOrders("close", _EVENING, pd.Timedelta(minutes=10)),
    },
)


class FaultyBroker(FaultyMarket):
    """The port to the account, with scripted faults."""

    capability = CAPABILITY

    def account(self) -> BrokerAccount:
        """Return cash and equity."""
        self._may_fail()
        equity = self._equity()
        return BrokerAccount(
            ACCOUNT_NUMBER, "USD", self.cash, equity, self._last_equity, self.cash, suspended=self.suspended
        )

    def positions(self) -> tuple[BrokerPosition, ...]:
        """List what is held."""
        self._may_fail()
        return tuple(
            BrokerPosition(name, quantity, quantity, self.prices[name], quantity * self.prices[name])
            for name, quantity in sorted(self.held.items())
            if quantity
        )

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """List what is not final."""
        self._may_fail()
        return tuple(self._shown(order) for order in self._orders.values() if not order.status.is_final)

    def orders(self, since: pd.Timestamp) -> tuple[BrokerOrder, ...]:
        """List orders since an instant."""
        self._may_fail()
        visible = (o for o in self._orders.values() if o.submitted_at >= since and self._is_visible(o.client_order_id))
        return tuple(self._shown(order) for order in visible)

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Take an order, or fail."""
        self.received.append(order)
        if not self.is_open:
            self.sent_while_closed.append(order.client_order_id)
        if self._chance(Fault.RATE_LIMIT, 0.4):
            raise RateLimitedError("too many requests", 1.0)
        if self._chance(Fault.LOST_REQUEST, 0.5):
            raise OutcomeUnknownError("connection reset before the broker saw it")
        if order.client_order_id in self._orders:
            raise DuplicateOrderError("client_order_id must be unique")
        if Fault.REJECTS in self.faults and order.instrument == REFUSED_INSTRUMENT:
            raise OrderRejectedError("asset is not tradable", "42210000")
        if self.suspended:
            raise OrderRejectedError("trading is suspended", "40310000")
        known = self._orders[order.client_order_id] = self._new_order(order)
        if Fault.FILL_BEFORE_ANSWER in self.faults:
            self._work(known)
        if self._chance(Fault.LOST_ANSWER, 0.6) or self._chance(Fault.SLOW_READS, 0.6):
            raise OutcomeUnknownError("504 after the order was taken")
        return self._shown(self._orders[order.client_order_id])

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Look an order up."""
        self._may_fail()
        if not self._is_visible(client_order_id):
            return None
        return self._shown(self._orders[client_order_id])

    def cancel(self, client_order_id: str) -> None:
        """Cancel at once."""
        order = self._orders.get(client_order_id)
        if order is None:
            raise UnknownOrderError(f"no order {client_order_id}")
        if order.status.is_final:
            raise OrderNotCancelableError(f"{client_order_id} is {order.status}")
        self._end(client_order_id, OrderStatus.CANCELED)

    def activities(self, after: str | None = None, since: pd.Timestamp | None = None) -> Iterator[Activity]:
        """Return what happened, in the order of ids."""
        self._may_fail()
        lag = _LAG if Fault.SLOW_ACTIVITIES in self.faults else 0
        seen = sorted(
            (fact for tick, fact in self._told if tick <= self._tick - lag), key=lambda fact: fact.activity_id
        )
        if since is None:
            found = [fact for fact in seen if after is None or fact.activity_id > after]
        else:
            found = [fact for fact in seen if fact.date >= since]
        if Fault.REPEATED_ACTIVITIES in self.faults:
            found = [fact for fact in found for _ in range(2)]
        return iter(found)

    def clock(self) -> BrokerClock:
        """Return the time."""
        self._may_fail()
        opens, closes = _hours_around(self.now)
        return BrokerClock(self.now, self.is_open and opens <= self.now < closes, opens, self.closes_at or closes)

    def asset(self, instrument: str) -> BrokerAsset | None:
        """Return whether an instrument is traded."""
        known = instrument in self.prices
        return BrokerAsset(instrument, instrument, True, False, False) if known else None

    def last_trades(self, instruments: Sequence[str]) -> Mapping[str, LastTrade]:
        """Return the newest trade of each instrument."""
        self._may_fail()
        return {
            name: LastTrade(self.prices[name], self.now - self.since_trade)
            for name in instruments
            if name in self.prices
        }

    def suspend_trading(self, suspended: bool) -> None:
        """Refuse or take orders."""
        self.suspended = suspended
