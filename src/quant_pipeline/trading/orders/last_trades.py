"""Prices of now: what orders are compared with while the exchange is open, where the limits demand it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import partial
from math import inf

from quant_pipeline.trading.broker_records import LastTrade
from quant_pipeline.trading.ledger.events import Order
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.risk import check_price
from quant_pipeline.trading.orders.risk_view import InstrumentView, Verdict


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
        The market as it was while the exchange is closed, where closes are good enough for the limits, and when a
        person has ordered to sell everything: such a sale is sent however far prices have moved. An instrument that
        has not been traded in this session keeps its close, with an age that no limit lets pass.

    Raises
    ------
    BrokerError
        When the trades cannot be asked for.
    """
    wanted = sorted(set(instruments) & set(market))
    opens_at, closes_at = desk.calendar.hours(desk.session)
    is_asked = desk.limits.max_trade_age_seconds is not None and not desk.journal.book.is_flattening
    if not (wanted and is_asked and opens_at <= desk.now() < closes_at):
        return market
    trades = desk.ask(partial(desk.broker.last_trades, wanted))

    def now(known: InstrumentView, trade: LastTrade | None) -> InstrumentView:
        if trade is None or trade.at < opens_at:
            return known._replace(trade_age=inf)
        return known._replace(price=trade.price, trade_age=max(0.0, (desk.now() - trade.at).total_seconds()))

    return {**market, **{name: now(market[name], trades.get(name)) for name in wanted}}


def check_last_trade(desk: TradingDesk, order: Order) -> Verdict:
    """Compare an order with the last trade, just before it leaves.

    Returns
    -------
    Verdict
        ``STALE_DATA`` where there is no trade that is new enough: the next look may find one.

    Raises
    ------
    BrokerError
        When the trade cannot be asked for.
    """
    approved = InstrumentView(Decimal(order.reference_price), 0, Decimal(0), "", True, True)
    market = at_last_trades(desk, {order.instrument: approved}, [order.instrument])
    return check_price(order, market[order.instrument], desk.limits)
