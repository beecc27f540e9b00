"""What a session asks for, and between which instants: computed from the calendar of the exchange, not by timers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, Protocol

import pandas as pd

from quant_pipeline.live.parameters import LiveParameters
from quant_pipeline.trading.execution_capability import AuctionOrders
from quant_pipeline.trading.orders.windows import SENDING_MARGIN

KEPT = 64
"""Sessions whose tasks are kept: the loop asks for the same few every second."""


class TaskKind(StrEnum):
    """What can be due."""

    DRY_RUN = "dry_run"
    EXECUTION = "execution"
    RECONCILIATION = "reconciliation"
    DAILY = "daily"
    CHECK = "check"
    BACKUP = "backup"


class ExchangeSessions(Protocol):
    """What a timetable asks of `quant_pipeline.market.calendar.TradingCalendar`."""

    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
        """Sessions from ``start`` to ``end``, both included."""
        ...

    def hours(self, session: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Return when a session opens and closes, in UTC."""
        ...

    def previous(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        """Return the n-th session before a session."""
        ...

    def next(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        """Return the n-th session after a session."""
        ...

    def latest_on_or_before(self, date: pd.Timestamp) -> pd.Timestamp:
        """Return the last session that is not after a date."""
        ...


@dataclass(frozen=True)
class Task:
    """Something that is done once for a session.

    Attributes
    ----------
    kind, session
        What, and the session that it belongs to: the one that has closed; for execution and its dry run the one in
        which the orders execute.
    opens
        From when on it is due, in UTC.
    closes
        When it is too late for it, so that it is missed; None when it is done late instead.
    needs
        Name of the task without which it has nothing to do.
    """

    kind: TaskKind
    session: pd.Timestamp
    opens: pd.Timestamp
    closes: pd.Timestamp | None = None
    needs: str = ""

    @cached_property
    def name(self) -> str:
        """Name by which the journal knows it."""
        return name_of(self.kind, self.session)

    def is_over(self, now: pd.Timestamp) -> bool:
        """Whether it is too late for it."""
        return self.closes is not None and now >= self.closes


def name_of(kind: TaskKind, session: pd.Timestamp) -> str:
    """Return the name of a task."""
    return f"{kind.value} {session.date()}"


class Window(NamedTuple):
    """Between which instants execution of a session may begin."""

    opens: pd.Timestamp
    closes: pd.Timestamp


@dataclass(frozen=True)
class Timetable:
    """The tasks of an account.

    Attributes
    ----------
    calendar
        Sessions of the exchange.
    times
        The ``live`` block.
    has_broker
        Whether a broker executes orders: then there are execution, dry run, reconciliation and check. Other accounts
        have the daily run and the backup.
    auction
        The auction for which orders are sent; None when they execute at the prices of the open.
    """

    calendar: ExchangeSessions
    times: LiveParameters
    has_broker: bool
    auction: AuctionOrders | None = None
    _known: dict[pd.Timestamp, list[Task]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def tasks_of(self, session: pd.Timestamp) -> list[Task]:
        """Return the tasks of a session in the order in which they are due."""
        if session not in self._known:
            if len(self._known) > KEPT:
                self._known.clear()
            self._known[session] = self._tasks_of(session)
        return self._known[session]

    def _tasks_of(self, session: pd.Timestamp) -> list[Task]:
        following = self.calendar.next(session)
        closes_at = self.calendar.hours(session)[1]
        next_opens, next_closes = self.calendar.hours(following)
        times, daily = self.times, name_of(TaskKind.DAILY, session)
        daily_at = closes_at + _minutes(times.daily_after_close_minutes)
        backup_after = _minutes(times.backup_after_close_minutes)
        backup = Task(TaskKind.BACKUP, session, closes_at + backup_after, next_closes + backup_after, daily)
        if not self.has_broker:
            before = name_of(TaskKind.DAILY, self.calendar.previous(session))
            return [Task(TaskKind.DAILY, session, daily_at, needs=before), backup]
        compared_at = closes_at + _minutes(times.reconcile_after_close_minutes)
        tasks = [
            *self._execution_of(session),
            Task(TaskKind.RECONCILIATION, session, compared_at, max(next_opens, compared_at + _minutes(60))),
            # A broker states the equity of now and of the close before, so a session can be closed until the next ends.
            Task(TaskKind.DAILY, session, daily_at, next_closes),
            Task(TaskKind.CHECK, session, daily_at, next_opens, daily),
            backup,
        ]
        return [task for task in tasks if task.closes is None or task.opens < task.closes]

    def is_executed(self, session: pd.Timestamp) -> bool:
        """Return whether there is a time in which orders of a session can be executed after they were planned."""
        return any(task.kind is TaskKind.EXECUTION for task in self.tasks_of(session))

    def window_of(self, session: pd.Timestamp) -> Window:
        """Return when execution may begin: late orders execute at other prices than those of labels and backtests."""
        opens_at, closes_at = self.calendar.hours(session)
        if self.auction is None:
            return Window(opens_at, min(opens_at + _minutes(self.times.execution_within_minutes), closes_at))
        held_at = opens_at if self.auction.auction == "open" else closes_at
        last = held_at - self.auction.cutoff - SENDING_MARGIN
        first = opens_at - self.auction.taken_before_open
        return Window(max(last - _minutes(self.times.auction_lead_minutes), first), last)

    def _execution_of(self, session: pd.Timestamp) -> list[Task]:
        window, decided = self.window_of(session), self.calendar.previous(session)
        planned_at = self.calendar.hours(decided)[1] + _minutes(self.times.daily_after_close_minutes)
        # Where one session ends as the next begins, orders wait for their plan.
        opens = max(window.opens, planned_at)
        shown_at = max(window.opens - _minutes(self.times.dry_run_before_open_minutes), planned_at)
        planned = name_of(TaskKind.DAILY, decided)
        return [
            Task(TaskKind.DRY_RUN, session, shown_at, opens, planned),
            Task(TaskKind.EXECUTION, session, opens, window.closes, planned),
        ]


def _minutes(number: float) -> pd.Timedelta:
    return pd.Timedelta(minutes=number)
