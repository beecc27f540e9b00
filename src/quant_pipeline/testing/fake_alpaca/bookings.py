"""What moves cash and shares without an order: fees, dividends, transfers, corporate actions, busts, corrections."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.records import FakePosition, instant, number

CENT, TICK = Decimal("0.01"), Decimal("0.0001")

Record = dict[str, Any]


def book_cash(exchange: FakeExchange, kind: str, amount: Decimal | str, symbol: str = "", date: str = "") -> Record:
    """Move cash: ``FEE``, ``DIV``, ``INT``, ``CSD`` (deposit), ``CSW`` (withdrawal), ``DIVNRA`` and the like.

    Parameters
    ----------
    exchange
        Whose account.
    kind
        Activity type of Alpaca.
    amount
        Positive in, negative out.
    symbol
        What it is for, if anything.
    date
        ``YYYY-MM-DD``; any day, also one without trading; today when empty.

    Returns
    -------
    dict
        The record of the feed.
    """
    with exchange.lock:
        exchange.cash += Decimal(amount)
        return _record(exchange, kind, {"net_amount": number(Decimal(amount)), "symbol": symbol}, date)


def split(exchange: FakeExchange, symbol: str, ratio: Decimal | str) -> list[Record]:
    """Split a position; open orders of the instrument are cancelled, fractions are paid in cash.

    Parameters
    ----------
    ratio
        New shares per old share.
    """
    ratio = Decimal(ratio)
    with exchange.lock:
        _cancel_orders(exchange, symbol)
        exchange.prices[symbol] = (exchange.prices[symbol] / ratio).quantize(TICK)
        position = exchange.positions.get(symbol)
        if position is None:
            return []
        exact = position.quantity * ratio
        whole = exact.quantize(Decimal(1), rounding=ROUND_DOWN)
        change = whole - position.quantity
        position.quantity = whole
        if not whole:
            del exchange.positions[symbol]
        records = [_record(exchange, "SPLIT", {"symbol": symbol, "qty": number(change), "net_amount": "0"})]
        in_lieu = ((exact - whole) * exchange.prices[symbol]).quantize(CENT, rounding=ROUND_HALF_UP)
        return records + ([book_cash(exchange, "CIL", in_lieu, symbol)] if in_lieu else [])


def spin_off(exchange: FakeExchange, symbol: str, child: str, ratio: Decimal | str, price: Decimal | str) -> Record:
    """Give ``ratio`` shares of a child per share held; the child trades at ``price``."""
    with exchange.lock:
        exchange.prices[child] = Decimal(price)
        quantity = (exchange.positions[symbol].quantity * Decimal(ratio)).quantize(Decimal(1), rounding=ROUND_DOWN)
        exchange.move(child, quantity, Decimal(0))
        return _record(exchange, "SPIN", {"symbol": child, "qty": number(quantity), "net_amount": "0"})


def change_symbol(exchange: FakeExchange, old: str, new: str) -> list[Record]:
    """Rename an instrument: its shares leave under the old name and arrive under the new one."""
    with exchange.lock:
        _cancel_orders(exchange, old)
        exchange.prices[new] = exchange.prices.pop(old)
        position = exchange.positions.pop(old)
        exchange.positions[new] = position
        moves = ((old, -position.quantity), (new, position.quantity))
        return [_record(exchange, "NC", {"symbol": name, "qty": number(qty), "net_amount": "0"}) for name, qty in moves]


def merge_for_cash(exchange: FakeExchange, symbol: str, price: Decimal | str) -> Record:
    """Take all shares of an instrument for cash and end its listing."""
    with exchange.lock:
        _cancel_orders(exchange, symbol)
        exchange.untradable.add(symbol)
        quantity = exchange.positions.pop(symbol, FakePosition()).quantity
        amount = quantity * Decimal(price)
        exchange.cash += amount
        facts = {"symbol": symbol, "qty": number(-quantity), "net_amount": number(amount)}
        return _record(exchange, "MA", facts)


def bust(exchange: FakeExchange, fill: Record) -> Record:
    """Undo a fill: it never happened."""
    return _amend(exchange, fill, "trade_bust", Decimal(fill["qty"]), Decimal(fill["price"]), undo_only=True)


def correct(exchange: FakeExchange, fill: Record, quantity: Decimal | str, price: Decimal | str) -> Record:
    """Replace quantity and price of a fill."""
    return _amend(exchange, fill, "trade_correct", Decimal(quantity), Decimal(price), undo_only=False)


def _amend(
    exchange: FakeExchange, fill: Record, kind: str, quantity: Decimal, price: Decimal, undo_only: bool
) -> Record:
    with exchange.lock:
        order = exchange.orders[fill["order_id"]]
        booked = [(-Decimal(fill["qty"]), Decimal(fill["price"]))] + ([] if undo_only else [(quantity, price)])
        for change, at in booked:
            order.filled += change
            order.spent += change * at
            exchange.cash -= order.sign * change * at
            exchange.move(order.symbol, order.sign * change, at)
        now = exchange.hours.now()
        order.updated_at = now
        facts = fill | {
            "type": kind,
            "qty": number(quantity),
            "price": number(price),
            "cum_qty": number(order.filled),
            "leaves_qty": number(order.rest),
            "transaction_time": instant(now),
            "previous_execution_id": fill["id"].partition("::")[2],
        }
        del facts["id"]
        return exchange.feed.append(now, facts)


def _cancel_orders(exchange: FakeExchange, symbol: str) -> None:
    for order in exchange.orders.values():
        if order.is_open and order.symbol == symbol:
            exchange.end(order, "canceled")


def _record(exchange: FakeExchange, kind: str, facts: Record, date: str = "") -> Record:
    day = date or f"{exchange.hours.date():%Y-%m-%d}"
    return exchange.feed.append(
        exchange.hours.now(), {"activity_type": kind, "date": day, "status": "executed"} | facts
    )
