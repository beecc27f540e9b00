"""The exchange and the broker behind the fake API: cash, shares, orders and what becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import pandas as pd

from quant_pipeline.testing.fake_alpaca.feed import ActivityFeed
from quant_pipeline.testing.fake_alpaca.hours import AUCTIONS, ExchangeHours
from quant_pipeline.testing.fake_alpaca.records import (
    FakeOrder,
    FakePosition,
    Refused,
    multiplier_of,
    nanoseconds,
    number,
)
from quant_pipeline.testing.fake_alpaca.script import Director, Ending, OrderScript, Refusal

LONGEST_CLIENT_ORDER_ID = 128

REFUSALS = {
    Refusal.BUYING_POWER: (403, 40310000, "insufficient buying power"),
    Refusal.WASH_TRADE: (403, 40310000, "potential wash trade detected. use complex orders"),
    Refusal.DAY_TRADING: (403, 40310100, "trade denied due to pattern day trading protection"),
    Refusal.NOT_TRADABLE: (422, 42210000, "asset is not tradable"),
}

OUTSIDE_OF_AUCTION = {
    "opg": "opg orders must be submitted after 7:00pm and before 9:28am",
    "cls": "cls orders must be submitted after 7:00pm and before 3:50pm",
}
"""Alpaca's words, with the times of its documentation."""

Update = Callable[[str, FakeOrder, dict[str, Any]], None]
PricesAt = Callable[[pd.Timestamp, bool], Mapping[str, Decimal]]


class FakeExchange:
    """Everything a paper account is made of; safe between threads.

    Orders of an auction (``opg``, ``cls``) are taken until its cut-off, execute in it alone, at the official open or
    close, and what is left of them is cancelled, as https://docs.alpaca.markets/docs/orders-at-alpaca says. After the
    cut-off they cannot be cancelled any more (https://forum.alpaca.markets/t/opg-orders-being-canceled-with-no-context/7992).

    Parameters
    ----------
    cash
        First deposit.
    prices
        Price of every instrument that can be traded; it may be changed at any time.
    director
        What shall go wrong.
    auto_fill
        Whether orders are filled as soon as they are accepted; otherwise `work` fills them.
    always_open
        Whether orders execute outside the hours of the exchange too, except those of an auction.
    hours
        Clock and calendar.
    account_number
        Number of the account.
    """

    def __init__(
        self,
        cash: Decimal | int | str = 100_000,
        prices: Mapping[str, Decimal | int | str] | None = None,
        director: Director | None = None,
        auto_fill: bool = True,
        always_open: bool = True,
        hours: ExchangeHours | None = None,
        account_number: str = "PA3FAKE00001",
    ) -> None:
        self.lock = threading.RLock()
        self.cash = Decimal(cash)
        self.prices = {symbol: Decimal(price) for symbol, price in (prices or {}).items()}
        self.director = director or Director()
        self.auto_fill = auto_fill
        self.always_open = always_open
        self.hours = hours or ExchangeHours()
        self.account_number = account_number
        self.feed = ActivityFeed(self.director)
        self.account_id = self.feed.new_uuid()
        self.orders: dict[str, FakeOrder] = {}
        self.by_client_id: dict[str, FakeOrder] = {}
        self.positions: dict[str, FakePosition] = {}
        self.untradable: set[str] = set()
        self.suspended = False
        self.blocked = False
        self.since_trade = pd.Timedelta(0)
        self.is_day_trader = False
        self.day_trades = 0
        self.unsettled = Decimal(0)
        self.posts = 0
        self.last_equity = self.cash
        self.equity_at_close: dict[pd.Timestamp, Decimal] = {}
        self._scripts: dict[str, OrderScript] = {}
        self._maybe_open: dict[str, FakeOrder] = {}
        self._listeners: list[Update] = []

    def listen(self, listener: Update) -> None:
        """Call ``listener(event, order, details)`` at every change of an order."""
        self._listeners.append(listener)

    def open_orders(self) -> list[FakeOrder]:
        """List the orders that have not ended."""
        with self.lock:
            self._maybe_open = {name: order for name, order in self._maybe_open.items() if order.is_open}
            return list(self._maybe_open.values())

    def equity(self) -> Decimal:
        """Cash and shares at their prices."""
        with self.lock:
            return self.cash + sum(
                (
                    held.quantity * self.prices[symbol] * self.multiplier(symbol)
                    for symbol, held in self.positions.items()
                ),
                Decimal(0),
            )

    def buying_power(self) -> Decimal:
        """Cash that no open buy has claimed; sells add to it only when they are executed."""
        with self.lock:
            claimed = sum(
                (order.rest * self._claim_price(order) for order in self.open_orders() if order.side == "buy"),
                Decimal(0),
            )
            return self.cash - claimed

    def held_for_orders(self, symbol: str) -> Decimal:
        """Shares promised to open sells."""
        with self.lock:
            sells = (order for order in self.open_orders() if order.side == "sell")
            return sum((order.rest for order in sells if order.symbol == symbol), Decimal(0))

    def submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take an order, or refuse it.

        Returns
        -------
        dict
            The order as accepted, before any of it is filled.

        Raises
        ------
        Refused
            With the status and code that Alpaca answers.
        """
        with self.lock:
            self.posts += 1
            order = self._read(body)
            script = self.director.order_script(order.symbol)
            if script.refuse is not None:
                raise Refused(*REFUSALS[script.refuse])
            self._check(order)
            self._maybe_open[order.order_id] = order
            self.orders[order.order_id] = self.by_client_id[order.client_order_id] = order
            self._scripts[order.order_id] = script
            answer = order.as_json()
            self._tell("new", order)
            if self.auto_fill:
                self._work_on(order)
            return answer

    def move_time(self, now: pd.Timestamp | str, prices_at: PricesAt) -> None:
        """Stop the clock at an instant, with the prices of it; orders of a session that is over have ended with it."""
        with self.lock:
            closed = self.hours.latest_closed()
            self.hours.set(now)
            self._hold_auctions(prices_at)
            if self.hours.latest_closed() > closed:
                for order in self.open_orders():
                    self.end(order, "expired")
            self.take_prices(prices_at)
            self.work()

    def take_prices(self, prices_at: PricesAt) -> None:
        """Take the prices of the present: the open of a session while it runs, else the last close.

        ``last_equity`` is what cash and shares were worth at the close of the session before today, whatever has moved
        since.

        Parameters
        ----------
        prices_at
            Prices of a session, at its open (False) or after its close (True).
        """
        with self.lock:
            today = self.hours.date()
            before = self.hours.latest_before(today)
            self.prices |= prices_at(before, True)
            self.last_equity = self.equity_at_close.get(before, self.last_equity)
            has_closed = self.hours.latest_closed() == today
            if has_closed or self.hours.is_open():
                self.prices |= prices_at(today, has_closed)
            if has_closed:
                self.equity_at_close.setdefault(today, self.equity())

    def work(self) -> None:
        """Execute every open order that can be filled now."""
        with self.lock:
            self._hold_auctions()
            for order in self.open_orders():
                self._work_on(order)

    def cancel(self, order_id: str) -> None:
        """Cancel an order by its id.

        Raises
        ------
        Refused
            404 when there is none, 422 when it has ended.
        """
        with self.lock:
            order = self.orders.get(order_id)
            if order is None:
                raise Refused(404, 40410000, f"order not found for {order_id}")
            if not order.is_open:
                raise Refused(422, 42210000, f'order is already in "{order.status}" state')
            if order.time_in_force in AUCTIONS and not self.hours.takes_auction_orders(order.time_in_force):
                raise Refused(422, 42210000, "order is not cancelable after the cut-off of its auction")
            self.end(order, "canceled")

    def end(self, order: FakeOrder, status: str) -> None:
        """End an order without executing its rest."""
        with self.lock:
            order.status, order.updated_at = status, self.hours.now()
            self._tell(status, order)

    def fill(self, order: FakeOrder, quantity: Decimal, price: Decimal) -> dict[str, Any]:
        """Fill a part of an order, whatever its status: late fills happen.

        Returns
        -------
        dict
            The record of the activity feed.
        """
        with self.lock:
            now = self.hours.now()
            order.filled += quantity
            order.spent += quantity * price
            order.updated_at = now
            if order.rest == 0:
                order.status = "filled"
            elif order.is_open:
                order.status = "partially_filled"
            self.move(order.symbol, order.sign * quantity, price)
            self.cash -= order.sign * quantity * price * self.multiplier(order.symbol)
            event = "fill" if order.rest == 0 else "partial_fill"
            execution_id = self.feed.new_uuid()
            facts = {
                "activity_type": "FILL",
                "cum_qty": number(order.filled),
                "leaves_qty": number(order.rest),
                "price": number(price),
                "qty": number(quantity),
                "side": order.side,
                "symbol": order.symbol,
                "transaction_time": nanoseconds(now),
                "order_id": order.order_id,
                "type": event,
                "order_status": order.status,
            }
            record = self.feed.append(now, facts, execution_id)
            held = self.positions.get(order.symbol, FakePosition()).quantity
            details = {"execution_id": execution_id, "price": number(price), "qty": number(quantity)}
            self._tell(event, order, details | {"position_qty": number(held)})
            return record

    def order_by_hand(self, side: str, symbol: str, quantity: Decimal) -> FakeOrder:
        """Take an order that came from somewhere else, without asking what the account may do."""
        body = {"symbol": symbol, "side": side, "qty": str(quantity), "type": "market", "time_in_force": "day"}
        order = self._read(body)
        self.orders[order.order_id] = self.by_client_id[order.client_order_id] = order
        return order

    def multiplier(self, symbol: str) -> Decimal:
        """Shares that one unit of an instrument stands for."""
        return multiplier_of(symbol)

    def move(self, symbol: str, quantity: Decimal, price: Decimal) -> None:
        """Move shares at a price; a position of nothing is no position."""
        position = self.positions.setdefault(symbol, FakePosition())
        position.add(quantity, price)
        if position.quantity == 0:
            del self.positions[symbol]

    def _read(self, body: Mapping[str, Any]) -> FakeOrder:
        try:
            quantity = Decimal(str(body["qty"]))
            limit = body.get("limit_price")
            return FakeOrder(
                order_id=self.feed.new_uuid(),
                client_order_id=str(body.get("client_order_id") or self.feed.new_uuid()),
                symbol=str(body["symbol"]),
                side=str(body["side"]),
                quantity=quantity,
                order_type=str(body["type"]),
                time_in_force=str(body["time_in_force"]),
                limit_price=None if limit is None else Decimal(str(limit)),
                submitted_at=self.hours.now(),
            )
        except (KeyError, InvalidOperation) as error:
            raise Refused(422, 40010001, f"request body format is invalid: {error}") from error

    def _check(self, order: FakeOrder) -> None:
        if order.client_order_id in self.by_client_id:
            raise Refused(422, 40010001, "client_order_id must be unique")
        if len(order.client_order_id) > LONGEST_CLIENT_ORDER_ID:
            raise Refused(422, 40010001, "client_order_id is too long")
        if order.side not in ("buy", "sell") or order.quantity <= 0:
            raise Refused(422, 40010001, "qty must be > 0 and side must be buy or sell")
        if order.order_type == "limit" and order.limit_price is None:
            raise Refused(422, 40010001, "limit orders require limit price")
        if order.symbol not in self.prices:
            raise Refused(422, 40010001, f'asset "{order.symbol}" not found')
        if order.symbol in self.untradable:
            raise Refused(422, 42210000, f"asset {order.symbol} is not tradable")
        if order.quantity % 1 and order.time_in_force != "day":
            raise Refused(422, 42210000, "fractional orders must be DAY orders")
        if order.time_in_force in AUCTIONS and not self.hours.takes_auction_orders(order.time_in_force):
            raise Refused(403, 40310000, OUTSIDE_OF_AUCTION[order.time_in_force])
        if self.suspended or self.blocked:
            raise Refused(403, 40310000, "new orders are rejected by user request" if self.suspended else "blocked")
        self._check_account(order)

    def _check_account(self, order: FakeOrder) -> None:
        if any(other.symbol == order.symbol and other.side != order.side for other in self.open_orders()):
            raise Refused(*REFUSALS[Refusal.WASH_TRADE])
        if order.side == "buy":
            if order.quantity * self._claim_price(order) > self.buying_power():
                raise Refused(*REFUSALS[Refusal.BUYING_POWER])
            return
        held = self.positions.get(order.symbol, FakePosition()).quantity
        available = held - self.held_for_orders(order.symbol)
        if order.quantity > available:
            asked = f"requested: {number(order.quantity)}, available: {number(available)}"
            raise Refused(403, 40310000, f"insufficient qty available for order ({asked})")

    def _claim_price(self, order: FakeOrder) -> Decimal:
        return self.prices[order.symbol] if order.limit_price is None else order.limit_price

    def _hold_auctions(self, prices_at: PricesAt | None = None) -> None:
        """Execute what waits for an auction that has been held meanwhile, in the order of the auctions."""
        waiting = [
            (*reversed(self.hours.auction_after(order.time_in_force, order.submitted_at)), order)
            for order in self.open_orders()
            if order.time_in_force in AUCTIONS
        ]
        for at, session, order in sorted(waiting, key=lambda auction: auction[0]):
            if at > self.hours.now():
                continue
            prices = self.prices if prices_at is None else prices_at(session, order.time_in_force == "cls")
            with self.hours.standing_at(at):
                self._execute(order, prices[order.symbol])
                if order.is_open:
                    self.end(order, "canceled")

    def _work_on(self, order: FakeOrder) -> None:
        if order.time_in_force in AUCTIONS or (not self.always_open and not self.hours.is_open()):
            return
        self._execute(order, self.prices[order.symbol])

    def _execute(self, order: FakeOrder, price: Decimal) -> None:
        if order.limit_price is not None and order.sign * (price - order.limit_price) > 0:
            return
        script = self._scripts.pop(order.order_id, OrderScript())
        total = order.rest
        for index, part in enumerate(script.parts):
            fill_price = script.prices[index] if index < len(script.prices) else price
            if quantity := min(order.rest, (part * total).quantize(Decimal(1))):
                self.fill(order, quantity, fill_price)
        if script.ending is Ending.FILLED and order.rest:
            self.fill(order, order.rest, price)
        elif script.ending is Ending.OPEN:
            self._scripts[order.order_id] = OrderScript(ending=Ending.OPEN)
        elif order.rest:
            self.end(order, script.ending.value)

    def _tell(self, event: str, order: FakeOrder, details: dict[str, Any] | None = None) -> None:
        for listener in self._listeners:
            listener(event, order, details or {})
