"""When orders of a session may be sent, and until when they can execute."""

from __future__ import annotations

import logging

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.trading.broker_records import BrokerClock, TimeInForce
from quant_pipeline.trading.execution_capability import AuctionOrders
from quant_pipeline.trading.orders.desk import TradingDesk

logger = logging.getLogger(__name__)

SENDING_MARGIN = pd.Timedelta(seconds=30)
"""How long before the cut-off of an auction, or before the close, the last order is sent."""

EXCHANGE_HOURS = "EXCHANGE_HOURS"
"""Code of the alert that the broker's hours differ from the calendar's."""

_CLOCKS_DIFFER = pd.Timedelta(minutes=1)

CLOSING_AUCTION = pd.Timedelta(minutes=15)
"""How long after the close the executions of the closing auction may arrive."""

FIRST_MINUTES = pd.Timedelta(minutes=30)
"""How long after the open day orders may be sent without a warning."""


def time_in_force_of(desk: TradingDesk) -> TimeInForce:
    """Return what orders are sent with: as configured; the sale of everything does not wait for an auction."""
    return TimeInForce.DAY if desk.journal.book.is_flattening else desk.rules.time_in_force


def window_of(desk: TradingDesk) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return between which instants orders of the session may be sent."""
    opens_at, closes_at = desk.calendar.hours(desk.session)
    auction, held_at = _auction_of(desk), auction_at(desk)
    if auction is not None and held_at is not None:
        return opens_at - auction.taken_before_open, held_at - auction.cutoff - SENDING_MARGIN
    # Also day orders need time: one that arrives after the bell executes in the next session.
    closes_at -= SENDING_MARGIN
    if desk.rules.waves == "sells_first":
        return opens_at, closes_at  # Before the open no sale executes that a buy could wait for.
    return desk.calendar.hours(desk.calendar.previous(desk.session))[1], closes_at


def auction_at(desk: TradingDesk) -> pd.Timestamp | None:
    """Return when the auction is held that executes the orders of the session; None when they wait for none."""
    auction = _auction_of(desk)
    if auction is None:
        return None
    opens_at, closes_at = desk.calendar.hours(desk.session)
    return opens_at if auction.auction == "open" else closes_at


def window_is_over(desk: TradingDesk) -> bool:
    """Return whether it is too late to send orders of the session."""
    return desk.now() >= window_of(desk)[1]


def hours_agree(desk: TradingDesk) -> bool:
    """Compare the hours of the session with those of the broker: an unscheduled or early close stops sending.

    The sale of everything goes by the calendar alone when the broker does not say its hours.
    """
    clock = desk.ask_clock()
    problem = None if clock is None else _hours_problem(desk, clock)
    if problem is not None:
        session = f"{desk.session:%Y-%m-%d}"
        desk.raise_alert(f"hours:{session}:{problem}", EXCHANGE_HOURS, f"nothing is sent on {session}: {problem}")
    return problem is None


def _hours_problem(desk: TradingDesk, clock: BrokerClock) -> str | None:
    opens_at, closes_at = desk.calendar.hours(desk.session)
    now = desk.now()
    if opens_at + _CLOCKS_DIFFER <= now < closes_at - _CLOCKS_DIFFER and not clock.is_open:
        return "the broker says that its market is closed"
    if clock.is_open and now < opens_at - _CLOCKS_DIFFER and clock.next_close > now + _CLOCKS_DIFFER:
        return f"the broker's market is open, the calendar says that it opens at {opens_at:%Y-%m-%d %H:%M} UTC"
    if not clock.is_open and abs(clock.next_open - opens_at) > _CLOCKS_DIFFER and now < opens_at + _CLOCKS_DIFFER:
        return f"the broker opens at {clock.next_open:%Y-%m-%d %H:%M}, the calendar says {opens_at:%Y-%m-%d %H:%M} UTC"
    if clock.is_open and now >= opens_at and abs(clock.next_close - closes_at) > _CLOCKS_DIFFER:
        return (
            f"the broker closes at {clock.next_close:%Y-%m-%d %H:%M}, the calendar says {closes_at:%Y-%m-%d %H:%M} UTC"
        )
    return None


def execution_is_over(desk: TradingDesk) -> bool:
    """Return whether no order of the session can execute any more.

    Auctions are held after the last order for them may be sent; what was sent is followed until then.
    """
    ends_at = desk.calendar.hours(desk.session)[1]
    if auction_at(desk) == ends_at:
        ends_at += CLOSING_AUCTION
    return desk.now() >= ends_at


def refuse_too_early(desk: TradingDesk) -> None:
    """Refuse to judge or to send before orders of the session may leave: verdicts of today are not those of then.

    Raises
    ------
    StaleDataError
        When it is too early.
    """
    opens = window_of(desk)[0]
    if desk.now() < opens:
        raise StaleDataError(
            f"orders of {desk.session:%Y-%m-%d} may be sent from {opens:%Y-%m-%d %H:%M} UTC on; nothing was recorded. "
            "To look before, add --params dry_run=true."
        )


def refuse_other_price(desk: TradingDesk) -> None:
    """Refuse orders that the broker would execute at another price than the configured one.

    The sale of everything passes: it is an emergency, and at no price of a strategy.

    Raises
    ------
    ConfigurationError
        When broker, price and kind of order do not fit together, or the plan was made for another price.
    """
    if desk.journal.book.is_flattening:
        return
    desk.broker.capability.require(desk.deal_price, desk.rules.time_in_force)
    plan = desk.journal.account.plans.get(desk.session)
    if plan is not None and plan.deal_price not in (None, desk.deal_price):
        raise ConfigurationError(
            f"the orders for {desk.session:%Y-%m-%d} were decided to execute at the {plan.deal_price}, but "
            f"market_rules.deal_price is {desk.deal_price} now. Set it back, or plan the session again: "
            "`kedro run --pipelines order_generation` of this environment."
        )


def warn_of_late_orders(desk: TradingDesk) -> None:
    """Report that day orders for the open leave long after it; auction orders cannot."""
    opens_at = desk.calendar.hours(desk.session)[0]
    late = desk.now() - opens_at
    if desk.deal_price == "open" and time_in_force_of(desk) is TimeInForce.DAY and late > FIRST_MINUTES:
        logger.warning(
            "orders of %s leave %d minutes after the open, and execute at the prices of now; labels and backtests "
            "execute at the open",
            f"{desk.session:%Y-%m-%d}",
            late.total_seconds() // 60,
        )


def _auction_of(desk: TradingDesk) -> AuctionOrders | None:
    return desk.broker.capability.auctions.get(time_in_force_of(desk))
