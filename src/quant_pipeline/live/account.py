"""What the live process knows of its account, and what it does to it beside starting commands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.cli.opened_account import Opened, open_account
from quant_pipeline.cli.sessions import configuration_folder
from quant_pipeline.common.exceptions import AccountError, ConfigurationError, QuantPipelineError
from quant_pipeline.common.places import path_here
from quant_pipeline.live.clocks import AskedClock, FastClock, LiveClock, WorldClock
from quant_pipeline.live.parameters import LiveParameters, NotificationParameters
from quant_pipeline.live.timetable import Task, TaskKind, Timetable
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.trading.ledger.anchors import Anchor
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger, require_ledger
from quant_pipeline.trading.orders.risk_view import TradingState

if TYPE_CHECKING:
    from quant_pipeline.cli.sessions import Place

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)

FOLDER = "live"
"""Folder of the live process in that of its account."""
BACK = pd.Timedelta(days=60)
"""How far a calendar reaches behind what is owed; it always knows the half year that follows."""
SUMMARIES = {TaskKind.DAILY: "08_reporting", TaskKind.EXECUTION: "execution", TaskKind.DRY_RUN: "execution"}


class LedgerEnd(NamedTuple):
    """How a ledger ends.

    Attributes
    ----------
    length, hash
        Number of its last event, and the hash of the chain up to it; 0 and empty when there is none.
    hash_at
        Hash of the chain up to an event that was asked for; empty when it has no such event.
    booked
        The last session that is booked; None when none is.
    """

    length: int
    hash: str
    hash_at: str
    booked: pd.Timestamp | None


NO_LEDGER = LedgerEnd(0, "", "", None)


@dataclass(frozen=True)
class LiveAccount:
    """An account that a process lives for.

    Attributes
    ----------
    place
        The project.
    opened
        The account as it was found when the process began.
    params
        What ``--params`` say.
    times, notifications
        The blocks ``live`` and ``notifications``.
    """

    place: Place
    opened: Opened
    params: Mapping[str, Any]
    times: LiveParameters
    notifications: NotificationParameters

    @classmethod
    def of(cls, place: Place, opened: Opened, params: Mapping[str, Any]) -> LiveAccount:
        """Read the blocks of the process."""
        rules = opened.project.rules
        return cls(place, opened, params, rules("live", LiveParameters), rules("notifications", NotificationParameters))

    @property
    def name(self) -> str:
        """Name of the account, that of a rehearsal included."""
        return str(self.opened.project.configuration["globals"]["account"])

    @property
    def home(self) -> Path:
        """Folder of the account."""
        return self.opened.stop_file.parent

    @property
    def folder(self) -> Path:
        """Folder of its live process."""
        return self.home / FOLDER

    @property
    def models(self) -> Path | None:
        """Folder of the models as the catalog says it; None where it names none."""
        entry = self.opened.project.configuration["catalog"].get("champions", {})
        return None if "filepath" not in entry else path_here(self.place.project_path, entry["filepath"])

    @property
    def configuration_folders(self) -> tuple[Path, ...]:
        """Folders of the configuration of the environment, in the order in which they count."""
        return tuple(configuration_folder(self.place) / name for name in ("base", self.opened.environment, "local"))

    @property
    def has_broker(self) -> bool:
        """Whether a broker executes its orders."""
        return self.opened.account.filled_by == "broker"

    @property
    def is_simulated(self) -> bool:
        """Whether it lives by a time of its own: its exchange is a part of the daily run."""
        return self.opened.account.filled_by == "simulation"

    @property
    def is_rehearsed(self) -> bool:
        """Whether it rehearses at a fake broker, whose exchange has a clock of its own."""
        return self.has_broker and self.opened.gateway.adapter.has_own_time

    def clock(self, speed: float | None) -> LiveClock:
        """Return the clock of the account.

        Raises
        ------
        ConfigurationError
            When another speed than that of the world is asked for, and the account does not live by its own time.
        """
        if self.is_simulated:
            return FastClock(self.begins_at, speed or self.times.speed)
        if speed is not None:
            raise ConfigurationError(
                f"--speed is for accounts at the simulated exchange; '{self.name}' lives by the time of "
                f"{'the exchange that it rehearses with' if self.is_rehearsed else 'the world'}. Leave it out."
            )
        if not self.is_rehearsed:
            return WorldClock()
        broker = self.opened.reach_broker()
        return AskedClock(lambda: broker.clock().now)

    def timetable(self, now: pd.Timestamp, since: pd.Timestamp | None = None) -> Timetable:
        """Return the tasks of the account, for instants around ``now`` and from ``since`` on."""
        return timetable_of(self.opened, self.times, self._calendar(now, since))

    def owed_since(self, now: pd.Timestamp, timetable: Timetable) -> pd.Timestamp:
        """Return from when on a process that begins for the first time owes tasks.

        The simulated account goes on after what it has booked; any other one begins with the last session that has
        closed, whose daily run may have been missed.
        """
        if not self.is_simulated:
            return timetable.calendar.hours(self.latest_closed(now))[1]
        booked = self._booked()
        if booked is None:
            return self.begins_at
        return next(task.opens for task in timetable.tasks_of(booked) if task.kind is TaskKind.DAILY)

    def latest_closed(self, now: pd.Timestamp) -> pd.Timestamp:
        """Return the last session that has closed."""
        return self._calendar(now).latest_closed(now)

    def watermark(self) -> pd.Timestamp | None:
        """Return the last session that is booked; None when none is, or the ledger cannot be read."""
        found = self.ledger_end()
        return None if found is None else found.booked

    def ledger_end(self, at: int = 0) -> LedgerEnd | None:
        """Return how the ledger ends, and its hash up to an event; None while it cannot be read."""

        def read(ledger: Ledger) -> LedgerEnd:
            newest = ledger.newest()
            if newest is None:
                return NO_LEDGER
            booked = ledger.newest_session(EventKind.SESSION_CLOSED)
            return LedgerEnd(newest.sequence, newest.hash, ledger.hash_at(at), booked)

        return self._read(read, None, NO_LEDGER)

    def news(self, after: int | None) -> tuple[Anchor | None, tuple[Event, ...]]:
        """Return the end of the ledger and the events up to it that lie behind one; no events behind None.

        While it cannot be read there is no end and no event; they come with the next look.
        """

        def read(ledger: Ledger) -> tuple[Anchor | None, tuple[Event, ...]]:
            newest = ledger.newest()
            if newest is None or after is None:
                return newest, ()
            return newest, ledger.events_after(after)[: max(newest.sequence - after, 0)]

        nothing: tuple[Anchor | None, tuple[Event, ...]] = (None, ())
        return self._read(read, nothing, nothing)

    def summary_of(self, task: Task, decided: pd.Timestamp) -> str:
        """Return what a run has written as its summary; nothing when there is none."""
        folder = SUMMARIES.get(task.kind)
        day = task.session if task.kind is TaskKind.DAILY else decided
        try:
            file = None if folder is None else self.home / folder / f"{day:%Y-%m-%d}" / "summary.txt"
            return "" if file is None else file.read_text(encoding="utf-8")
        except OSError:
            return ""

    def reduce(self, message: str, now: pd.Timestamp) -> bool:
        """Let the account send exits only, unless it is as strict already; return whether that is recorded."""
        params = {**self.params, "as_of": f"{self.latest_closed(now):%Y-%m-%d}"}
        try:
            with open_account(self.place, self.opened.environment, params, reduces_risk=True) as opened:
                if opened.book.trading_state is TradingState.ACTIVE:
                    opened.change_state(TradingState.REDUCING, "LIVE_TASK_FAILED", message)
        except (QuantPipelineError, sa.exc.SQLAlchemyError, OSError) as error:
            logger.warning("'%s' could not be set to reducing: %s", self.name, str(error).splitlines()[0])
            return False
        return True

    def _calendar(self, now: pd.Timestamp, since: pd.Timestamp | None = None) -> TradingCalendar:
        first, last = (_day(at) for at in (now if since is None else min(now, since), now))
        return TradingCalendar.within_bounds(self.opened.calendar, first - BACK, last)

    def _booked(self) -> pd.Timestamp | None:
        """Return the last session that is booked; None when none is.

        Raises
        ------
        AccountError
            While the ledger cannot be read: what is not known is not nothing.
        """
        found = self.ledger_end()
        if found is None:
            raise AccountError(f"the ledger of '{self.name}' cannot be read; begin when it can")
        return found.booked

    @property
    def begins_at(self) -> pd.Timestamp:
        """Close of the last booked session, or of the one that the configuration begins with."""
        session = self._booked()
        if session is None:
            session = pd.Timestamp(self.opened.project.parameters["as_of"])
        calendar = TradingCalendar.of(self.opened.calendar, session, session)
        return calendar.hours(calendar.latest_on_or_before(session))[1]

    def _read(self, read: Callable[[Ledger], Answer], unreadable: Answer, missing: Answer) -> Answer:
        file = self.opened.ledger.file
        try:
            if file is not None and not require_ledger(file):
                return missing
            ledger = self.opened.ledger.open()
            try:
                return read(ledger)
            finally:
                ledger.engine.dispose()
        except (QuantPipelineError, sa.exc.SQLAlchemyError, OSError) as error:
            logger.warning("the ledger of '%s' cannot be read now: %s", self.name, str(error).splitlines()[0])
            return unreadable


def timetable_of(opened: Opened, times: LiveParameters, calendar: TradingCalendar) -> Timetable:
    """Return the tasks of an account in the sessions of a calendar."""
    has_broker, auction = opened.account.filled_by == "broker", None
    if has_broker:
        auction = opened.gateway.adapter.capability.auctions.get(opened.desk_rules.execution.time_in_force)
    return Timetable(calendar, times, has_broker, auction)


def _day(instant: pd.Timestamp) -> pd.Timestamp:
    return instant.tz_convert("UTC").tz_localize(None).normalize()
