"""Where placed orders wait, and what prices make of them: auctions, bars and protective rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest import exchange_kernels as kernels
from quant_pipeline.backtest.event_engine.account import Dealt, EventAccount, Supply
from quant_pipeline.backtest.event_engine.orders import BarPrices, EventOrder, OrderKind, PlacedOrder, price_within_bar
from quant_pipeline.backtest.event_engine.protective_rules import ProtectedHolding, ProtectiveRules
from quant_pipeline.backtest.market import TradingMarket
from quant_pipeline.strategy.money import TICKS_PER_UNIT

_WAITS_FOR_VOLUME = (kernels.CUT_TO_VOLUME, kernels.EXPIRED_NO_VOLUME)


class Bars(NamedTuple):
    """Bars of every instrument over the same time: prices in ticks, 0 where nothing traded, and the volume."""

    open: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    close: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]

    def of(self, place: int) -> BarPrices | None:
        """Bar of one instrument, None if it did not trade."""
        if self.open[place] == 0:
            return None
        return BarPrices(int(self.open[place]), int(self.high[place]), int(self.low[place]), int(self.close[place]))


class EventExchange:
    """Orders on their way or waiting, and the account they deal for.

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
        self._used = np.zeros(len(market.instruments), dtype=np.int64)
        self.orders: list[PlacedOrder] = []

    def start_session(self, t: int) -> None:
        """Apply the corporate actions of the session to holdings, orders and levels."""
        self._used[:] = 0
        self._account.start_session(t, self.orders)
        for place, new, old in splits_of(self._market, t):
            if place in self._protected:
                self._protected[place].split(new, old)
            for order in self.orders:
                if order.place == place:
                    order.price = (2 * order.price * old + new) // (2 * new)
        self.orders = [order for order in self.orders if order.shares != 0]
        self._forget_sold()

    def cancel(self, place: int) -> None:
        """Forget the orders of an instrument."""
        self.orders = [order for order in self.orders if order.place != place]

    def opening_auction(
        self, t: int, time: pd.Timestamp, prices: npt.NDArray[np.int64], with_market_orders: bool
    ) -> None:
        """Deal on-open orders and, if the market's deal price is the open, the market orders of earlier sessions."""
        kinds = [OrderKind.ON_OPEN, OrderKind.MARKET] if with_market_orders else [OrderKind.ON_OPEN]
        self._auction(t, time, [o for o in self.orders if o.order.kind in kinds and o.arrives <= time], prices)

    def deal_at_session_price(self, t: int, time: pd.Timestamp, prices: npt.NDArray[np.int64]) -> None:
        """Deal the market orders of earlier sessions at a deal price that is not the open."""
        due = [o for o in self.orders if o.order.kind is OrderKind.MARKET and o.placed_session < t]
        self._auction(t, time, [order for order in due if order.arrives <= time], prices)

    def closing_auction(self, t: int, time: pd.Timestamp, prices: npt.NDArray[np.int64]) -> None:
        """Deal on-close orders and the market orders that have not dealt yet."""
        kinds = (OrderKind.ON_CLOSE, OrderKind.MARKET)
        self._auction(t, time, [o for o in self.orders if o.order.kind in kinds and o.arrives <= time], prices)

    def trade_day(self, t: int, started: pd.Timestamp, ended: pd.Timestamp, bars: Bars) -> None:
        """Deal what the prices of a daily bar reach."""
        self._trade_bar(t, started, ended, bars, self._used)

    def trade_minute(self, t: int, started: pd.Timestamp, ended: pd.Timestamp, bars: Bars) -> None:
        """Deal the market orders that are there at the open of a minute bar, then what its prices reach.

        Market orders of earlier sessions wait for the deal price of the market if that is not the open.
        """
        used = np.zeros_like(self._used)
        waits = self._market.rules.deal_price != "open"
        for order in _sales_first(self.orders):
            is_due = order.order.kind is OrderKind.MARKET and (order.placed_session == t or not waits)
            if is_due and order.arrives <= started and bars.open[order.place] > 0:
                self._deal(t, ended, order, Supply(bars.open, bars.volume, used))
        self._trade_bar(t, started, ended, bars, used)

    def end_session(self, t: int, time: pd.Timestamp) -> None:
        """Expire what was for this session only."""
        for order in [order for order in self.orders if order.expires_with <= t]:
            self._account.expire(t, time, order)
            self.orders.remove(order)

    def _auction(self, t: int, time: pd.Timestamp, due: list[PlacedOrder], prices: npt.NDArray[np.int64]) -> None:
        supply = Supply(prices, self._market.arrays.volume[t], self._used)
        for order in _sales_first(due):
            self._deal(t, time, order, supply)
        self.orders = [order for order in self.orders if order not in due]

    def _trade_bar(
        self, t: int, started: pd.Timestamp, ended: pd.Timestamp, bars: Bars, used: npt.NDArray[np.int64]
    ) -> None:
        """Deal protective sales first, then limit and stop orders in the order in which they were placed."""
        self._protect(t, ended, bars, used)
        for order in list(self.orders):
            bar = bars.of(order.place)
            if not order.order.waits_for_price or bar is None or order.arrives >= ended:
                continue
            price = price_within_bar(order, bar, was_there_at_open=order.arrives <= started)
            if price > 0:
                self._deal(t, ended, order, self._supply_at(order.place, price, bars, used))

    def _protect(self, t: int, time: pd.Timestamp, bars: Bars, used: npt.NDArray[np.int64]) -> None:
        if not self._rules.is_active:
            return
        for place in self._account.held_places():
            bar = bars.of(place)
            sale = None if bar is None else self._protected[place].sale_in(bar, self._rules)
            if sale is not None:
                name, shares = str(self._market.instruments[place]), -self._account.held(place)
                order = EventOrder(name, shares, OrderKind.STOP, sale.price / TICKS_PER_UNIT, reason=sale.reason)
                placed = PlacedOrder(order, place, shares, sale.price, t, time, t)
                self._account.deal(t, time, placed, self._supply_at(place, sale.price, bars, used))
        self._forget_sold()

    def _supply_at(self, place: int, price: int, bars: Bars, used: npt.NDArray[np.int64]) -> Supply:
        prices = np.zeros_like(bars.open)
        prices[place] = price
        return Supply(prices, bars.volume, used)

    def _deal(self, t: int, time: pd.Timestamp, order: PlacedOrder, supply: Supply) -> Dealt:
        """Deal an order; what the volume left over of it waits on, everything else is done with."""
        held = self._account.held(order.place)
        dealt = self._account.deal(t, time, order, supply, order.order.kind is OrderKind.LIMIT)
        if order.shares > 0 and dealt.shares > 0:
            known = self._protected.setdefault(order.place, ProtectedHolding(0.0, 0.0))
            known.bought(held, dealt.shares, dealt.price)
        left = abs(order.shares) - dealt.shares
        if dealt.status in _WAITS_FOR_VOLUME and left > 0:
            order.shares = left if order.shares > 0 else -left
        else:
            self.orders.remove(order)
        self._forget_sold()
        return dealt

    def _forget_sold(self) -> None:
        self._protected = {place: known for place, known in self._protected.items() if self._account.held(place) > 0}


def splits_of(market: TradingMarket, t: int) -> Iterator[tuple[int, int, int]]:
    """Instrument, new and old shares of every split of session `t`."""
    actions = market.arrays.actions
    for k in range(actions.offsets[t], actions.offsets[t + 1]):
        if actions.kind[k] == kernels.SPLIT:
            yield int(actions.instrument[k]), int(actions.numerator[k]), int(actions.denominator[k])


def _sales_first(orders: list[PlacedOrder]) -> list[PlacedOrder]:
    return sorted(orders, key=lambda order: order.shares > 0)
