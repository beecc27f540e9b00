"""Protection while a session goes on: losses are looked at, and holdings that have touched a stop are sold whole.

The levels are those of the backtest's protective rules on bars, and the sales take the way of every order: plan,
limits, final check, broker, ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pandas as pd

from quant_pipeline.backtest.event_engine.orders import BarPrices
from quant_pipeline.backtest.event_engine.protective_rules import ProtectedHolding, ProtectiveRules
from quant_pipeline.trading.ledger.lots import Position
from quant_pipeline.trading.orders.collection import collect
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.execution import Market, judge, verdict_events, wait_for
from quant_pipeline.trading.orders.halt_checks import watch
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.reconciliation import open_books, reconcile
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.orders.sending import send_side
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.orders.stop_rules import STOPPED

TICKS = 10_000
"""Ticks of one unit of money: prices of brokers have four places."""
COLUMNS = ["instrument", "side", "quantity", "reference_price", "reason"]


def touched_stops(
    rules: ProtectiveRules, positions: Mapping[str, Position], highest: Mapping[str, float], bars: pd.DataFrame
) -> dict[str, str]:
    """Return which holdings have touched a level, and why.

    Parameters
    ----------
    rules
        The levels.
    positions
        Holdings; of one that was bought in this session nothing is known before its first close.
    highest
        By instrument, the highest price of earlier sessions since the purchase.
    bars
        ``instrument``, ``open``, ``high``, ``low``, ``close`` of the session so far.

    Returns
    -------
    dict of str
        Reason by instrument.
    """
    found: dict[str, str] = {}
    if not rules.is_active:
        return found
    for row in bars.itertuples(index=False):
        position = positions.get(row.instrument)
        if position is None or position.quantity <= 0 or row.instrument not in highest:
            continue
        cost = float(position.cost / position.quantity)
        holding = ProtectedHolding(cost * TICKS, highest[row.instrument] * TICKS)
        prices = BarPrices(*(round(price * TICKS) for price in (row.open, row.high, row.low, row.close)))
        sale = holding.sale_in(prices, rules)
        if sale is not None:
            found[row.instrument] = f"{STOPPED}{sale.reason} at {sale.price / TICKS:.2f}, its cost is {cost:.2f}"
    return found


def at_session_prices(market: Market, bars: pd.DataFrame, price_collar: float) -> Market:
    """Put the newest price of the session in the place of the last close, which a stop sale may be far away from.

    A price that falls while the session goes on is the reason for a stop, and must not keep its sale from the limits'
    price collar. A session that opens outside of the collar keeps the close: a split that is not booked yet looks like
    that, and the sale is then denied and left to the operator.

    Parameters
    ----------
    market
        What was known of each instrument at the close.
    bars
        ``instrument``, ``open``, ``close`` of the session so far.
    price_collar
        See `quant_pipeline.trading.orders.risk_limits.RiskLimits`.
    """
    priced = dict(market)
    for row in bars.itertuples(index=False):
        known = market.get(row.instrument)
        if known is not None and abs(row.open - float(known.price)) <= price_collar * float(known.price):
            priced[row.instrument] = known._replace(price=Decimal(str(row.close)))
    return priced


def protect(desk: TradingDesk, market: Market, stops: Mapping[str, str]) -> tuple[str, ...]:
    """Look at the losses of the moment, and sell whole what a stop sells.

    Parameters
    ----------
    desk
        The desk of the session that goes on; it holds the lease.
    market
        What is known of each instrument now; see `at_session_prices`.
    stops
        Reason by instrument.

    Returns
    -------
    tuple of str
        Instruments whose sale has left. While orders of the session are under way, or the account is
        halted, nothing is.
    """
    open_books(desk)
    reconcile(desk)
    if watch(desk) is TradingState.HALTED:
        return ()
    collect(desk)
    book = desk.journal.book
    if book.unfinished or book.of_session(desk.session, OrderState.INTENDED):
        return ()
    available = {held.instrument: held.available for held in desk.ask(desk.broker.positions) if not held.is_foreign}
    done = {order.order.instrument for order in book.of_session(desk.session) if order.order.reason.startswith(STOPPED)}
    rows = [
        (name, "sell", available[name] // 1, market[name].price, reason)
        for name, reason in sorted(stops.items())
        if name in market and name not in done and available.get(name, 0) >= 1
    ]
    if not rows:
        return ()
    orders = pd.DataFrame(rows, columns=COLUMNS)
    decided, source = desk.calendar.previous(desk.session), {"scores": "none, a stop of the session"}
    events = desk.journal.ledger.events()
    desk.journal.append(record_plan(events, orders, decided, desk.session, source, replaces_sent=True))
    provenance = {**source, "data": "bars of the session", "limits": desk.limits.fingerprint}
    desk.journal.append(verdict_events(judge(desk, market, 0), f"{desk.session:%Y-%m-%d}", provenance))
    send_side(desk, "sell")
    wait_for(desk, "sell", desk.rules.wait_for_sales_seconds)
    reconcile(desk)
    sent = [
        o for o in desk.journal.book.of_session(desk.session) if o.order.reason in stops.values() and o.submitted_at
    ]
    return tuple(sorted({order.order.instrument for order in sent}))
