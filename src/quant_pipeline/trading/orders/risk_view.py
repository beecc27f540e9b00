"""The record that a risk check reads, its verdict, trading states, and the codes of denials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import pandas as pd

from quant_pipeline.trading.ledger.events import Order


class TradingState(StrEnum):
    """What an account lets through: everything, exits only, or nothing. Cancels always pass."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"

    def lets_through(self, side: str) -> bool:
        """Whether an order of a side may be sent."""
        return self is TradingState.ACTIVE or (self is TradingState.REDUCING and side == "sell")


FLATTEN = "FLATTEN"
"""Why the trading state was changed, when the operator has ordered to sell everything."""


class DenialCode(StrEnum):
    """Why an order is not sent, in the order in which it is asked."""

    TRADING_HALTED = "TRADING_HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"
    DAILY_LOSS = "DAILY_LOSS"
    DRAWDOWN = "DRAWDOWN"
    NOT_ARMED = "NOT_ARMED"
    CLOCK_SKEW = "CLOCK_SKEW"
    STALE_SIGNAL = "STALE_SIGNAL"
    STALE_DATA = "STALE_DATA"
    RESTRICTED = "RESTRICTED"
    FOREIGN_POSITION = "FOREIGN_POSITION"
    CORPORATE_ACTION = "CORPORATE_ACTION"
    NOT_TRADABLE = "NOT_TRADABLE"
    NOT_IN_UNIVERSE = "NOT_IN_UNIVERSE"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    OPPOSITE_ORDER = "OPPOSITE_ORDER"
    INVALID_PRICE = "INVALID_PRICE"
    PRICE_COLLAR = "PRICE_COLLAR"
    MINIMUM_PRICE = "MINIMUM_PRICE"
    INVALID_QUANTITY = "INVALID_QUANTITY"
    SHORT_SALE = "SHORT_SALE"
    ORDER_VALUE = "ORDER_VALUE"
    PARTICIPATION = "PARTICIPATION"
    ILLIQUID = "ILLIQUID"
    POSITION_WEIGHT = "POSITION_WEIGHT"
    SECTOR_WEIGHT = "SECTOR_WEIGHT"
    GROSS_EXPOSURE = "GROSS_EXPOSURE"
    TURNOVER = "TURNOVER"
    DAILY_VALUE = "DAILY_VALUE"
    DAY_TRADES = "DAY_TRADES"
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    ORDER_COUNT = "ORDER_COUNT"
    PLAN_REFUSED = "PLAN_REFUSED"


class InstrumentView(NamedTuple):
    """What is known of one instrument at the decision.

    Attributes
    ----------
    price
        Last known price as traded.
    price_age
        Sessions since that price; 0 when it is of the session of the decision.
    average_volume
        Shares per session.
    sector
        Sector; empty when it is unknown, the instrument is then a sector of its own.
    tradable
        Whether the broker and the exchange trade it.
    member
        Whether it belongs to today's universe.
    trade_age
        Seconds since that price, when it is of a trade in the running session; infinite when there was none yet, None
        where orders are compared with closes.
    """

    price: Decimal
    price_age: int
    average_volume: Decimal
    sector: str
    tradable: bool
    member: bool
    trade_age: float | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the account stands against its losses.

    Attributes
    ----------
    state
        Trading state of the account.
    equity, previous_equity, highest_equity
        Equity now, at the previous close, and the highest of all closes, as the broker states them; the latter two with
        what the owner has paid in or taken out since.
    is_flattening
        Whether the operator has ordered to sell everything: losses, which the operator knows, do not block that.
    """

    state: TradingState
    equity: Decimal
    previous_equity: Decimal
    highest_equity: Decimal
    is_flattening: bool = False

    @property
    def daily_loss(self) -> Decimal:
        """Loss since the previous close as a part of it; negative is a gain."""
        return _loss(self.equity, self.previous_equity)

    @property
    def drawdown(self) -> Decimal:
        """Loss since the highest close as a part of it."""
        return _loss(self.equity, self.highest_equity)


@dataclass(frozen=True, kw_only=True)
class RiskView(Standing):
    """Everything a verdict depends on; the same view gives the same verdicts.

    Attributes
    ----------
    session
        Session in which the orders execute.
    armed
        Whether the account may send in this session; accounts without real money always are.
    clock_skew_seconds
        Distance between this clock and the broker's.
    signal_age
        Sessions between the scores and the session of the decision.
    cash
        Cash that buys may spend before any sale.
    positions
        Shares held by instrument.
    instruments
        What is known of each instrument.
    live_orders
        Orders of this session that have left or are open at the broker, by instrument: ``(side, id)``.
    market_values
        Value of each position as the broker states it; None where it has no price.
    foreign
        Instruments that are held short, or are no shares: they are never traded.
    converting
        Instruments of whose split, merger or renaming the broker has reported a part only: how many shares there are,
        and at which price, is not certain until the rest has come.
    bought_today
        Instruments of which this account has bought shares in this session.
    day_trades
        Day trades of the last five sessions of an account that the rule about them binds; None of any other.
    ended_orders
        Ids of those among them that have ended: what they bought may be sold again.
    orders_sent, value_sent
        How many orders have been let through in this session, and their value.
    """

    session: pd.Timestamp
    armed: bool
    clock_skew_seconds: float
    signal_age: int
    cash: Decimal
    positions: Mapping[str, Decimal]
    instruments: Mapping[str, InstrumentView]
    live_orders: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    market_values: Mapping[str, Decimal | None] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()
    converting: frozenset[str] = frozenset()
    bought_today: frozenset[str] = frozenset()
    day_trades: int | None = None
    ended_orders: frozenset[str] = frozenset()
    orders_sent: int = 0
    value_sent: Decimal = Decimal(0)


@dataclass(frozen=True)
class Verdict:
    """What the risk check says about one order.

    Attributes
    ----------
    order
        The order.
    code
        Why it is denied; None when it may be sent.
    value, limit
        The number that was compared and the one it was compared with; empty where there is none.
    last_trade
        Price of the last trade in the running session, where the order was compared with one.
    """

    order: Order
    code: DenialCode | None = None
    value: str = ""
    limit: str = ""
    last_trade: Decimal | None = None

    @property
    def approved(self) -> bool:
        """Whether the order may be sent."""
        return self.code is None

    @property
    def message(self) -> str:
        """The verdict in one line."""
        if self.code is None:
            return "approved"
        return f"{self.code}: {self.value} against {self.limit}" if self.limit else f"{self.code}: {self.value}"


def _loss(now: Decimal, before: Decimal) -> Decimal:
    return 1 - now / before if before > 0 else Decimal(0)
