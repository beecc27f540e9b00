"""The trading desk: an account's journal, broker, limits and clock in one place; alerts, arming, halts by a limit."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.retrying import Patience
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.market.currencies import currency_of
from quant_pipeline.trading.activities.booked import alert
from quant_pipeline.trading.broker_records import BrokerAccount, BrokerClock
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.market_snapshot import MarketSnapshot
from quant_pipeline.trading.orders.account_orders import AccountOrders, TrackedOrder
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.journal import Journal
from quant_pipeline.trading.orders.kill_switch import KillSwitch
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.ports import (
    Broker,
    BrokerError,
    BrokerUnavailableError,
    OrderNotCancelableError,
    RateLimitedError,
    UnknownOrderError,
)

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
_STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
_CLOSED_SIDES: dict[TradingState, tuple[str, ...]] = {
    TradingState.ACTIVE: (),
    TradingState.REDUCING: ("buy",),
    TradingState.HALTED: ("buy", "sell"),
}


@dataclass
class TradingDesk:
    """Everything that sending and collecting needs.

    Attributes
    ----------
    account
        Name of the account; orders of ours begin with it.
    session
        Session in which the orders at hand execute.
    journal, broker
        The ledger and the broker.
    kill_switch, limits, rules, calendar
        What may stop it, what it may send, how it sends it, and the sessions of the exchange.
    deal_price
        Price of the session at which orders have to execute: ``market_rules.deal_price``.
    now, sleep
        Clock (UTC) and pause.
    missing
        How many polls a fill of an order has been missing in the activities.
    sent
        When orders left within the last minute.
    held_back
        Orders that wait for a trade of their instrument to be compared with, and why, by their names.
    pause
        Waits for fills at most so many seconds and returns how many it did; None sleeps. What a broker demands, or
        what follows a failure, is slept instead: nothing may cut that short.
    streamed
        Reads what a stream of market data has said last; nothing where no process listens.
    """

    account: str
    session: pd.Timestamp
    journal: Journal
    broker: Broker
    kill_switch: KillSwitch
    limits: RiskLimits
    rules: ExecutionRules
    calendar: TradingCalendar
    deal_price: DealPrice
    now: Callable[[], pd.Timestamp]
    sleep: Callable[[float], None]
    missing: dict[str, int] = field(default_factory=dict)
    sent: deque[pd.Timestamp] = field(default_factory=deque)
    held_back: dict[str, str] = field(default_factory=dict)
    pause: Callable[[float], float] | None = None
    streamed: Callable[[], MarketSnapshot] = MarketSnapshot

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Put a question that changes nothing, again when the broker is busy or away.

        Raises
        ------
        BrokerUnavailableError, RateLimitedError
            When it stays so; running again later continues where this run stopped.
        """
        errors = (RateLimitedError, BrokerUnavailableError)
        return Patience(self.rules.max_attempts, errors, self.rules.poll_seconds, self.sleep).ask(question)

    def check_account(self) -> BrokerAccount:
        """Ask for the account and make sure that it is the right one.

        Raises
        ------
        ConfigurationError
            When the keys open another account than the configured one, or one in another currency than the market's.
        """
        account = self.ask(self.broker.account)
        pinned, currency = self.rules.account_number, currency_of(self.calendar.name)
        if currency not in (None, account.currency) and not self.journal.book.is_flattening:
            raise ConfigurationError(
                f"the broker keeps the account of '{self.account}' in {account.currency}, but the market "
                f"{self.calendar.name} is in {currency}. Nothing was sent; correct the keys or market_rules.calendar."
            )
        if pinned is not None and account.account_number != pinned:
            raise ConfigurationError(
                f"the keys of '{self.account}' open account {account.account_number}, but execution.account_number "
                f"pins {pinned}. Nothing was sent; correct the keys or the pin."
            )
        return account

    def ask_clock(self) -> BrokerClock | None:
        """Ask for the broker's clock; None while everything is sold, which does not wait for it.

        Raises
        ------
        BrokerUnavailableError
            When the broker does not say it otherwise.
        """
        if not self.journal.book.is_flattening:
            return self.ask(self.broker.clock)
        try:
            return self.broker.clock()
        except (BrokerUnavailableError, RateLimitedError):
            return None

    def is_armed(self, account_number: str) -> bool:
        """Return whether the account may send in this session."""
        if not self.rules.needs_arming:
            return True
        pinned = self.rules.account_number
        return pinned == account_number and self.journal.book.armed.get(self.session) == pinned

    @property
    def was_disarmed(self) -> bool:
        """Whether a pinned account that needs arming may not send in this session, or no more."""
        pinned = self.rules.account_number
        return pinned is not None and not self.is_armed(pinned)

    def tighten(self, state: TradingState, code: str, message: str) -> None:
        """Change to a stricter trading state and cancel what it forbids; only the operator relaxes it."""
        # The operator's halt numbers the changes of state too.
        self.journal.catch_up()
        book = self.journal.book
        if _STRICTNESS[state] <= _STRICTNESS[book.trading_state]:
            return
        logger.error("%s is now %s: %s (%s)", self.account, state, message, code)
        self.journal.append([trading_state_event(self.session, book.state_changes, state, code, message)])
        self.cancel_closed_sides()

    def cancel_closed_sides(self) -> None:
        """Ask the broker to cancel what the trading state lets through no more: buys, or everything."""
        self.cancel_own_orders(_CLOSED_SIDES[self.journal.book.trading_state])

    def cancel_own_orders(self, sides: Sequence[str] = ("buy", "sell")) -> tuple[str, ...]:
        """Ask the broker to cancel every order of ours that may be open, and what has replaced it; this always passes.

        Returns
        -------
        tuple of str
            Names of the orders that may still be open, because their cancellation failed.
        """
        failed = self.cancel([order for order in self.journal.book.unfinished if order.order.side in sides])
        return failed + self._cancel_replacements(sides) if set(sides) == {"buy", "sell"} else failed

    def cancel(self, orders: Sequence[TrackedOrder]) -> tuple[str, ...]:
        """Ask the broker to cancel orders, and return the names of those that may still be open."""
        failed = []
        for order in orders:
            order_id = order.order.client_order_id
            facts = {"client_order_id": order_id}
            key = f"cancel:{order_id}"
            self.journal.append([Event(order.session, EventKind.ORDER_CANCEL_REQUESTED, key, facts)])
            if not self._has_cancelled(order_id):
                failed.append(order_id)
        return tuple(failed)

    def _has_cancelled(self, order_id: str) -> bool:
        try:
            self.broker.cancel(order_id)
        except (UnknownOrderError, OrderNotCancelableError) as error:
            logger.info("%s needs no cancellation: %s", order_id, error.message)
        except BrokerError as error:
            logger.warning("%s may still be open: %s", order_id, error.message)
            return False
        return True

    def _cancel_replacements(self, sides: Sequence[str]) -> tuple[str, ...]:
        """Cancel what was put in the place of orders of ours at the broker's own page."""
        ours = set(self.journal.book.by_broker_id)
        if not ours:
            return ()
        try:
            since = self.calendar.hours(self.calendar.previous(self.session))[0]
            known = self.broker.orders(since)
        except BrokerError as error:
            logger.warning("orders that have replaced others may still be open: %s", error.message)
            return ("what has replaced them",)
        failed = []
        for order in sorted(known, key=lambda order: order.submitted_at):
            if order.replaces not in ours:
                continue
            ours.add(order.broker_order_id)
            if not order.status.is_final and order.side in sides and not self._has_cancelled(order.client_order_id):
                failed.append(order.client_order_id)
        return tuple(failed)

    def raise_alert(self, key: str, code: str, message: str) -> None:
        """Record once that the operator must look at something."""
        if self.journal.append([alert(self.session, key, code, message)]):
            logger.warning("%s: %s (%s)", self.account, message, code)

    def session_of(self, date: pd.Timestamp) -> pd.Timestamp:
        """Return the first session on or after a date."""
        day = pd.Timestamp(date).normalize()
        return day if self.calendar.is_session(day) else self.calendar.next(self.calendar.latest_on_or_before(day))


def trading_state_event(
    session: pd.Timestamp, changes_so_far: int, state: TradingState, code: str, message: str
) -> Event:
    """Make the event of the next change of the trading state."""
    facts = {"state": str(state), "code": code, "message": message}
    return Event(session, EventKind.TRADING_STATE_CHANGED, f"trading_state:{changes_so_far + 1}", facts)


def reducing_event(events: Sequence[Event], new: Sequence[Event]) -> tuple[Event, ...]:
    """Let only exits through because of new rows in quarantine; nothing without one, or when not active anyway."""
    rows = [event for event in new if event.kind is EventKind.ACTIVITY_QUARANTINED]
    book = AccountOrders.of((*events, *new)) if rows else None
    if book is None or book.trading_state is not TradingState.ACTIVE:
        return ()
    words = f"{rows[0].payload['sort']} {rows[0].payload['activity_id']} is in quarantine: {rows[0].payload['problem']}"
    return (trading_state_event(new[-1].session, book.state_changes, TradingState.REDUCING, "QUARANTINE", words),)


def arming_event(session: pd.Timestamp, account_number: str, changes_so_far: int = 0) -> Event:
    """Make the event that lets a real account send in one session; it may be armed again after it was disarmed."""
    facts = {"session": f"{session:%Y-%m-%d}", "account_number": account_number}
    again = f":{changes_so_far}" if changes_so_far else ""
    return Event(session, EventKind.ACCOUNT_ARMED, f"armed:{session:%Y-%m-%d}:{account_number}{again}", facts)


def disarming_event(session: pd.Timestamp, changes_so_far: int) -> Event:
    """Make the event that takes the leave to send in a session back."""
    facts = {"session": f"{session:%Y-%m-%d}"}
    return Event(session, EventKind.ACCOUNT_DISARMED, f"disarmed:{session:%Y-%m-%d}:{changes_so_far}", facts)
