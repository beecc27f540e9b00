"""Translate Alpaca's JSON into the records of the port; what is unknown stays visible as unknown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.trading.broker_records import (
    Activity,
    Amendment,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    CashActivity,
    CashKind,
    FillActivity,
    LastTrade,
    OrderRequest,
    OrderStatus,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)

NEW_YORK = "America/New_York"

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

_CASH_TYPES = {
    CashKind.DIVIDEND: "DIV DIVCGL DIVCGS DIVROC DIVTXEX",
    CashKind.CASH_IN_LIEU: "CIL",
    CashKind.FEE: "FEE CFEE PTC PTR",
    CashKind.INTEREST: "INT INTPNL",
    CashKind.TRANSFER: "CSD CSW JNLC JNL ACATC TRANS",
    CashKind.TAX: "DIVNRA DIVFT DIVTW DIVWH WH",
    CashKind.OTHER: "MISC SWP",
}
CASH_KINDS = {name: kind for kind, names in _CASH_TYPES.items() for name in names.split()}

_POSITION_TYPES = {
    PositionKind.SPLIT: "SPLIT SSP",
    PositionKind.SPIN_OFF: "SPIN SSO",
    PositionKind.MERGER: "MA REORG VOF",
    PositionKind.SYMBOL_CHANGE: "NC SC",
    PositionKind.STOCK_DIVIDEND: "DIVS",
    PositionKind.TRANSFER: "ACATS JNLS",
    PositionKind.REMOVAL: "WRM",
}
POSITION_KINDS = {name: kind for kind, names in _POSITION_TYPES.items() for name in names.split()}

AMENDMENTS = {
    "trade_bust": Amendment.CANCELLATION,
    "trade_correct": Amendment.CORRECTION,
    "canceled": Amendment.CANCELLATION,
    "correct": Amendment.CORRECTION,
}


def decimal(value: Any) -> Decimal:
    """Read a number, which Alpaca writes as text or as a JSON number; nothing is zero."""
    return Decimal(0) if value in (None, "") else Decimal(str(value))


def utc(value: str) -> pd.Timestamp:
    """Read an instant; one without zone is UTC."""
    at = pd.Timestamp(value)
    return at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")


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
    filled = decimal(row.get("filled_qty"))
    status = STATUSES.get(row["status"], OrderStatus.UNKNOWN)
    if status is OrderStatus.ACCEPTED and filled:
        status = OrderStatus.PARTIALLY_FILLED
    return BrokerOrder(
        broker_order_id=row["id"],
        client_order_id=row["client_order_id"],
        instrument=row["symbol"],
        side=row["side"],
        quantity=None if row.get("qty") is None else decimal(row["qty"]),
        filled_quantity=filled,
        average_fill_price=None if row.get("filled_avg_price") is None else decimal(row["filled_avg_price"]),
        status=status,
        raw_status=row["status"],
        order_type=row.get("type") or row.get("order_type") or "",
        time_in_force=row.get("time_in_force") or "",
        limit_price=None if row.get("limit_price") is None else decimal(row["limit_price"]),
        submitted_at=utc(row.get("submitted_at") or row["created_at"]),
        updated_at=utc(row.get("updated_at") or row["created_at"]),
        message=str(row.get("reject_reason") or row.get("reason") or ""),
    )


def read_account(row: Json) -> BrokerAccount:
    """Read the account."""
    return BrokerAccount(
        account_number=row["account_number"],
        currency=row.get("currency") or "USD",
        cash=decimal(row["cash"]),
        equity=decimal(row["equity"]),
        last_equity=decimal(row.get("last_equity")),
        buying_power=decimal(row["buying_power"]),
        trading_blocked=bool(row.get("trading_blocked") or row.get("account_blocked")),
        suspended=bool(row.get("trade_suspended_by_user")),
    )


def read_position(row: Json) -> BrokerPosition:
    """Read a position."""
    quantity = decimal(row["qty"])
    available = row.get("qty_available")
    return BrokerPosition(
        instrument=row["symbol"],
        quantity=quantity,
        available=quantity if available is None else decimal(available),
        average_entry_price=decimal(row.get("avg_entry_price")),
        market_value=decimal(row.get("market_value")),
        asset_id=row.get("asset_id") or "",
    )


def read_asset(row: Json) -> BrokerAsset:
    """Read an asset."""
    return BrokerAsset(
        instrument=row["symbol"],
        asset_id=row["id"],
        tradable=bool(row["tradable"]) and row.get("status", "active") == "active",
        shortable=bool(row.get("shortable")),
        fractionable=bool(row.get("fractionable")),
    )


def read_clock(row: Json) -> BrokerClock:
    """Read the clock."""
    return BrokerClock(utc(row["timestamp"]), bool(row["is_open"]), utc(row["next_open"]), utc(row["next_close"]))


def read_last_trades(row: Json) -> dict[str, LastTrade]:
    """Read the newest trade of each instrument."""
    trades = row["trades"] or {}
    return {name: LastTrade(decimal(trade["p"]), utc(trade["t"])) for name, trade in trades.items() if trade}


def read_activity(row: Json) -> Activity:
    """Read a record of the activity feed; an unknown type becomes an `UnknownActivity`."""
    kind = row["activity_type"]
    if kind == "FILL":
        return _read_fill(row)
    common = {
        "activity_id": row["id"],
        "date": pd.Timestamp(str(row["date"])[:10]),
        "amendment": AMENDMENTS.get(row.get("status") or "", Amendment.NEW),
        "supersedes": row.get("previous_id"),
        "raw": dict(row),
    }
    words = str(row.get("description") or "")
    symbol = row.get("symbol") or ""
    amount = decimal(row.get("net_amount"))
    if kind in CASH_KINDS:
        return CashActivity(**common, kind=CASH_KINDS[kind], amount=amount, instrument=symbol, description=words)
    if kind in POSITION_KINDS:
        return PositionActivity(
            **common,
            kind=POSITION_KINDS[kind],
            instrument=symbol,
            quantity=decimal(row.get("qty")),
            amount=amount,
            description=words,
        )
    return UnknownActivity(**common, raw_type=kind)


def _read_fill(row: Json) -> FillActivity:
    at = utc(row["transaction_time"])
    return FillActivity(
        activity_id=row["id"],
        date=at.tz_convert(NEW_YORK).tz_localize(None).normalize(),
        occurred_at=at,
        broker_order_id=row["order_id"],
        instrument=row["symbol"],
        side="buy" if row["side"] == "buy" else "sell",
        quantity=decimal(row["qty"]),
        price=decimal(row["price"]),
        cumulative_quantity=None if row.get("cum_qty") is None else decimal(row["cum_qty"]),
        amendment=AMENDMENTS.get(row.get("type") or "", Amendment.NEW),
        supersedes=row.get("previous_execution_id"),
        raw=dict(row),
    )
