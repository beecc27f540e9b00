"""Prices of now: what orders are compared with while the exchange is open.

A split that works from this session on, or any other jump, shows here and nowhere else: a price decided on the close
would buy five times the value after a reverse split. Where the limits name the age of a trade, an order waits for one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from math import inf

import pandas as pd

from quant_pipeline.trading.broker_records import LastTrade
from quant_pipeline.trading.ledger.events import Order
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.risk import check_price
from quant_pipeline.trading.orders.risk_view import DenialCode, InstrumentView, Verdict
from quant_pipeline.trading.ports import BrokerError

logger = logging.getLogger(__name__)

FRESH = pd.Timedelta(seconds=10)
"""A trade of the stream that is older is asked for again: the stream may be mute."""


def at_last_trades(
    desk: TradingDesk, market: Mapping[str, InstrumentView], instruments: Iterable[str]
) -> Mapping[str, InstrumentView]:
    """Put the last trade of the running session in the place of the last close.

    Parameters
    ----------
    desk
        The desk.
    market
        What was known at the close.
    instruments
        Whose trades to ask for; the others keep their closes.

    Returns
    -------
    mapping
        The market as it was while the exchange is closed, and when the operator has ordered to sell everything: such
        a sale is sent however far prices have moved. An instrument that has not been traded in this session keeps its
        close; where the limits demand a trade, with an age that none of them lets pass.

    Raises
    ------
    BrokerError
        When the trades cannot be asked for and the limits demand them.
    """
    wanted = sorted(set(instruments) & set(market))
    opens_at, closes_at = desk.calendar.hours(desk.session)
    is_needed = desk.limits.max_trade_age_seconds is not None
    if not wanted or desk.journal.book.is_flattening or not opens_at <= desk.now() < closes_at:
        return market
    streamed = _streamed(desk, wanted, opens_at)
    try:
        question = partial(desk.broker.last_trades, [name for name in wanted if name not in streamed])
        asked = {} if len(streamed) == len(wanted) else desk.ask(question) if is_needed else question()
    except BrokerError as error:
        if is_needed:
            raise
        logger.warning("no last trade is known, closes take their place: %s", error.message)
        return market

    def now(known: InstrumentView, trade: LastTrade | None) -> InstrumentView:
        if trade is None or trade.at < opens_at:
            return known._replace(trade_age=inf) if is_needed else known
        return known._replace(price=trade.price, trade_age=max(0.0, (desk.now() - trade.at).total_seconds()))

    trades = {**asked, **streamed}
    return {**market, **{name: now(market[name], trades.get(name)) for name in wanted}}


def _streamed(desk: TradingDesk, wanted: Iterable[str], opens_at: pd.Timestamp) -> dict[str, LastTrade]:
    """Return the trades of the stream that are so new that the broker need not be asked for them."""
    oldest, known = max(opens_at, desk.now() - FRESH), desk.streamed().trades
    return {name: known[name] for name in wanted if name in known and oldest <= known[name].at <= desk.now()}


def check_last_trade(desk: TradingDesk, order: Order) -> Verdict:
    """Compare an order with the last trade, just before it leaves.

    Returns
    -------
    Verdict
        ``STALE_DATA`` where there is no trade that is new enough, or the exchange has halted the instrument: the next
        look may find one.

    Raises
    ------
    BrokerError
        When the trade cannot be asked for.
    """
    reason = None if desk.journal.book.is_flattening else desk.streamed().halted.get(order.instrument)
    if reason is not None:
        return Verdict(order, DenialCode.STALE_DATA, f"halted: {reason}", "it has to trade")
    approved = InstrumentView(Decimal(order.reference_price), 0, Decimal(0), "", True, True)
    known = at_last_trades(desk, {order.instrument: approved}, [order.instrument])[order.instrument]
    verdict = check_price(order, known, desk.limits)
    return verdict if known is approved else replace(verdict, last_trade=known.price)
