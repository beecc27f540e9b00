"""Orders of the event engine, and the price at which a bar deals them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import pandas as pd

from quant_pipeline.exceptions import StrategyError


class OrderKind(StrEnum):
    """Kinds of orders."""

    MARKET = "market"
    """Placed after the close it deals at the market's deal price of the next session, placed within a session as soon
    as possible: at the open of the next minute bar, or at the close when there are no minutes."""
    ON_OPEN = "on_open"
    """Deals at the next open."""
    ON_CLOSE = "on_close"
    """Deals at the next close."""
    LIMIT = "limit"
    """Deals at its limit or better."""
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
        Whether a limit or stop order lives on after the session; else what has not dealt by the close expires.
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

    ``place`` is the number of the instrument, ``shares`` what is left of it, ``price`` in ticks; ``arrives`` when it
    can deal first, ``expires_with`` the number of the session after whose close it is forgotten.
    """

    order: EventOrder
    place: int
    shares: int
    price: int
    placed_session: int
    arrives: pd.Timestamp
    expires_with: int


class BarPrices(NamedTuple):
    """Open, high, low and close of one instrument in ticks."""

    open: int
    high: int
    low: int
    close: int


def price_within_bar(order: PlacedOrder, bar: BarPrices, was_there_at_open: bool) -> int:
    """Price in ticks at which a limit or stop order deals within a bar, 0 if it does not.

    A bar that opens beyond the price deals at its open, in the trader's favour for a limit and against it for a stop.
    A price that is only touched deals.

    Parameters
    ----------
    order
        The order.
    bar
        The bar.
    was_there_at_open
        Whether the order had arrived when the bar opened. A limit that arrives later does not profit from the open: it
        deals at its own price, or at the worst price of the bar where that is better.
    """
    is_buy = order.shares > 0
    is_limit = order.order.kind is OrderKind.LIMIT
    waits_for_fall = is_buy == is_limit
    opens_beyond = bar.open <= order.price if waits_for_fall else bar.open >= order.price
    if opens_beyond and (was_there_at_open or not is_limit):
        return bar.open
    if waits_for_fall:
        return min(order.price, bar.high) if bar.low <= order.price else 0
    return max(order.price, bar.low) if bar.high >= order.price else 0
