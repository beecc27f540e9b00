"""Orders of the event engine, and the price at which a bar fills them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

import pandas as pd

from quant_pipeline.common.exceptions import StrategyError


class OrderKind(StrEnum):
    """Kinds of orders."""

    MARKET = "market"
    """Placed after the close it executes at the execution price of the next session, within a session as soon
    as possible: at the open of the next minute bar, or at the close when there are no minutes."""
    ON_OPEN = "on_open"
    """Fills at the next open."""
    ON_CLOSE = "on_close"
    """Fills at the next close."""
    LIMIT = "limit"
    """Waits for its limit. Where the market is there already, it takes the market's price, spread and impact included,
    as far as its limit allows."""
    STOP = "stop"
    """Becomes a market order when the price reaches it: the worse of the stop and the open of the bar."""


@dataclass(frozen=True)
class EventOrder:
    """What a strategy asks for.

    Attributes
    ----------
    instrument
        Instrument code.
    shares
        Positive buys, negative sells.
    kind
        See :class:`OrderKind`.
    price
        Limit or stop price, in the currency.
    until_cancelled
        Whether a limit or stop order lives on after the session; else what has not executed by the close expires.
    reason
        Words for the record.
    """

    instrument: str
    shares: int
    kind: OrderKind = OrderKind.MARKET
    price: float | None = None
    until_cancelled: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse orders that make no sense."""
        if self.shares == 0 or self.shares != int(self.shares):
            raise StrategyError(f"The order of {self.instrument} asks for {self.shares} shares. Give a whole number.")
        if self.waits_for_price != (self.price is not None and self.price > 0):
            raise StrategyError(
                f"A {self.kind} order of {self.instrument} has price {self.price}. Give limit and stop orders a "
                "positive price and other orders none."
            )

    @property
    def waits_for_price(self) -> bool:
        """Whether it waits for a price instead of an auction."""
        return self.kind in (OrderKind.LIMIT, OrderKind.STOP)


@dataclass(frozen=True)
class CancelOrders:
    """Asks to forget every order of an instrument that is on its way or waits, at once: latency does not delay it."""

    instrument: str


@dataclass(eq=False)
class PlacedOrder:
    """An order on its way or at the exchange.

    ``index`` is the number of the instrument, ``shares`` what is left of it, ``price`` in ticks; ``placed`` when its
    sender saw the market, ``arrives`` when it reaches the exchange, ``expires_with`` the number of the session after
    whose close it is forgotten. ``lacks_volume`` tells that a part of it met too little volume, ``is_triggered`` that a
    stop has been reached, ``rests`` that a price beyond a limit was made since it arrived in this session: the market
    comes to it, and it executes at its price. Without that the next price counts as no better than ``no_better_than``
    (0 = any). ``rejected_in`` is the number of the session in which a rejection was last logged. ``commission`` is that
    of the pieces executed, before the minimum, and ``is_begun`` whether there is one.
    """

    order: EventOrder
    index: int
    shares: int
    price: int
    placed_session: int
    placed: pd.Timestamp
    arrives: pd.Timestamp
    expires_with: int
    lacks_volume: bool = False
    is_triggered: bool = False
    rests: bool = False
    no_better_than: int = 0
    rejected_in: int = -1
    commission: int = 0
    is_begun: bool = False

    @property
    def is_limit(self) -> bool:
        """Whether it has a limit, beyond which nothing of it executes."""
        return self.order.kind is OrderKind.LIMIT

    @property
    def waits_for_fall(self) -> bool:
        """Whether a falling price reaches it: that of a limit to buy or of a stop to sell."""
        return (self.shares > 0) == self.is_limit

    def is_reached_by(self, price: int) -> bool:
        """Whether a price reaches its limit or stop; a price that only touches it does."""
        return self.is_triggered or (price <= self.price if self.waits_for_fall else price >= self.price)

    def next_price(self, price: int) -> int:
        """Price at which the order executes when it meets this one, which reaches it."""
        if self.rests:
            return self.price
        worse = max if self.shares > 0 else min
        return worse(price, self.no_better_than) if self.no_better_than else price

    def remember(self, bar: BarPrices, arrival: Arrival, is_in_doubt: bool) -> None:
        """Remember what a bar that did not execute all of the order means for the bars after it.

        A stop that the bar reached, perhaps before the order arrived, is triggered. A limit rests from a price beyond
        it on; where it may have executed within the bar, it gets no better price than the worst of the bar.
        """
        worst = bar.high if self.shares > 0 else bar.low
        if not self.is_limit:
            if is_in_doubt and arrival is Arrival.WITHIN_BAR and self.is_reached_by(worst):
                self.is_triggered, self.no_better_than = True, worst
        elif not self.is_reached_by(worst):
            self.rests = True
        elif is_in_doubt and arrival in (Arrival.AFTER_OPEN, Arrival.WITHIN_BAR):
            self.no_better_than = self.next_price(worst)

    def start_anew(self) -> None:
        """Forget what the session means for the order: it takes part in the next opening auction, for a new fee."""
        self.rests, self.no_better_than = False, 0
        self.commission, self.is_begun = 0, False

    def is_in_time_for(self, print_time: pd.Timestamp) -> bool:
        """Whether it was placed before a price was made and had arrived by then."""
        return self.placed < print_time and self.arrives <= print_time


class BarPrices(NamedTuple):
    """Open, high, low and close of one instrument in ticks."""

    open: int
    high: int
    low: int
    close: int


class Arrival(Enum):
    """What of a bar comes after the arrival of an order."""

    BEFORE = "before"
    """All of it."""
    AFTER_OPEN = "after open"
    """All but the open, which the sender may have seen."""
    WITHIN_BAR = "within bar"
    """Nothing surely, but the close of a session."""


def price_within_bar(order: PlacedOrder, bar: BarPrices, arrival: Arrival, close_is_later: bool) -> int:
    """Price in ticks at which a bar executes a limit or stop order before spread and impact, 0 if it does not.

    Only prices that came after the arrival execute an order, and what is not known of them is decided against the
    trader: a limit needs a price that surely came later, a stop does not; both get the worst price that they allow.

    Parameters
    ----------
    order
        The order.
    bar
        The bar.
    arrival
        When in the bar the order arrived.
    close_is_later
        Whether the close is a price of its own after everything else, as in a daily bar.
    """
    nearest, farthest = (bar.low, bar.high) if order.waits_for_fall else (bar.high, bar.low)
    sees_whole_bar = arrival is Arrival.BEFORE
    is_after_open = arrival is Arrival.AFTER_OPEN
    if sees_whole_bar and order.is_reached_by(bar.open):
        return order.next_price(bar.open)
    if order.is_limit:
        # A price that equals the open may be the open.
        if sees_whole_bar or (is_after_open and nearest != bar.open):
            surely_later = nearest
        elif close_is_later or (is_after_open and bar.close != bar.open):
            surely_later = bar.close
        else:
            return 0
        if not order.is_reached_by(surely_later):
            return 0
        return min(order.price, farthest) if order.waits_for_fall else max(order.price, farthest)
    if not order.is_reached_by(nearest):
        return 0
    if arrival is not Arrival.WITHIN_BAR and not order.is_reached_by(bar.open):
        return order.price
    return nearest if close_is_later or (is_after_open and bar.low != bar.high) else 0
