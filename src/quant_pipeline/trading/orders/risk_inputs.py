"""Fill the view of the risk check from the broker, the book of orders and the table of instruments."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.activities.corporate import INCOMPLETE
from quant_pipeline.trading.activities.quarantine import waiting_parts
from quant_pipeline.trading.broker_records import BrokerAccount, BrokerOrder
from quant_pipeline.trading.orders.account_orders import AccountOrders, TrackedOrder
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.halt_checks import standing_of
from quant_pipeline.trading.orders.last_trades import at_last_trades
from quant_pipeline.trading.orders.risk_view import InstrumentView, RiskView
from quant_pipeline.trading.orders.states import OrderState
from quant_pipeline.trading.ports import BrokerError

logger = logging.getLogger(__name__)

_EQUITY_OF_DAY_TRADERS = Decimal(25_000)
"""In USD; FINRA rule 4210 (f) (8) (B)."""


def view_of_account(desk: TradingDesk, market: Mapping[str, InstrumentView], signal_age: int) -> RiskView:
    """Look at the account as the broker states it now.

    Parameters
    ----------
    desk
        The desk.
    market
        What is known of each instrument since the close; see `instrument_views`.
    signal_age
        Sessions between the scores and the session of the decision.
    """
    account = desk.check_account()
    clock = desk.ask_clock()
    book, plan = desk.journal.book, desk.journal.account.plans.get(desk.session)
    own = book.of_session(desk.session)
    sent = [order for order in own if _has_left(order)]
    # Buys at the broker count as if they had been filled: their cash is taken and their shares are held.
    stated = desk.ask(desk.broker.positions)
    positions = {held.instrument: held.quantity for held in stated}
    cash = account.cash
    for tracked in book.unfinished:
        if tracked.order.side == "buy":
            rest = tracked.quantity - tracked.filled
            positions[tracked.order.instrument] = positions.get(tracked.order.instrument, Decimal(0)) + rest
            cash -= rest * Decimal(tracked.order.reference_price)
    planned = () if plan is None else (order.instrument for order in plan.orders)
    return RiskView(
        **vars(standing_of(desk, account)),
        session=desk.session,
        armed=desk.is_armed(account.account_number),
        clock_skew_seconds=math.nan if clock is None else abs((desk.now() - clock.now).total_seconds()),
        signal_age=signal_age,
        cash=_spendable(desk, account, cash),
        positions=positions,
        market_values={held.instrument: held.market_value for held in stated},
        foreign=frozenset(held.instrument for held in stated if held.is_foreign),
        converting=frozenset(part.instrument for part in waiting_parts(desk.journal.account, INCOMPLETE)),
        bought_today=frozenset(o.order.instrument for o in own if o.order.side == "buy" and o.filled),
        day_trades=_binding_day_trades(account),
        instruments=_as_of_now(desk, market, {*positions, *planned}),
        live_orders=_live_orders(book, desk, desk.ask(desk.broker.open_orders)),
        ended_orders=frozenset(order.order.client_order_id for order in sent if order.state.is_final),
        orders_sent=len(sent),
        value_sent=sum((o.quantity * Decimal(o.order.reference_price) for o in sent), Decimal(0)),
    )


def _spendable(desk: TradingDesk, account: BrokerAccount, cash: Decimal) -> Decimal:
    """Return the cash that buys may spend: no more than the broker lets, nor than what is settled where that counts."""
    allowed = [cash, account.buying_power]
    may_spend_unsettled = desk.limits.spend_unsettled
    if may_spend_unsettled is None:
        may_spend_unsettled = account.is_on_margin
    if not may_spend_unsettled and account.settled_cash is not None:
        allowed.append(account.settled_cash)
    return min(allowed)


def _binding_day_trades(account: BrokerAccount) -> int | None:
    is_bound = account.is_on_margin and account.equity < _EQUITY_OF_DAY_TRADERS
    return account.day_trades if is_bound else None


def instrument_views(table: pd.DataFrame) -> dict[str, InstrumentView]:
    """Read the table of instruments: prices and volumes become exact decimals.

    Parameters
    ----------
    table
        ``instrument``, ``price``, ``price_age``, ``average_volume``, ``sector``, ``tradable``, ``member``.
    """
    return {
        row.instrument: InstrumentView(
            Decimal(str(row.price)),
            int(row.price_age),
            Decimal(str(row.average_volume)),
            row.sector,
            bool(row.tradable),
            bool(row.member),
        )
        for row in table.itertuples(index=False)
    }


def _as_of_now(
    desk: TradingDesk, market: Mapping[str, InstrumentView], instruments: Iterable[str]
) -> Mapping[str, InstrumentView]:
    try:
        return at_last_trades(desk, market, instruments)
    except BrokerError as error:
        # Each order is compared with its last trade before it leaves, and until then it does not leave.
        logger.warning("orders are judged by the last closes, no last trade is known: %s", error.message)
        return market


def _has_left(tracked: TrackedOrder) -> bool:
    """Return whether the broker may have seen the order: it was sent, or is known there after a ledger was restored."""
    return bool(tracked.submitted_at or tracked.broker_order_id)


def _live_orders(
    book: AccountOrders, desk: TradingDesk, at_broker: tuple[BrokerOrder, ...]
) -> dict[str, frozenset[tuple[str, str]]]:
    """Orders that would be doubled or crossed: those of the session that left, and whatever is open at the broker."""
    live: dict[str, set[tuple[str, str]]] = {}
    for tracked in book.of_session(desk.session):
        if _has_left(tracked) and tracked.state is not OrderState.REJECTED:
            live.setdefault(tracked.order.instrument, set()).add((tracked.order.side, tracked.order.client_order_id))
    for known in at_broker:
        live.setdefault(known.instrument, set()).add((known.side, known.client_order_id))
    return {instrument: frozenset(orders) for instrument, orders in live.items()}
