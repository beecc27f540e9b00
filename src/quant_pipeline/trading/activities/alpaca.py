"""Read the records of Alpaca's account activities, as its API answers them and as its files have them.

Sources: https://docs.alpaca.markets/reference/getaccountactivities-2 (fields), the event samples of
https://docs.alpaca.markets/docs/activity-sse (corporate actions in two records, ``group_id``, ``ca_id``), and
https://docs.alpaca.markets/docs/non-trade-activities-for-option-events (options).

A record that cannot be read never hides the others: it becomes an `UnknownActivity` that says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from quant_pipeline.trading.activities.activity_types import OtherMeaning, meaning_of
from quant_pipeline.trading.activities.numbers import read_decimal, read_instant, read_optional
from quant_pipeline.trading.broker_records import (
    Activity,
    Amendment,
    CashActivity,
    CashKind,
    Consideration,
    FillActivity,
    ForeignActivity,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)

NEW_YORK = "America/New_York"
AMENDMENTS = {
    "trade_bust": Amendment.CANCELLATION,
    "trade_correct": Amendment.CORRECTION,
    "canceled": Amendment.CANCELLATION,
    "cancelled": Amendment.CANCELLATION,
    "correct": Amendment.CORRECTION,
}
STATUSES = ("", "executed", "correct", "canceled", "cancelled")
EXECUTIONS = ("", "fill", "partial_fill", "trade_bust", "trade_correct")
SIDES = {"buy": "buy", "sell": "sell", "sell_short": "sell", "buy_to_cover": "buy"}
OPTION = re.compile(r"[A-Z][A-Z0-9.]{0,5}\d{6}[CP]\d{8}")
"""Symbols of the Options Clearing Corporation: root, expiry, call or put, strike."""

COINS = re.compile(r"(?=[A-Z0-9]{6})([A-Z0-9]+?)(USD[TC]?)")
"""Pairs of coins in the older spelling, BTCUSD; symbols of US shares are shorter."""

NIGHT = pd.Timedelta(hours=4)
"""Before midnight in New York: trading from 20:00 on belongs to the next day, as in Alpaca's files."""

SHARES_PER_CONTRACT = Decimal(100)
CURRENCY = "USD"
"""Of these books; pairs of coins may be paid in other coins, and accounts elsewhere report other currencies."""

ZERO = Decimal(0)

Record = Mapping[str, Any]

_CONSIDERATION = {
    "CMA": Consideration.CASH,
    "SMA": Consideration.SHARES,
    "SCMA": Consideration.BOTH,
}


class _Common(NamedTuple):
    """What all sorts of records share."""

    activity_id: str
    date: pd.Timestamp
    facts: dict[str, Any]


def read_activity(record: Record) -> Activity:
    """Read a record of the activity feed.

    Returns
    -------
    Activity
        An `UnknownActivity` when the type is not known or a value cannot be read; it carries what could be read.

    Raises
    ------
    KeyError, ValueError
        When the record has no id or no type: then it cannot be named, and nothing after it can be read safely.
    """
    kind, name = record["activity_type"], record["id"]
    if not (isinstance(kind, str) and kind and isinstance(name, str) and name):
        raise ValueError("an activity has no id or no type")
    try:
        return _read_known(kind, record)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        return _unknown(kind, record, f"{error}" if isinstance(error, ValueError) else f"{error!r}")


def instrument_of(symbol: str, asset_class: str = "") -> str:
    """Return the one name of an instrument: orders and fills say BTC/USD, positions and fees BTCUSD.

    Source: https://github.com/alpacahq/alpaca-py/issues/490.
    """
    is_coin = asset_class in ("", "crypto") and COINS.fullmatch(symbol)
    return f"{is_coin[1]}/{is_coin[2]}" if is_coin else symbol


def is_foreign(symbol: str, asset_class: str = "") -> bool:
    """Return whether an instrument is an option, a crypto currency or anything else that is no US share."""
    return asset_class not in ("", "us_equity") or "/" in symbol or OPTION.fullmatch(symbol) is not None


def multiplier_of(symbol: str) -> Decimal:
    """Return how many shares one unit of an instrument stands for."""
    return SHARES_PER_CONTRACT if OPTION.fullmatch(symbol) else Decimal(1)


def _read_known(kind: str, record: Record) -> Activity:
    meaning = meaning_of(kind, _text(record, "activity_sub_type"))
    if meaning is OtherMeaning.FILL:
        return _read_fill(record)
    if meaning is None:
        _require_currency(record)
        return _unknown(kind, record, "")
    if meaning is OtherMeaning.TRADE:
        return _read_trade(record)
    symbol, words = _instrument(record), _text(record, "description")
    foreign = is_foreign(symbol, _text(record, "asset_class"))
    common = _common(record)
    quantity = read_optional(record.get("qty"), "qty")
    # The fee of a purchase of coins is taken in coins.
    in_coins = foreign and bool(quantity) and meaning is CashKind.FEE
    if meaning is OtherMeaning.FOREIGN or (foreign and isinstance(meaning, PositionKind)) or in_coins:
        amount = read_optional(record.get("net_amount"), "net_amount") or ZERO
        return ForeignActivity(*common[:2], symbol, quantity or ZERO, amount, words, **common.facts)
    if meaning is OtherMeaning.MEMO:
        return CashActivity(*common[:2], CashKind.OTHER, ZERO, symbol, words, **common.facts)
    if isinstance(meaning, PositionKind) or (_moves_shares(meaning, kind, symbol, quantity)):
        return _read_position(meaning, record, common)
    assert isinstance(meaning, CashKind)
    amount = read_decimal(record.get("net_amount"), "net_amount")
    if meaning is CashKind.OTHER and quantity and symbol:
        return _unknown(kind, record, "it moves cash and shares")
    left = -quantity if meaning is CashKind.CASH_IN_LIEU and quantity is not None and quantity < 0 else ZERO
    return CashActivity(*common[:2], meaning, amount, symbol, words, left, **common.facts)


def _moves_shares(meaning: object, kind: str, symbol: str, quantity: Decimal | None) -> bool:
    # A journal of type JNL is one of cash or of shares.
    return meaning is CashKind.TRANSFER and kind == "JNL" and bool(symbol) and bool(quantity)


def _read_position(meaning: object, record: Record, common: _Common) -> PositionActivity:
    quantity = read_optional(record.get("qty"), "qty")
    amount = read_optional(record.get("net_amount"), "net_amount")
    if quantity is None and amount is None:
        raise ValueError("qty and net_amount are missing")
    symbol = _instrument(record)
    if not symbol:
        raise ValueError("symbol is missing")
    return PositionActivity(
        *common[:2],
        kind=meaning if isinstance(meaning, PositionKind) else PositionKind.TRANSFER,
        instrument=symbol,
        quantity=quantity or ZERO,
        amount=amount or ZERO,
        description=_text(record, "description"),
        price=read_optional(record.get("price"), "price"),
        is_half=meaning is PositionKind.SPLIT,
        consideration=_CONSIDERATION.get(_text(record, "activity_sub_type"), Consideration.UNKNOWN),
        **common.facts,
    )


def _read_fill(record: Record) -> FillActivity | ForeignActivity:
    at = read_instant(record.get("transaction_time"), "transaction_time")
    date = (at.tz_convert(NEW_YORK).tz_localize(None) + NIGHT).normalize()
    side = SIDES.get(_text(record, "side"))
    if side is None or _text(record, "type") not in EXECUTIONS:
        raise ValueError(f"side is {record.get('side')!r}, type {record.get('type')!r}")
    quantity, price = read_decimal(record.get("qty"), "qty"), read_decimal(record.get("price"), "price")
    symbol, order_id = _instrument(record), _text(record, "order_id")
    if quantity <= 0 or price <= 0 or not symbol or not order_id:
        raise ValueError(f"a fill of {quantity} {symbol or 'of nothing'} at {price} in order {order_id or 'unknown'}")
    facts: dict[str, Any] = {
        "amendment": AMENDMENTS.get(_text(record, "type"), Amendment.NEW),
        "supersedes": record.get("previous_execution_id") or None,
        "raw": dict(record),
    }
    _require_currency(record)
    if is_foreign(symbol, _text(record, "asset_class")):
        paid_in = symbol.partition("/")[2]
        if paid_in not in ("", CURRENCY):
            raise ValueError(f"{symbol} is paid in {paid_in}, not in {CURRENCY}")
        signed = quantity if side == "buy" else -quantity
        cash = -signed * price * multiplier_of(symbol)
        return ForeignActivity(record["id"], date, symbol, signed, cash, f"{side} {quantity} at {price}", **facts)
    return FillActivity(
        record["id"],
        date,
        occurred_at=at,
        broker_order_id=order_id,
        instrument=symbol,
        side=side,
        quantity=quantity,
        price=price,
        cumulative_quantity=read_optional(record.get("cum_qty"), "cum_qty"),
        **facts,
    )


def _read_trade(record: Record) -> FillActivity | ForeignActivity:
    """Read shares that changed hands without an order: their cash is what the broker states, fees included."""
    common = _common(record)
    quantity = read_decimal(record.get("qty"), "qty")
    amount, symbol = read_decimal(record.get("net_amount"), "net_amount"), _instrument(record)
    if is_foreign(symbol, _text(record, "asset_class")):
        words = _text(record, "description")
        return ForeignActivity(*common[:2], symbol, quantity, amount, words, **common.facts)
    if not symbol or not quantity or not amount or quantity * amount > 0:
        raise ValueError(f"a trade of {quantity} {symbol or 'of nothing'} for {amount}")
    return FillActivity(
        *common[:2],
        occurred_at=common.date.tz_localize("UTC"),
        broker_order_id=_text(record, "order_id") or f"{record['activity_type']}:{common.activity_id}",
        instrument=symbol,
        side="buy" if quantity > 0 else "sell",
        quantity=abs(quantity),
        price=abs(amount) / abs(quantity),
        cash=amount,
        **common.facts,
    )


def _unknown(kind: str, record: Record, problem: str) -> UnknownActivity:
    common = _common(record, is_strict=False)
    return UnknownActivity(
        *common[:2],
        raw_type=kind,
        amount=_readable(record.get("net_amount"), is_absent=ZERO if kind != "FILL" else None)
        if _is_in_currency(record)
        else None,
        instrument=_instrument(record),
        quantity=_readable(record.get("qty"), is_absent=ZERO),
        problem=problem,
        **common.facts,
    )


def _readable(value: Any, is_absent: Decimal | None) -> Decimal | None:
    """Return a number when it can be read; what the record does not have at all moves nothing."""
    try:
        number = read_optional(value, "")
    except ValueError:
        return None
    return is_absent if number is None else number


def _common(record: Record, is_strict: bool = True) -> _Common:
    dates = (_text(record, "date")[:10], _text(record, "transaction_time")[:10], str(record["id"])[:8])
    date = _day(*dates, is_strict=is_strict)
    status = _text(record, "status")
    if is_strict and status not in STATUSES:
        raise ValueError(f"status is {status!r}")
    if is_strict:
        _require_currency(record)
    facts = {
        "amendment": AMENDMENTS.get(status, Amendment.NEW),
        "supersedes": record.get("previous_id") or None,
        "group": _text(record, "group_id") or _text(record, "ca_id"),
        "raw": dict(record),
    }
    return _Common(record["id"], date, facts)


def _require_currency(record: Record) -> None:
    if not _is_in_currency(record):
        raise ValueError(f"its currency is {record.get('currency')!r}, not {CURRENCY}")


def _is_in_currency(record: Record) -> bool:
    return (_text(record, "currency") or CURRENCY) == CURRENCY


def _day(*texts: str, is_strict: bool) -> pd.Timestamp:
    """Return the first date; one that is not strict is the first that can be read, NaT without any."""
    for text in filter(None, texts):
        try:
            return pd.Timestamp(text).normalize()
        except ValueError:
            if is_strict:
                raise ValueError(f"its date is {text!r}") from None
    return pd.NaT


def _instrument(record: Record) -> str:
    return instrument_of(_text(record, "symbol"), _text(record, "asset_class"))


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return "" if value is None else str(value)
