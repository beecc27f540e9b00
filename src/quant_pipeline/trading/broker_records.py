"""Orders, accounts, positions, fills and activities in the project's own terms; brokers are translated into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pandas as pd


class OrderType(StrEnum):
    """How an order may be priced."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """How long an order stands: the session, until cancelled, only the opening or the closing auction, at once."""

    DAY = "day"
    GTC = "gtc"
    OPENING = "opg"
    CLOSING = "cls"
    IMMEDIATE = "ioc"


class OrderStatus(StrEnum):
    """State of an order at the broker.

    ``UNKNOWN`` is a status this version has no word for: keep the order, ask again, alert the operator.
    """

    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether the broker will not work on the order any more."""
        return self in (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


@dataclass(frozen=True)
class OrderRequest:
    """An order to send.

    Attributes
    ----------
    client_order_id
        Our own name of the order; a broker accepts it once, for ever.
    instrument, side, quantity
        What to execute; ``side`` is ``buy`` or ``sell``, ``quantity`` is positive.
    order_type, limit_price
        Market, or limit with its price in USD.
    time_in_force
        How long it stands.
    """

    client_order_id: str
    instrument: str
    side: str
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY


@dataclass(frozen=True)
class BrokerOrder:
    """An order as the broker knows it.

    Attributes
    ----------
    broker_order_id, client_order_id
        The broker's name and ours; an order made by hand has a client id that the broker invented.
    quantity, filled_quantity
        Shares asked for and executed so far; an order by amount of money has no quantity.
    average_fill_price
        Mean price of what was executed.
    status, raw_status
        Our word and the broker's.
    message
        Why it was rejected or ended, in the broker's words; empty when it says nothing.
    replaces
        The broker's name of the order that this one has taken the place of; empty when of none.
    """

    broker_order_id: str
    client_order_id: str
    instrument: str
    side: str
    quantity: Decimal | None
    filled_quantity: Decimal
    average_fill_price: Decimal | None
    status: OrderStatus
    raw_status: str
    order_type: str
    time_in_force: str
    limit_price: Decimal | None
    submitted_at: pd.Timestamp
    updated_at: pd.Timestamp
    message: str = ""
    replaces: str = ""


@dataclass(frozen=True)
class BrokerAccount:
    """The account at the broker; amounts in its currency.

    Attributes
    ----------
    account_number
        What a live account is pinned to.
    cash, equity, last_equity, buying_power
        Cash may be negative on margin; ``last_equity`` is that of the previous close.
    trading_blocked
        Whether the broker refuses every order.
    suspended
        Whether the user has suspended trading at the broker (third layer of the kill switch).
    settled_cash
        Cash that may be spent without borrowing or waiting for a settlement; None when the broker does not say.
    multiplier
        How many times its equity the account may spend; above one it is a margin account. None when it does not say.
    day_trades, is_day_trader
        Positions opened and closed within a session in the last five sessions, and whether the broker has marked the
        account as that of a pattern day trader; None when it does not say.
    """

    account_number: str
    currency: str
    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    buying_power: Decimal
    trading_blocked: bool = False
    suspended: bool = False
    settled_cash: Decimal | None = None
    multiplier: Decimal | None = None
    day_trades: int | None = None
    is_day_trader: bool = False

    @property
    def is_on_margin(self) -> bool:
        """Whether the broker lends to the account."""
        return self.multiplier is not None and self.multiplier > 1


@dataclass(frozen=True)
class BrokerPosition:
    """Shares held; negative when short. ``available`` shares are not promised to open orders.

    ``market_value`` is None when the broker has no price. What ``is_foreign`` (a short position, an option) is carried
    and counted, but never traded.
    """

    instrument: str
    quantity: Decimal
    available: Decimal
    average_entry_price: Decimal
    market_value: Decimal | None
    asset_id: str = ""
    is_foreign: bool = False


@dataclass(frozen=True)
class BrokerAsset:
    """Whether and how an instrument can be traded at the broker."""

    instrument: str
    asset_id: str
    tradable: bool
    shortable: bool
    fractionable: bool


@dataclass(frozen=True)
class LastTrade:
    """The newest trade in an instrument at the exchange, of any participant: price in USD and instant (UTC)."""

    price: Decimal
    at: pd.Timestamp


@dataclass(frozen=True)
class BrokerClock:
    """The broker's time (UTC) and the hours of its market."""

    now: pd.Timestamp
    is_open: bool
    next_open: pd.Timestamp
    next_close: pd.Timestamp


class Amendment(StrEnum):
    """What an activity is to an earlier one."""

    NEW = "new"
    CORRECTION = "correction"
    CANCELLATION = "cancellation"


class CashKind(StrEnum):
    """Why cash moved without a trade."""

    DIVIDEND = "dividend"
    CASH_IN_LIEU = "cash_in_lieu"
    FEE = "fee"
    INTEREST = "interest"
    TRANSFER = "transfer"
    TAX = "tax"
    RETURN_OF_CAPITAL = "return_of_capital"
    OTHER = "other"


class PositionKind(StrEnum):
    """Why shares moved without a trade."""

    SPLIT = "split"
    SPIN_OFF = "spin_off"
    MERGER = "merger"
    SYMBOL_CHANGE = "symbol_change"
    STOCK_DIVIDEND = "stock_dividend"
    TRANSFER = "transfer"
    REMOVAL = "removal"
    UNIT_SPLIT = "unit_split"


class Consideration(StrEnum):
    """What is paid for the old shares of a merger, where the broker says so."""

    UNKNOWN = "unknown"
    CASH = "cash"
    SHARES = "shares"
    BOTH = "both"


@dataclass(frozen=True)
class _Activity:
    """What all activities share.

    Attributes
    ----------
    activity_id
        The broker's name of the fact: seen twice, it is the same fact. Cursor of `Broker.activities`.
    date
        Session label or, for what happens on other days too, the date at the exchange.
    amendment, supersedes
        ``CORRECTION``: these values replace those of the activity ``supersedes``; ``CANCELLATION``: that activity
        never happened (a bust). ``NEW`` supersedes nothing. An amendment whose ``supersedes`` is None is of the one
        earlier activity that equals it.
    group
        The broker's name of the whole that several records belong to, such as one merger; empty when it gives none.
    raw
        The broker's own record.
    """

    activity_id: str
    date: pd.Timestamp
    amendment: Amendment = field(default=Amendment.NEW, kw_only=True)
    supersedes: str | None = field(default=None, kw_only=True)
    group: str = field(default="", kw_only=True)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False, kw_only=True)


@dataclass(frozen=True)
class FillActivity(_Activity):
    """Shares executed by an order; ``cumulative_quantity`` is what was filled of the order after it.

    ``cash`` is what it moved, where the broker states that; None is quantity times price.
    """

    occurred_at: pd.Timestamp
    broker_order_id: str
    instrument: str
    side: str
    quantity: Decimal
    price: Decimal
    cumulative_quantity: Decimal | None = None
    cash: Decimal | None = None


@dataclass(frozen=True)
class CashActivity(_Activity):
    """Cash in (positive) or out (negative), for an instrument or for the account (``instrument`` empty).

    ``quantity`` is what left the account for it: the fraction of a share that cash in lieu pays for.
    """

    kind: CashKind
    amount: Decimal
    instrument: str = ""
    description: str = ""
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True)
class PositionActivity(_Activity):
    """Shares in (positive) or out (negative) without a trade, with the cash that came with it.

    A broker may write one corporate action as several records: old shares out, new shares in, cash. ``price`` is the
    value of one share that the broker states, such as the cost of shares that are transferred in. ``is_half`` marks a
    record of a split that has all old or all new shares instead of their difference: the other one belongs to it.
    """

    kind: PositionKind
    instrument: str
    quantity: Decimal
    amount: Decimal = Decimal(0)
    description: str = ""
    price: Decimal | None = None
    consideration: Consideration = Consideration.UNKNOWN
    is_half: bool = False


@dataclass(frozen=True)
class ForeignActivity(_Activity):
    """What an instrument did that these books do not keep, such as an option: only its cash counts here.

    ``quantity`` is signed: what came (positive) or left of it.
    """

    instrument: str
    quantity: Decimal
    amount: Decimal
    description: str = ""


@dataclass(frozen=True)
class UnknownActivity(_Activity):
    """A fact this version has no word for: never dropped, the operator must look.

    Attributes
    ----------
    raw_type
        The broker's word.
    amount
        Cash that it moved; None when that cannot be read.
    instrument, quantity
        Shares that it may have moved; None when that cannot be read.
    problem
        Why it is not understood; empty when only the word is unknown.
    """

    raw_type: str
    amount: Decimal | None = None
    instrument: str = ""
    quantity: Decimal | None = None
    problem: str = ""


Activity = FillActivity | CashActivity | PositionActivity | ForeignActivity | UnknownActivity
