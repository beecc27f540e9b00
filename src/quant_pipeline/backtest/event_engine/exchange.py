"""Where placed orders wait, and what prices make of them: auctions, bars and protective rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.event_engine.account import EventAccount, Execution, Supply
from quant_pipeline.backtest.event_engine.orders import (
    Arrival,
    BarPrices,
    EventOrder,
    OrderKind,
    PlacedOrder,
    price_within_bar,
)
from quant_pipeline.backtest.event_engine.protective_rules import ProtectedHolding, ProtectiveRules
from quant_pipeline.exchange import kernels
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import TICKS_PER_UNIT, price_after_split

_WAITS_FOR_VOLUME = (kernels.CUT_TO_VOLUME, kernels.EXPIRED_NO_VOLUME)


class Bars(NamedTuple):
    """Bars of every instrument over the same time: prices in ticks, 0 where nothing traded, and the volume."""

    open: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    close: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]

    def of(self, index: int) -> BarPrices | None:
        """Bar of one instrument, None if it did not trade."""
        if self.open[index] == 0:
            return None
        return BarPrices(int(self.open[index]), int(self.high[index]), int(self.low[index]), int(self.close[index]))


class EventExchange:
    """Orders on their way or waiting, and the account they execute for.

    Parameters
    ----------
    market
        The market.
    account
        The account.
    rules
        Protective rules.
    """

    def __init__(self, market: TradingMarket, account: EventAccount, rules: ProtectiveRules) -> None:
        self._market = market
        self._account = account
        self._rules = rules
        self._protected: dict[int, ProtectedHolding] = {}
        self._has_opened = np.zeros(len(market.instruments), dtype=np.bool_)
        self._rejected: set[int] = set()
        self.orders: list[PlacedOrder] = []

    def start_session(self, t: int) -> None:
        """Apply the corporate actions of the session to holdings, orders and levels."""
        self._has_opened[:] = False
        self._rejected.clear()
        self._account.start_session(t, self.orders)
        for index, new, old in splits_of(self._market, t):
            if index in self._protected:
                self._protected[index].split(new, old)
            for order in self.orders:
                if order.index == index:
                    order.price = price_after_split(order.price, new, old)
        self.orders = [order for order in self.orders if order.shares != 0]
        self._forget_sold()

    def cancel(self, index: int) -> None:
        """Forget the orders of an instrument."""
        self.orders = [order for order in self.orders if order.index != index]

    def opening_auction(
        self, t: int, time: pd.Timestamp, prices: npt.NDArray[np.int64], with_market_orders: bool
    ) -> None:
        """Execute everything that the opening price executes, before anyone has seen it.

        On-open orders and, if the market's execution price is the open, the market orders of earlier sessions; then
        protective sales, limits and stops that the opening price reaches.
        """
        kinds = [OrderKind.ON_OPEN, OrderKind.MARKET] if with_market_orders else [OrderKind.ON_OPEN]
        in_time = [order for order in self.orders if order.is_in_time_for(time)]
        self._auction(t, time, [order for order in in_time if order.order.kind in kinds], prices)
        supply = self._account.supply_of_session(t, prices)
        self._protect(t, time, Bars(prices, prices, prices, prices, supply.volume), supply.used)
        self._auction_of_waiting(t, time, [order for order in in_time if order.order.waits_for_price], prices)

    def execute_at_session_price(
        self, t: int, time: pd.Timestamp, prices: npt.NDArray[np.int64], in_time_for: pd.Timestamp
    ) -> None:
        """Execute the market orders of earlier sessions at an execution price that is not the open.

        They must have arrived by `in_time_for`: a volume-weighted price is made from the open on.
        """
        due = [o for o in self.orders if o.order.kind is OrderKind.MARKET and o.placed_session < t]
        self._auction(t, time, [order for order in due if order.is_in_time_for(in_time_for)], prices)

    def closing_auction(
        self, t: int, time: pd.Timestamp, prices: npt.NDArray[np.int64], in_time_for: pd.Timestamp
    ) -> None:
        """Execute on-close orders, the market orders left, and limits and stops that the close reaches.

        They must have been there by the last price before it.
        """
        kinds = (OrderKind.ON_CLOSE, OrderKind.MARKET)
        in_time = [order for order in self.orders if order.is_in_time_for(in_time_for)]
        self._auction(t, time, [order for order in in_time if order.order.kind in kinds], prices)
        self._auction_of_waiting(t, time, [order for order in in_time if order.order.waits_for_price], prices)

    def trade_day(self, t: int, started: pd.Timestamp, ended: pd.Timestamp, bars: Bars) -> None:
        """Execute what the prices of a daily bar reach."""
        used = self._account.supply_of_session(t, bars.open).used
        self._trade_bar(t, started, ended, bars, used, close_is_later=True)

    def trade_minute(self, t: int, started: pd.Timestamp, ended: pd.Timestamp, bars: Bars) -> None:
        """Execute the market orders that are there at the open of a minute bar, then what its prices reach.

        Market orders of earlier sessions wait for the execution price of the market if that is not the open.
        """
        supply = Supply(bars.open, bars.volume, np.zeros((2, len(bars.volume)), dtype=np.int64))
        waits = self._market.rules.deal_price != "open"
        for order in _sales_first(self.orders):
            is_due = order.order.kind is OrderKind.MARKET and (order.placed_session == t or not waits)
            is_there = self._arrival(t, started, order) is Arrival.BEFORE
            trades = bars.open[order.index] > 0
            if is_due and is_there and trades and self._has_volume(t, order, supply):
                self._execute(t, ended, order, supply)
        self._trade_bar(t, started, ended, bars, supply.used, close_is_later=False)

    def end_session(self, t: int, time: pd.Timestamp) -> None:
        """Expire what was for this session only."""
        for order in [order for order in self.orders if order.expires_with <= t]:
            status = kernels.EXPIRED_UNREACHED if order.order.waits_for_price else kernels.EXPIRED_LATE
            if order.rejected_in != t:
                self._account.end(t, time, order, kernels.EXPIRED_NO_VOLUME if order.lacks_volume else status)
            self.orders.remove(order)
        for order in self.orders:
            order.start_anew()

    def _auction(self, t: int, time: pd.Timestamp, due: list[PlacedOrder], prices: npt.NDArray[np.int64]) -> None:
        supply = self._account.supply_of_session(t, prices)
        for order in _sales_first(due):
            self._execute(t, time, order, supply)
        self.orders = [order for order in self.orders if order not in due]

    def _auction_of_waiting(
        self, t: int, time: pd.Timestamp, waiting: list[PlacedOrder], prices: npt.NDArray[np.int64]
    ) -> None:
        """Execute the limits and stops that the price of an auction reaches."""
        supply = self._account.supply_of_session(t, prices)
        for order in _sales_first(waiting):
            price = int(prices[order.index])
            if price > 0:
                if order.is_reached_by(price):
                    self._execute_at(t, time, order, order.next_price(price), supply)
                order.remember(BarPrices(price, price, price, price), Arrival.BEFORE, is_in_doubt=False)

    def _trade_bar(
        self,
        t: int,
        started: pd.Timestamp,
        ended: pd.Timestamp,
        bars: Bars,
        used: npt.NDArray[np.int64],
        close_is_later: bool,
    ) -> None:
        """Execute protective sales first, then limit and stop orders in the order in which they were placed."""
        self._protect(t, ended, bars, used)
        for order in list(self.orders):
            bar = bars.of(order.index)
            if not order.order.waits_for_price or bar is None or order.arrives >= ended:
                continue
            arrival = self._arrival(t, started, order)
            price = price_within_bar(order, bar, arrival, close_is_later)
            if price > 0:
                leaves_limit = arrival is Arrival.BEFORE and _leaves_limit(order, bar, price)
                self._execute_at(t, ended, order, price, Supply(bars.open, bars.volume, used, leaves_limit))
            order.remember(bar, arrival, is_in_doubt=price == 0)
        self._has_opened |= bars.open > 0

    def _arrival(self, t: int, started: pd.Timestamp, order: PlacedOrder) -> Arrival:
        """Return what of a bar comes after the arrival of an order.

        The first open of a session is known from the opening event on, also where the first bar comes later.
        """
        if order.arrives > started:
            return Arrival.WITHIN_BAR
        if order.placed_session == t and not self._has_opened[order.index]:
            return Arrival.AFTER_OPEN
        return Arrival.BEFORE

    def _has_volume(self, t: int, order: PlacedOrder, supply: Supply) -> bool:
        has_volume = self._account.shares_within_volume(t, order.index, abs(order.shares), supply) > 0
        order.lacks_volume |= not has_volume
        return has_volume

    def _protect(self, t: int, time: pd.Timestamp, bars: Bars, used: npt.NDArray[np.int64]) -> None:
        if not self._rules.is_active:
            return
        for index in self._account.held_places():
            bar = bars.of(index)
            if bar is None:
                continue
            sale = self._protected[index].sale_in(bar, self._rules)
            if sale is not None:
                name, shares = str(self._market.instruments[index]), -self._account.held(index)
                order = EventOrder(name, shares, OrderKind.STOP, sale.price / TICKS_PER_UNIT, reason=sale.reason)
                placed = PlacedOrder(order, index, shares, sale.price, t, time, time, t)
                supply = Supply(bars.open, bars.volume, used, _leaves_limit(placed, bar, sale.price))
                supply = _at_price(supply, index, sale.price)
                obstacle = self._account.obstacle(t, placed, supply)
                if obstacle is None and not self._has_volume(t, placed, supply):
                    obstacle = kernels.EXPIRED_NO_VOLUME
                if obstacle is None:
                    self._account.execute(t, time, placed, supply)
                elif index not in self._rejected:
                    # It is tried again with every bar, and logged once a session.
                    self._rejected.add(index)
                    self._account.end(t, time, placed, obstacle)
        self._forget_sold()

    def _execute_at(self, t: int, time: pd.Timestamp, order: PlacedOrder, price: int, supply: Supply) -> None:
        """Execute an order at a price of its own, unless it has to wait for volume or for another price.

        What a price limit forbids, or the lock of shares bought today, is tried again and logged once a session.
        """
        supply = _at_price(supply, order.index, price)
        obstacle = self._account.obstacle(t, order, supply)
        if obstacle is not None:
            order.is_triggered = order.order.kind is OrderKind.STOP
            order.no_better_than = 0
            if order.rejected_in != t:
                order.rejected_in = t
                self._account.end(t, time, order, obstacle)
        elif self._has_volume(t, order, supply):
            self._execute(t, time, order, supply)

    def _execute(self, t: int, time: pd.Timestamp, order: PlacedOrder, supply: Supply) -> Execution:
        """Execute an order; what the volume or a lock left over of it waits on, everything else is done with."""
        held = self._account.held(order.index)
        execution = self._account.execute(t, time, order, supply)
        if order.shares > 0 and execution.shares > 0:
            known = self._protected.setdefault(order.index, ProtectedHolding(0.0, 0.0))
            known.bought(held, execution.shares, execution.price)
        left = abs(order.shares) - execution.shares
        lacks_volume = execution.status in _WAITS_FOR_VOLUME
        awaits_unlock = order.order.waits_for_price and order.shares < 0 and self._account.is_locked(order.index)
        if left > 0 and (lacks_volume or awaits_unlock):
            order.shares = left if order.shares > 0 else -left
            order.lacks_volume |= lacks_volume
            order.is_triggered = order.order.kind is OrderKind.STOP
            order.no_better_than = 0
        else:
            self.orders.remove(order)
        self._forget_sold()
        return execution

    def _forget_sold(self) -> None:
        self._protected = {index: known for index, known in self._protected.items() if self._account.held(index) > 0}


def _leaves_limit(order: PlacedOrder, bar: BarPrices, price: int) -> bool:
    """Whether a bar that opens at a price, perhaps a price limit, trades at better ones for the order after it."""
    return price == bar.open and (bar.low < price if order.shares > 0 else bar.high > price)


def _at_price(supply: Supply, index: int, price: int) -> Supply:
    prices = np.zeros_like(supply.prices)
    prices[index] = price
    return supply._replace(prices=prices)


def splits_of(market: TradingMarket, t: int) -> Iterator[tuple[int, int, int]]:
    """Instrument, new and old shares of every split of session `t`."""
    actions = market.arrays.actions
    for k in range(actions.offsets[t], actions.offsets[t + 1]):
        if actions.kind[k] == kernels.SPLIT:
            yield int(actions.instrument[k]), int(actions.numerator[k]), int(actions.denominator[k])


def _sales_first(orders: list[PlacedOrder]) -> list[PlacedOrder]:
    return sorted(orders, key=lambda order: order.shares > 0)
