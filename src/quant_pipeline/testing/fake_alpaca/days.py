"""Days of the fake go by: opens and closes one after the other, with the splits and dividends of its tape."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.market.price_adjustment import SPLIT
from quant_pipeline.testing.fake_alpaca import bookings
from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.tape import MarketTape


def advance(exchange: FakeExchange, tape: MarketTape, now: pd.Timestamp | str) -> None:
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


def _apply_actions(exchange: FakeExchange, tape: MarketTape, session: pd.Timestamp) -> None:
    for symbol, kind, value in tape.actions_of(session):
        if symbol not in exchange.positions:
            continue
        if kind == SPLIT:
            bookings.split(exchange, symbol, value)
        elif amount := bookings.in_cents(exchange.positions[symbol].quantity * value):
            bookings.book_cash(exchange, "DIV", amount, symbol)
