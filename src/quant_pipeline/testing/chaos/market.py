"""The account and the exchange behind the faulty broker: what executes, what is reported, and which faults occur."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.broker_records import (
    Activity,
    Amendment,
    BrokerOrder,
    CashActivity,
    CashKind,
    FillActivity,
    OrderRequest,
    OrderStatus,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)
from quant_pipeline.trading.ports import (
    BrokerUnavailableError,
)

_CLOSED_FOR = 6
"""Steps of time for which the exchange stays closed."""


class FaultyMarket:
    """A cash account, its orders and what happens to them, with scripted faults.

    Parameters
    ----------
    cash, holdings, prices
        What the account begins with and what instruments cost.
    now
        Time it begins at, UTC.
    faults
        What goes wrong.
    seed
        Seed of everything that is left to chance.

    Attributes
    ----------
    received
        Every order that was sent, also those that were refused or lost.
    since_trade
        How long ago every instrument was traded for the last time.
    sent_while_closed
        Orders that arrived while trading was closed within its hours.
    is_open, closes_at
        False while trading is closed within its hours; the close of the session when it is not the usual one.
    """

    def __init__(
        self,
        cash: Decimal,
        holdings: dict[str, Decimal],
        prices: dict[str, Decimal],
        now: pd.Timestamp,
        faults: frozenset[Fault] = frozenset(),
        seed: int = 7,
    ) -> None:
        self.cash = cash
        self.held = dict(holdings)
        self.prices = dict(prices)
        self.now = now
        self.faults = faults
        self.received: list[OrderRequest] = []
        self.suspended = False
        self.is_open = Fault.CLOSED not in faults
        self.closes_at: pd.Timestamp | None = None
        self.since_trade = pd.Timedelta(seconds=1)
        self._random = random.Random(seed)  # noqa: S311 - faults need repetition, not secrecy
        self._orders: dict[str, BrokerOrder] = {}
        self._born: dict[str, int] = {}
        self._told: list[tuple[int, Activity]] = []
        self._withheld: list[Activity] = []
        self._facts = 0
        self._tick = 0
        self._happened: set[Fault] = set()
        self._renamed: tuple[Decimal, int] | None = None
        self.sent_while_closed: list[str] = []
        self._last_equity = self._equity()

    def is_planned_again(self) -> bool:
        """Whether another command plans the session again before an order is sent."""
        return Fault.SUPERSEDED in self.faults

    def advance(self, seconds: float) -> None:
        """Let time pass: orders execute, and scheduled events happen."""
        self.now += pd.Timedelta(seconds=seconds)
        self._tick += 1
        for order in list(self._orders.values()):
            if not order.status.is_final:
                self._work(order)
        self._let_happen()

    def close_session(self) -> None:
        """End the session: what is open expires, the equity of the close is the one losses are measured from."""
        for client_id, order in self._orders.items():
            if not order.status.is_final:
                self._orders[client_id] = replace(order, status=OrderStatus.EXPIRED, raw_status="expired")
        self._last_equity = self._equity()

    def all_orders(self) -> tuple[BrokerOrder, ...]:
        """List every order as it really stands, without any fault."""
        return tuple(self._orders.values())

    def tell_withheld(self) -> None:
        """Report at last the fills that were never reported."""
        for fact in self._withheld:
            self._tell(fact)
        self._withheld = []

    def tell(self, *facts: Activity) -> None:
        """Report what a rehearsal wants to be reported; cash and shares are its own business."""
        for fact in facts:
            self._tell(fact)

    def trade_by_hand(self, instrument: str, side: str, quantity: Decimal) -> None:
        """Trade as the user would at the broker's own screen."""
        client_id = f"hand-{len(self._orders)}"
        self._orders[client_id] = self._new_order(OrderRequest(client_id, instrument, side, quantity))
        self._fill(client_id, quantity)

    def _work(self, order: BrokerOrder) -> None:
        rest = (order.quantity or Decimal(0)) - order.filled_quantity
        quantity = rest
        if Fault.PARTIAL_FILLS in self.faults and rest > 1 and self._random.random() < 0.7:
            quantity = (rest / 2).to_integral_value()
        if self._happens(Fault.CANCELS_REST, order.side == "buy" and rest > 1):
            self._fill(order.client_order_id, (rest / 3).to_integral_value())
            self._end(order.client_order_id, OrderStatus.CANCELED)
            return
        if self._happens(Fault.LATE_FILL, order.side == "sell"):
            self._end(order.client_order_id, OrderStatus.CANCELED)
            self._fill(order.client_order_id, Decimal(1), reopen=False)
            return
        self._fill(order.client_order_id, quantity)

    def _fill(self, client_id: str, quantity: Decimal, reopen: bool = True) -> None:
        order = self._orders[client_id]
        price = self.prices[order.instrument] + Decimal(self._random.randrange(-20, 20)) / 100
        sign = 1 if order.side == "buy" else -1
        filled = order.filled_quantity + quantity
        value = (order.average_fill_price or Decimal(0)) * order.filled_quantity + price * quantity
        self.cash -= sign * quantity * price
        self._hold(order.instrument, sign * quantity)
        status = OrderStatus.FILLED if filled == order.quantity else OrderStatus.PARTIALLY_FILLED
        self._orders[client_id] = replace(
            order,
            filled_quantity=filled,
            average_fill_price=value / filled,
            status=status if reopen else order.status,
            raw_status=str(status) if reopen else order.raw_status,
        )
        fact = FillActivity(
            self._activity_id(),
            self._today(),
            self.now,
            order.broker_order_id,
            order.instrument,
            order.side,
            quantity,
            price,
            filled,
        )
        if self._happens(Fault.MISSING_ACTIVITY, order.side == "sell"):
            self._withheld.append(fact)
        else:
            self._tell(fact, self._happens(Fault.DISORDERED_ACTIVITIES, order.side == "buy"))

    def _let_happen(self) -> None:
        holding = next((name for name, quantity in sorted(self.held.items()) if quantity > 0), None)
        if holding is not None and self._happens(Fault.DIVIDEND, self._tick > 1):
            amount = self.held[holding] * Decimal("0.25")
            self.cash += amount
            self._tell(CashActivity(self._activity_id(), self._today(), CashKind.DIVIDEND, amount, holding))
        if holding is not None and self._happens(Fault.SPLIT, self._tick > 1 and not self._is_open(holding)):
            added = self.held[holding] * 3
            self._hold(holding, added)
            self.prices[holding] /= 4
            # In two records, as Alpaca writes it.
            before = self.held[holding] - added
            for quantity in (-before, before + added):
                name, day = self._activity_id(), self._today()
                self._tell(PositionActivity(name, day, PositionKind.SPLIT, holding, quantity, is_half=True))
        if self._happens(Fault.DEPOSIT, self._tick > 1):
            self.cash += 500
            self._tell(CashActivity(self._activity_id(), self._today(), CashKind.TRANSFER, Decimal(500)))
        if self._happens(Fault.UNKNOWN_ACTIVITY, self._tick > 1):
            self._tell(UnknownActivity(self._activity_id(), self._today(), "WORMHOLE", amount=Decimal(0)))
        if self._happens(Fault.OUTSIDE_TRADE, self._tick > 1):
            self.trade_by_hand("OUT", "buy", Decimal(2))
        if holding is not None and self._happens(Fault.CANCELLED_DIVIDEND, self._tick > 1):
            paid = CashActivity(self._activity_id(), self._today(), CashKind.DIVIDEND, Decimal(7), holding)
            self._tell(paid)
            taken_back = replace(paid, activity_id=self._activity_id(), amendment=Amendment.CANCELLATION)
            self._tell(replace(taken_back, supersedes=paid.activity_id))
        self._rename()
        if self._happens(Fault.UNBOOKABLE, self._tick > 1):
            self._hold("GIFT", Decimal(2))
            self.prices["GIFT"] = Decimal(1)
            name, day = self._activity_id(), self._today()
            self._tell(UnknownActivity(name, day, "WORMHOLE", Decimal(0), instrument="GIFT", quantity=Decimal(2)))
        if Fault.CLOSED in self.faults:
            self.is_open = self._tick >= _CLOSED_FOR
        self._amend()

    def _rename(self) -> None:
        if self._happens(Fault.RENAMING, self._tick > 1 and self.held.get("KEEP", Decimal(0)) > 0):
            self.prices["KEEPN"] = self.prices["KEEP"]
            self._renamed = (self.held.pop("KEEP"), self._tick)
            self._hold("KEEPN", self._renamed[0])
            self._tell(self._half_of_renaming("KEEP", -self._renamed[0]))
        elif self._renamed is not None and self._tick > self._renamed[1]:
            self._tell(self._half_of_renaming("KEEPN", self._renamed[0]))
            self._renamed = None

    def _half_of_renaming(self, name: str, quantity: Decimal) -> PositionActivity:
        return PositionActivity(self._activity_id(), self._today(), PositionKind.SYMBOL_CHANGE, name, quantity)

    def _amend(self) -> None:
        fills = [fact for _, fact in self._told if isinstance(fact, FillActivity) and fact.amendment is Amendment.NEW]
        wanted = next((fact for fact in fills if fact.side == "buy"), None)
        if wanted is None:
            return
        if self._happens(Fault.CORRECTION, True):
            price = wanted.price - Decimal("0.10")
            self.cash += wanted.quantity * Decimal("0.10")
            amended = replace(
                wanted,
                activity_id=self._activity_id(),
                price=price,
                amendment=Amendment.CORRECTION,
                supersedes=wanted.activity_id,
            )
            self._tell(amended)
        elif self._happens(Fault.BUST, True):
            self.cash += wanted.quantity * wanted.price
            self._hold(wanted.instrument, -wanted.quantity)
            amended = replace(
                wanted,
                activity_id=self._activity_id(),
                amendment=Amendment.CANCELLATION,
                supersedes=wanted.activity_id,
            )
            self._tell(amended)
            order = next(o for o in self._orders.values() if o.broker_order_id == wanted.broker_order_id)
            left = order.filled_quantity - wanted.quantity
            self._orders[order.client_order_id] = replace(
                order, filled_quantity=left, status=OrderStatus.CANCELED, raw_status="canceled"
            )

    def _tell(self, fact: Activity, behind: bool = False) -> None:
        if behind:
            fact = replace(fact, activity_id=f"{self.now:%Y%m%d}-000000x")
        self._told.append((self._tick, fact))

    def _new_order(self, request: OrderRequest) -> BrokerOrder:
        self._born[request.client_order_id] = self._tick
        return BrokerOrder(
            f"B{len(self._orders) + 1:05d}",
            request.client_order_id,
            request.instrument,
            request.side,
            request.quantity,
            Decimal(0),
            None,
            OrderStatus.ACCEPTED,
            "new",
            str(request.order_type),
            str(request.time_in_force),
            request.limit_price,
            self.now,
            self.now,
        )

    def _shown(self, order: BrokerOrder) -> BrokerOrder:
        if Fault.UNKNOWN_STATUS in self.faults and self._tick < self._born[order.client_order_id] + 4:
            return replace(order, status=OrderStatus.UNKNOWN, raw_status="quantum")
        return order

    def _is_visible(self, client_id: str) -> bool:
        slow = Fault.SLOW_READS in self.faults and self._tick < self._born.get(client_id, 0) + 2
        return client_id in self._orders and not slow

    def _end(self, client_id: str, status: OrderStatus) -> None:
        self._orders[client_id] = replace(self._orders[client_id], status=status, raw_status=str(status))

    def _hold(self, instrument: str, change: Decimal) -> None:
        self.held[instrument] = self.held.get(instrument, Decimal(0)) + change

    def _is_open(self, instrument: str) -> bool:
        return any(o.instrument == instrument and not o.status.is_final for o in self._orders.values())

    def _equity(self) -> Decimal:
        return self.cash + sum((quantity * self.prices[name] for name, quantity in self.held.items()), Decimal(0))

    def _today(self) -> pd.Timestamp:
        return self.now.tz_localize(None).normalize()

    def _activity_id(self) -> str:
        self._facts += 1
        return f"{self.now:%Y%m%d}-{self._facts:06d}"

    def _happens(self, fault: Fault, now: bool) -> bool:
        """Return whether something that happens once happens now."""
        if fault not in self.faults or fault in self._happened or not now:
            return False
        self._happened.add(fault)
        return True

    def _chance(self, fault: Fault, probability: float) -> bool:
        return fault in self.faults and self._random.random() < probability

    def _may_fail(self) -> None:
        if self._chance(Fault.FAILING_READS, 0.25):
            raise BrokerUnavailableError("read timeout")
