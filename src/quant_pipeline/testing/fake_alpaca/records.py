"""Orders and positions as the fake exchange keeps them, and as Alpaca writes them in JSON."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

OPTION = re.compile(r"[A-Z]{1,6}\d{6}[CP]\d{8}")
OPEN_STATUSES = ("new", "accepted", "partially_filled", "pending_new", "pending_cancel")
ENDINGS = {"filled": "filled_at", "expired": "expired_at", "canceled": "canceled_at", "rejected": "failed_at"}


class Refused(Exception):
    """A request is answered with an error of the API.

    Attributes
    ----------
    status, code
        HTTP status and Alpaca's own code.
    """

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def number(value: Decimal) -> str:
    """Write a number as Alpaca does: plain digits, no trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def instant(at: pd.Timestamp | None) -> str | None:
    """Write an instant as Alpaca does."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def nanoseconds(at: pd.Timestamp) -> str:
    """Write an instant with nine decimals, as Alpaca does for executions."""
    return f"{at.tz_convert('UTC'):%Y-%m-%dT%H:%M:%S.%f}{at.nanosecond:03d}Z"


def asset_class(symbol: str) -> str:
    """Return the class of an asset by its symbol."""
    if OPTION.fullmatch(symbol):
        return "us_option"
    return "crypto" if "/" in symbol else "us_equity"


def multiplier_of(symbol: str) -> Decimal:
    """Return how many shares one unit of an instrument stands for."""
    return Decimal(100) if OPTION.fullmatch(symbol) else Decimal(1)


def asset_id(symbol: str) -> str:
    """Return the id of an asset; it is a pure function of the symbol."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, symbol))


@dataclass
class FakeOrder:
    """An order at the exchange."""

    order_id: str
    client_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    time_in_force: str
    limit_price: Decimal | None
    submitted_at: pd.Timestamp
    status: str = "accepted"
    filled: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    updated_at: pd.Timestamp | None = None

    @property
    def is_open(self) -> bool:
        """Whether the exchange still works on it."""
        return self.status in OPEN_STATUSES

    @property
    def rest(self) -> Decimal:
        """Quantity that is not executed."""
        return self.quantity - self.filled

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1

    def as_json(self) -> dict[str, Any]:
        """Write the order as the API does."""
        updated = instant(self.updated_at or self.submitted_at)
        submitted = instant(self.submitted_at)
        ended: dict[str, str | None] = dict.fromkeys(
            ("filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at")
        )
        if self.status in ENDINGS:
            ended[ENDINGS[self.status]] = updated
        return {
            "id": self.order_id,
            "client_order_id": self.client_order_id,
            "created_at": submitted,
            "updated_at": updated,
            "submitted_at": submitted,
            **ended,
            "replaced_by": None,
            "replaces": None,
            "asset_id": asset_id(self.symbol),
            "symbol": self.symbol,
            "asset_class": asset_class(self.symbol),
            "notional": None,
            "qty": number(self.quantity),
            "filled_qty": number(self.filled),
            "filled_avg_price": number(round(self.spent / self.filled, 6)) if self.filled else None,
            "order_class": "",
            "order_type": self.order_type,
            "type": self.order_type,
            "side": self.side,
            "time_in_force": self.time_in_force,
            "limit_price": None if self.limit_price is None else number(self.limit_price),
            "stop_price": None,
            "status": self.status,
            "extended_hours": False,
            "legs": None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
        }


@dataclass
class FakePosition:
    """Shares held and what they cost."""

    quantity: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)

    def add(self, quantity: Decimal, price: Decimal) -> None:
        """Book a fill: shares at a price come in, or go out at their mean cost; short ones the other way round."""
        if quantity * self.quantity >= 0:
            self.cost += quantity * price
        elif self.quantity:
            self.cost += quantity * self.cost / self.quantity
        self.quantity += quantity

    def as_json(self, symbol: str, price: Decimal, held: Decimal) -> dict[str, Any]:
        """Write the position as the API does; ``held`` shares are promised to open sells."""
        value = self.quantity * price * multiplier_of(symbol)
        return {
            "asset_id": asset_id(symbol),
            # Coins are BTC/USD in orders and fills and BTCUSD here (https://github.com/alpacahq/alpaca-py/issues/490).
            "symbol": symbol.replace("/", ""),
            "exchange": "NASDAQ",
            "asset_class": asset_class(symbol),
            "asset_marginable": True,
            "qty": number(self.quantity),
            "qty_available": number(self.quantity - held),
            "avg_entry_price": number(round(self.cost / self.quantity, 6)),
            "side": "long" if self.quantity > 0 else "short",
            "market_value": number(value),
            "cost_basis": number(round(self.cost, 6)),
            "unrealized_pl": number(round(value - self.cost, 6)),
            "unrealized_plpc": number(round((value - self.cost) / self.cost, 6) if self.cost else Decimal(0)),
            "current_price": number(price),
            "lastday_price": number(price),
            "change_today": "0",
        }
