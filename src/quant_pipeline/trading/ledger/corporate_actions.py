"""Book corporate actions to lots and cash; the amounts come from the broker, a statement or the simulated exchange.

Shares that come out of other shares keep the session in which those were bought, and take over a part of their cost;
nothing is gained or lost before money is received. Money received in a merger first gives back the cost of the shares
that stay and is profit only beyond it; a jurisdiction may tax it otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.events import TICK, Event
from quant_pipeline.trading.ledger.lots import SHARE_STEP, Position

if TYPE_CHECKING:
    from quant_pipeline.trading.ledger.books import Books


def split(books: Books, event: Event) -> None:
    """Scale the shares of a split or stock dividend to ``quantity_after``, or by ``quantity_change``.

    ``amount`` is paid for the fraction that is no whole share any more.
    """
    instrument, position = _held(books, event)
    if "quantity_after" in event.payload:
        after = Decimal(event.payload["quantity_after"])
    else:
        after = position.quantity + Decimal(event.payload["quantity_change"])
    received = Decimal(event.payload.get("amount", "0"))
    if after < 0:
        raise AccountError(f"{event.key} leaves {after} shares of {instrument}; an event before it is missing")
    if after == 0:
        lots = books.take(event, instrument, position.quantity)
        books.close(event, instrument, lots, received, "split")
        return
    position.scale(after)
    books.cash += received
    books.realised += received


def pay_dividend(books: Books, event: Event) -> None:
    """Receive a cash dividend."""
    amount = Decimal(event.payload["amount"])
    books.cash += amount
    books.dividends += amount


def delist(books: Books, event: Event) -> None:
    """Turn all shares, or ``quantity`` of them, into the cash they are paid out with."""
    instrument, position = _held(books, event)
    lots = books.take(event, instrument, Decimal(event.payload.get("quantity", position.quantity)))
    books.close(event, instrument, lots, Decimal(event.payload["amount"]), "delisting")


def return_capital(books: Books, event: Event) -> None:
    """Receive back a part of what shares have cost; what exceeds the cost, or comes after the sale, is profit."""
    amount, position = Decimal(event.payload["amount"]), books.positions.get(event.payload["instrument"])
    returned = TICK * 0 if position is None else min(amount, position.cost)
    if position is not None and returned:
        position.give_cost(returned)
    books.cash += amount
    books.realised += amount - returned


def spin_off(books: Books, event: Event) -> None:
    """Receive shares of a new company: every lot gives ``cost_fraction`` of its cost to a lot of the new shares."""
    _, parent = _held(books, event)
    child, quantity = event.payload["new_instrument"], Decimal(event.payload["quantity"])
    fraction = Decimal(event.payload["cost_fraction"])
    if not 0 <= fraction < 1 or quantity <= 0:
        raise AccountError(f"{event.key} needs a positive quantity and a cost_fraction from 0 to below 1")
    held, new_lots = parent.quantity, []
    costs = parent.give_cost((parent.cost * fraction).quantize(TICK))
    left = quantity
    for index, (lot, cost) in enumerate(zip(parent.lots, costs, strict=True)):
        last = index == len(parent.lots) - 1
        part = left if last else (quantity * lot.quantity / held).quantize(SHARE_STEP)
        left -= part
        new_lots.append(replace(lot, quantity=part, cost=cost))
    books.receive(child, new_lots)
    received = Decimal(event.payload.get("amount", "0"))
    books.cash += received
    books.realised += received


def merge(books: Books, event: Event) -> None:
    """Exchange all shares, or ``quantity``, for ``quantity_after`` of ``new_instrument`` and ``amount`` of cash."""
    instrument, position = _leaving(books, event)
    after, received = Decimal(event.payload.get("quantity_after", "0")), Decimal(event.payload.get("amount", "0"))
    if after == 0:
        books.close(event, instrument, position.lots, received, "merger")
        return
    returned = min(received, position.cost)
    if returned > 0:
        position.give_cost(returned)
    position.scale(after)
    books.cash += received
    books.realised += received - returned
    _move(books, event.payload["new_instrument"], position)


def change_symbol(books: Books, event: Event) -> None:
    """Carry the lots, or ``quantity`` shares of them, over to the new name."""
    _, position = _leaving(books, event)
    _move(books, event.payload["new_instrument"], position)


def pay_in_lieu(books: Books, event: Event) -> None:
    """Receive cash for a fraction of a share, which leaves the account when ``quantity`` says how large it was."""
    quantity, received = Decimal(event.payload.get("quantity", "0")), Decimal(event.payload["amount"])
    if quantity > 0:
        lots = books.take(event, event.payload["instrument"], quantity)
        books.close(event, event.payload["instrument"], lots, received, "cash in lieu")
    else:
        books.cash += received
        books.realised += received


def _held(books: Books, event: Event) -> tuple[str, Position]:
    instrument = event.payload["instrument"]
    if instrument not in books.positions:
        raise AccountError(f"{event.key} is about {instrument}, which is not held; an event before it is missing")
    return instrument, books.positions[instrument]


def _leaving(books: Books, event: Event) -> tuple[str, Position]:
    """Take the shares that leave under their name out of the books."""
    instrument, position = _held(books, event)
    sessions = position.sessions_held
    lots = books.take(event, instrument, Decimal(event.payload.get("quantity", position.quantity)))
    return instrument, Position(lots, sessions_held=sessions)


def _move(books: Books, instrument: str, position: Position) -> None:
    known = books.positions.get(instrument)
    books.receive(instrument, position.lots)
    sessions = position.sessions_held if known is None else max(position.sessions_held, known.sessions_held)
    books.positions[instrument].sessions_held = sessions
