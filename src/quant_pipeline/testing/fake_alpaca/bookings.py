"""What moves cash and shares without an order, in the records that Alpaca writes of it.

Shapes are those of https://docs.alpaca.markets/reference/getaccountactivities-2, of the event samples of
https://docs.alpaca.markets/docs/activity-sse, of
https://docs.alpaca.markets/docs/non-trade-activities-for-option-events and of the enumeration of 6 November 2026
(https://docs.alpaca.markets/us/changelog/2026-11-06-activity-types-b66d603): splits, mergers and renamings are records
of their own for old shares out, new shares in and cash, joined by ``group_id`` and ``ca_id``; what is taken back is a
record of status ``canceled`` (or ``correct``) that names the first one in ``previous_id``.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.records import FakePosition, instant, number

CENT, TICK = Decimal("0.01"), Decimal("0.0001")
ZERO = Decimal(0)

Record = dict[str, Any]


def book_cash(
    exchange: FakeExchange, kind: str, amount: Decimal | str, symbol: str = "", date: str = "", **facts: str
) -> Record:
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
    facts
        Further fields, such as ``activity_sub_type``.

    Returns
    -------
    dict
        The record of the feed.
    """
    with exchange.lock:
        exchange.cash += Decimal(amount)
        return _record(exchange, kind, {"net_amount": number(Decimal(amount)), "symbol": symbol} | facts, date)


def in_cents(amount: Decimal) -> Decimal:
    """Round an amount to cents."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def deposit(exchange: FakeExchange, amount: Decimal | str) -> Record:
    """Bring cash."""
    return book_cash(exchange, "CSD", amount)


def withdraw(exchange: FakeExchange, amount: Decimal | str) -> Record:
    """Take cash out."""
    return book_cash(exchange, "CSW", -Decimal(amount))


def pay_dividend(exchange: FakeExchange, symbol: str, rate: Decimal | str) -> Record:
    """Pay cash: ``rate`` for every share held."""
    with exchange.lock:
        return book_cash(exchange, "DIV", in_cents(exchange.positions[symbol].quantity * Decimal(rate)), symbol)


def fill_late(
    exchange: FakeExchange, client_order_id: str, quantity: Decimal | str, price: Decimal | str = ""
) -> Record:
    """Fill a part of an order that has ended already; an empty price is the present one."""
    with exchange.lock:
        order = exchange.by_client_id[client_order_id]
        return exchange.fill(order, Decimal(quantity), Decimal(price or exchange.prices[order.symbol]))


def return_capital(exchange: FakeExchange, symbol: str, amount: Decimal | str) -> Record:
    """Pay back a part of what shares have cost."""
    return book_cash(exchange, "DIV", amount, symbol, activity_sub_type="ROC")


def pay_in_shares(exchange: FakeExchange, symbol: str, rate: Decimal | str) -> Record:
    """Pay a dividend in shares: ``rate`` of one for every share held."""
    with exchange.lock:
        position = exchange.positions[symbol]
        paid = (position.quantity * Decimal(rate)).quantize(Decimal("1e-9"), rounding=ROUND_DOWN)
        position.quantity += paid
        facts = {"activity_sub_type": "SDIV", "symbol": symbol, "qty": number(paid), "net_amount": "0"}
        return _record(exchange, "DIV", facts)


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
        before, exact = position.quantity, position.quantity * ratio
        whole = exact.quantize(Decimal(1), rounding=ROUND_DOWN)
        position.quantity = whole
        if not whole:
            del exchange.positions[symbol]
        words = f"From QTY:{number(before)}, To QTY:{number(whole)}, Position Value:{number(position.cost)}"
        group = _group(exchange) | {"activity_sub_type": "FSPLIT" if ratio > 1 else "RSPLIT", "symbol": symbol}
        records = [
            _record(exchange, "SPLIT", group | _shares(-before, f"REMOVE, {words}")),
            _record(exchange, "SPLIT", group | _shares(whole, f"ADD, {words}")),
        ]
        in_lieu = in_cents((exact - whole) * exchange.prices[symbol])
        return records + ([book_cash(exchange, "CIL", in_lieu, symbol)] if in_lieu else [])


def split_unit(
    exchange: FakeExchange, unit: str, parts: dict[str, tuple[Decimal | str, Decimal | str]]
) -> list[Record]:
    """Part every unit into shares, warrants or rights: name, quantity per unit and price of each."""
    with exchange.lock:
        _cancel_orders(exchange, unit)
        exchange.untradable.add(unit)
        held = exchange.positions.pop(unit)
        group = _group(exchange) | {"activity_sub_type": "USPLIT"}
        records = [_record(exchange, "SPLIT", group | {"symbol": unit} | _shares(-held.quantity))]
        for name, (per_unit, price) in parts.items():
            exchange.prices[name] = Decimal(price)
            quantity = held.quantity * Decimal(per_unit)
            exchange.move(name, quantity, Decimal(price))
            shares = _shares(quantity) | {"price": number(Decimal(price))}
            records.append(_record(exchange, "SPLIT", group | {"symbol": name} | shares))
        return records


def spin_off(exchange: FakeExchange, symbol: str, child: str, ratio: Decimal | str, price: Decimal | str) -> Record:
    """Give ``ratio`` shares of a child per share held; the child trades at ``price``."""
    with exchange.lock:
        exchange.prices[child] = Decimal(price)
        quantity = (exchange.positions[symbol].quantity * Decimal(ratio)).quantize(Decimal(1), rounding=ROUND_DOWN)
        exchange.move(child, quantity, ZERO)
        return _record(exchange, "SPIN", _group(exchange) | {"symbol": child} | _shares(quantity))


def change_symbol(exchange: FakeExchange, old: str, new: str, is_grouped: bool = True) -> list[Record]:
    """Rename an instrument: its shares leave under the old name and arrive under the new one."""
    with exchange.lock:
        _cancel_orders(exchange, old)
        exchange.prices[new] = exchange.prices.pop(old)
        position = exchange.positions.pop(old)
        exchange.positions[new] = position
        group = (_group(exchange) if is_grouped else {}) | {"activity_sub_type": "SNC"}
        moves = ((old, -position.quantity), (new, position.quantity))
        return [_record(exchange, "NC", group | {"symbol": name} | _shares(quantity)) for name, quantity in moves]


def merge_for_cash(exchange: FakeExchange, symbol: str, price: Decimal | str) -> list[Record]:
    """Take all shares of an instrument for cash and end its listing."""
    with exchange.lock:
        quantity = _end(exchange, symbol)
        amount = quantity * Decimal(price)
        exchange.cash += amount
        group = _group(exchange) | {"activity_sub_type": "CMA", "symbol": symbol}
        paid = {"qty": "0", "net_amount": number(amount), "price": number(Decimal(price))}
        return [_record(exchange, "MA", group | paid), _record(exchange, "MA", group | _shares(-quantity))]


def merge_for_shares(
    exchange: FakeExchange, symbol: str, new: str, ratio: Decimal | str, cash: Decimal | str = "0"
) -> list[Record]:
    """Exchange every share for ``ratio`` shares of another instrument and, if any, an amount of cash per share."""
    with exchange.lock:
        cost = exchange.positions[symbol].cost
        quantity = _end(exchange, symbol)
        after = (quantity * Decimal(ratio)).quantize(Decimal("1e-9"), rounding=ROUND_DOWN)
        amount = quantity * Decimal(cash)
        exchange.cash += amount
        exchange.positions.setdefault(new, FakePosition())
        exchange.positions[new].quantity += after
        exchange.positions[new].cost += cost
        group = _group(exchange) | {"activity_sub_type": "SCMA" if amount else "SMA"}
        records = [_record(exchange, "MA", group | {"symbol": symbol} | _shares(-quantity))]
        if amount:
            paid = {"symbol": symbol, "qty": "0", "net_amount": number(amount)}
            records.append(_record(exchange, "MA", group | paid))
        return [*records, _record(exchange, "MA", group | {"symbol": new} | _shares(after))]


def remove_worthless(exchange: FakeExchange, symbol: str) -> Record:
    """Take shares that are worth nothing out of the account."""
    with exchange.lock:
        quantity = _end(exchange, symbol)
        facts = _group(exchange) | {"activity_sub_type": "WRM", "symbol": symbol} | _shares(-quantity)
        return _record(exchange, "REORG", facts)


def transfer_shares(
    exchange: FakeExchange, symbol: str, quantity: Decimal | str, price: Decimal | str = "", kind: str = "ACATS"
) -> Record:
    """Bring shares from another broker, or take them there (negative); ``price`` is what one of them cost."""
    with exchange.lock:
        exchange.move(symbol, Decimal(quantity), Decimal(price or 0))
        facts = {"symbol": symbol} | _shares(Decimal(quantity)) | ({"price": str(price)} if price else {})
        return _record(exchange, kind, facts)


def expire_option(exchange: FakeExchange, symbol: str) -> Record:
    """Let an option expire worthless."""
    with exchange.lock:
        quantity = exchange.positions.pop(symbol).quantity
        return _record(exchange, "OPEXP", {"symbol": symbol} | _shares(-quantity, "Option Expiry"))


def exercise_option(exchange: FakeExchange, symbol: str, underlying: str, strike: Decimal | str) -> list[Record]:
    """Exercise calls: the contracts leave, and a hundred shares each are bought at the strike."""
    with exchange.lock:
        contracts = exchange.positions.pop(symbol).quantity
        shares, price = contracts * 100, Decimal(strike)
        exchange.cash -= shares * price
        exchange.move(underlying, shares, price)
        bought = {"symbol": underlying, "price": number(price), "net_amount": number(-shares * price)}
        return [
            _record(exchange, "OPEXC", {"symbol": symbol} | _shares(-contracts, "Option Exercise")),
            _record(exchange, "OPTRD", _shares(shares, "Option Trade") | bought),
        ]


def trade_by_hand(
    exchange: FakeExchange, side: str, symbol: str, quantity: Decimal | str, price: Decimal | str
) -> Record:
    """Execute an order that the owner placed elsewhere; it may sell short, and buy options or coins."""
    with exchange.lock:
        exchange.prices.setdefault(symbol, Decimal(price))
        order = exchange.order_by_hand(side, symbol, Decimal(quantity))
        return exchange.fill(order, order.quantity, Decimal(price))


def cancel(exchange: FakeExchange, record: Record, names_it: bool = True) -> Record:
    """Take back a record that moved cash or shares: it never happened."""
    with exchange.lock:
        exchange.cash -= Decimal(record.get("net_amount") or 0)
        quantity = Decimal(record.get("qty") or 0)
        if quantity and _moves_shares(record):
            exchange.move(record["symbol"], -quantity, ZERO)
        facts = {name: value for name, value in record.items() if name not in ("id", "activity_type", "date")}
        facts |= {"status": "canceled"} | ({"previous_id": record["id"]} if names_it else {})
        return _record(exchange, record["activity_type"], facts, record["date"])


def correct_cash(exchange: FakeExchange, record: Record, amount: Decimal | str, after_cancel: bool = False) -> Record:
    """Replace the amount of a record; after it was taken back, the new amount stands alone."""
    with exchange.lock:
        before = ZERO if after_cancel else Decimal(record["net_amount"])
        exchange.cash += Decimal(amount) - before
        facts = {name: value for name, value in record.items() if name not in ("id", "activity_type", "date")}
        facts |= {"status": "correct", "previous_id": record["id"], "net_amount": number(Decimal(amount))}
        return _record(exchange, record["activity_type"], facts, record["date"])


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
            exchange.cash -= order.sign * change * at * exchange.multiplier(order.symbol)
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


def _shares(quantity: Decimal, description: str = "") -> Record:
    return {"qty": number(quantity), "net_amount": "0", "description": description}


def _group(exchange: FakeExchange) -> Record:
    return {"group_id": exchange.feed.new_uuid(), "ca_id": exchange.feed.new_uuid()}


def _end(exchange: FakeExchange, symbol: str) -> Decimal:
    """End the listing of an instrument; return what was held of it."""
    _cancel_orders(exchange, symbol)
    exchange.untradable.add(symbol)
    return exchange.positions.pop(symbol, FakePosition()).quantity


def _moves_shares(record: Record) -> bool:
    kind = record["activity_type"]
    return not kind.startswith("DIV") or record.get("activity_sub_type") == "SDIV"


def _cancel_orders(exchange: FakeExchange, symbol: str) -> None:
    for order in exchange.orders.values():
        if order.is_open and order.symbol == symbol:
            exchange.end(order, "canceled")


def _record(exchange: FakeExchange, kind: str, facts: Record, date: str = "") -> Record:
    day = date or f"{exchange.hours.date():%Y-%m-%d}"
    return exchange.feed.append(
        exchange.hours.now(), {"activity_type": kind, "date": day, "status": "executed"} | facts
    )
