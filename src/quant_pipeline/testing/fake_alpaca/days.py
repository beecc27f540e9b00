"""Days of the fake go by: opens and closes one after the other, with the splits and dividends of its tape."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

import pandas as pd

from quant_pipeline.market.price_adjustment import SPLIT
from quant_pipeline.testing.fake_alpaca import bookings
from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange


class Tape(Protocol):
    """What a day asks of a market; `quant_pipeline.testing.fake_alpaca.tape.MarketTape` is one."""

    def prices_at(self, session: pd.Timestamp, has_closed: bool) -> Mapping[str, Decimal]:
        """Return what every instrument costs at the open of a session, or at its close once it has closed."""
        ...

    def actions_of(self, session: pd.Timestamp) -> list[tuple[str, str, Decimal]]:
        """List instrument, kind and value of what takes effect at the open of a session."""
        ...


def advance(exchange: FakeExchange, tape: Tape, now: pd.Timestamp | str) -> None:
    """Move the clock on, through every open and close on the way.

    At an open, what is held is split and dividends are paid as the tape says; at a close, orders of the day end, and
    the equity is kept as ``last_equity`` of the day after.

    Parameters
    ----------
    exchange
        Whose clock.
    tape
        Prices and corporate actions.
    now
        Where the clock is to stop (UTC unless it carries a zone). An instant of the past only sets the clock.
    """
    at = pd.Timestamp(now)
    at = at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")
    with exchange.lock:
        for instant, session, is_open in exchange.hours.turns_until(at):
            if is_open:
                exchange.hours.set(instant)
                _apply_actions(exchange, tape, session)
            exchange.move_time(instant, tape.prices_at)
        exchange.move_time(at, tape.prices_at)


def _apply_actions(exchange: FakeExchange, tape: Tape, session: pd.Timestamp) -> None:
    for symbol, kind, value in tape.actions_of(session):
        if symbol not in exchange.positions:
            continue
        if kind == SPLIT:
            bookings.split(exchange, symbol, value)
        elif amount := bookings.in_cents(exchange.positions[symbol].quantity * value):
            bookings.book_cash(exchange, "DIV", amount, symbol)
