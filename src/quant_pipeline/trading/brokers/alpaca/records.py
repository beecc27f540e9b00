"""Translate Alpaca's JSON into the records of the port; what is unknown stays visible as unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from quant_pipeline.trading.activities.alpaca import NEW_YORK, instrument_of, is_foreign
from quant_pipeline.trading.activities.numbers import read_decimal, read_instant, read_optional
from quant_pipeline.trading.broker_records import (
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    LastTrade,
    OrderRequest,
    OrderStatus,
)

Json = Mapping[str, Any]

_AT_WORK = (
    "new accepted pending_new accepted_for_bidding pending_replace pending_review held stopped suspended "
    "calculated done_for_day"
)
STATUSES = dict.fromkeys(_AT_WORK.split(), OrderStatus.ACCEPTED) | {
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "pending_cancel": OrderStatus.PENDING_CANCEL,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
SIDES_OF_POSITIONS = {"long": 1, "short": -1}


MULTI_LEG = "mleg"
"""Class of orders in several options at once; they have no symbol of their own."""

OPEN_ACCOUNTS = ("ACTIVE", "ACCOUNT_UPDATED")
"""Words of Alpaca for accounts that trade; one that is closed, rejected or not yet approved does not."""


def order_body(order: OrderRequest) -> dict[str, str]:
    """Write an order for Alpaca; numbers go as text, so that none is rounded on the way."""
    body = {
        "symbol": order.instrument,
        "qty": format(order.quantity, "f"),
        "side": order.side,
        "type": order.order_type.value,
        "time_in_force": order.time_in_force.value,
        "client_order_id": order.client_order_id,
    }
    return body | ({} if order.limit_price is None else {"limit_price": format(order.limit_price, "f")})


def read_order(row: Json) -> BrokerOrder:
    """Read an order.

    Raises
    ------
    KeyError, ValueError
        When it is not one.
    """
    filled = read_decimal(row["filled_qty"], "filled_qty")
    average = read_optional(row.get("filled_avg_price"), "filled_avg_price")
    if row.get("order_class") == MULTI_LEG:
        average = None  # Of several options in one order; a negative one has brought money.
    if filled < 0 or (average is not None and average <= 0):
        raise ValueError(f"an order is filled by {filled} at {average}")
    status = STATUSES.get(row["status"], OrderStatus.UNKNOWN)
    if status is OrderStatus.ACCEPTED and filled:
        status = OrderStatus.PARTIALLY_FILLED
    return BrokerOrder(
        broker_order_id=_name(row, "id"),
        client_order_id=_name(row, "client_order_id"),
        instrument=row.get("symbol") or "",
        side=row.get("side") or "",
        quantity=read_optional(row.get("qty"), "qty"),
        filled_quantity=filled,
        average_fill_price=average,
        status=status,
        raw_status=row["status"],
        order_type=row.get("type") or row.get("order_type") or "",
        time_in_force=row.get("time_in_force") or "",
        limit_price=read_optional(row.get("limit_price"), "limit_price"),
        submitted_at=read_instant(row.get("submitted_at") or row["created_at"], "submitted_at"),
        updated_at=read_instant(row.get("updated_at") or row["created_at"], "updated_at"),
        message=str(row.get("reject_reason") or row.get("reason") or ""),
        replaces=row.get("replaces") or "",
    )


def read_account(row: Json) -> BrokerAccount:
    """Read the account; an amount that is missing or not finite is an error, never zero."""
    amounts = {name: read_decimal(row.get(name), name) for name in ("cash", "equity", "last_equity", "buying_power")}
    settled = read_optional(row.get("non_marginable_buying_power"), "non_marginable_buying_power")
    is_open = _name(row, "status") in OPEN_ACCOUNTS
    return BrokerAccount(
        account_number=_name(row, "account_number"),
        currency=_name(row, "currency"),
        **amounts,
        trading_blocked=_flag(row, "trading_blocked") or _flag(row, "account_blocked") or not is_open,
        suspended=_flag(row, "trade_suspended_by_user"),
        settled_cash=settled,
        multiplier=read_optional(row.get("multiplier"), "multiplier"),
        day_trades=None if row.get("daytrade_count") is None else _count(row, "daytrade_count"),
        is_day_trader=row.get("pattern_day_trader") is not None and _flag(row, "pattern_day_trader"),
    )


def read_position(row: Json) -> BrokerPosition:
    """Read a position; one without a market value has none that is known."""
    quantity, kind = read_decimal(row.get("qty"), "qty"), row.get("asset_class") or ""
    symbol = instrument_of(_name(row, "symbol"), kind)
    sign = SIDES_OF_POSITIONS[row["side"]]
    quantity = abs(quantity) * sign
    available = read_decimal(row.get("qty_available"), "qty_available")
    return BrokerPosition(
        instrument=symbol,
        quantity=quantity,
        available=abs(available) * sign,
        average_entry_price=read_decimal(row.get("avg_entry_price"), "avg_entry_price"),
        market_value=read_optional(row.get("market_value"), "market_value"),
        asset_id=row.get("asset_id") or "",
        is_foreign=quantity < 0 or is_foreign(symbol, kind),
    )


def read_asset(row: Json) -> BrokerAsset:
    """Read an asset."""
    return BrokerAsset(
        instrument=row["symbol"],
        asset_id=row["id"],
        tradable=_flag(row, "tradable") and _name(row, "status") == "active",
        shortable="shortable" in row and _flag(row, "shortable"),
        fractionable="fractionable" in row and _flag(row, "fractionable"),
    )


def read_clock(row: Json) -> BrokerClock:
    """Read the clock."""
    now, opens, closes = (read_instant(row.get(name), name) for name in ("timestamp", "next_open", "next_close"))
    return BrokerClock(now, _flag(row, "is_open"), opens, closes)


def read_sessions(rows: Sequence[Json]) -> dict[pd.Timestamp, tuple[pd.Timestamp, pd.Timestamp]]:
    """Read the calendar: open and close (UTC) of each session; Alpaca writes hours of New York."""
    sessions: dict[pd.Timestamp, tuple[pd.Timestamp, pd.Timestamp]] = {}
    for row in rows:
        day = pd.to_datetime(row["date"], format="%Y-%m-%d")
        opens, closes = (
            pd.to_datetime(f"{row['date']} {row[name]}", format="%Y-%m-%d %H:%M")
            .tz_localize(NEW_YORK)
            .tz_convert("UTC")
            for name in ("open", "close")
        )
        if closes <= opens or sessions.setdefault(day, (opens, closes)) != (opens, closes):
            raise ValueError(f"the calendar has {row['date']} from {row['open']} to {row['close']}")
    return sessions


def read_last_trades(row: Json) -> dict[str, LastTrade]:
    """Read the newest trade of each instrument; one whose price or time cannot be read is as good as none."""
    found = {}
    for name, trade in (row["trades"] or {}).items():
        try:
            price, at = read_decimal(trade["p"], "price"), read_instant(trade["t"], "time")
        except (KeyError, TypeError, ValueError):
            continue
        if price > 0:
            found[name] = LastTrade(price, at)
    return found


def _flag(row: Json, name: str) -> bool:
    value = row.get(name)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, neither true nor false")
    return value


def _count(row: Json, name: str) -> int:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is {value!r}, which is no count")
    return value


def _name(row: Json, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}")
    return value
