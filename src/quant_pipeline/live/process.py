"""The loop: what is due is started, followed, recorded and reported, one task after the other."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from quant_pipeline.common.atomic import sweep
from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.common.processes import birth_of
from quant_pipeline.live import journal as lines
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.board import STOPPED, Board, Seen
from quant_pipeline.live.changes import ChampionFiles, ConfigurationFiles
from quant_pipeline.live.clocks import LiveClock
from quant_pipeline.live.commands import Commands, Running, end_orphan
from quant_pipeline.live.due import Due, Owed, due
from quant_pipeline.live.follower import Follower
from quant_pipeline.live.intraday import Intraday
from quant_pipeline.live.journal import Journal
from quant_pipeline.live.ledger_news import LedgerNews
from quant_pipeline.live.missed import MissedTasks
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic
from quant_pipeline.live.printing import Printer
from quant_pipeline.live.results import messages_about, result_of
from quant_pipeline.live.retries import Retries
from quant_pipeline.live.timetable import Task, TaskKind, Timetable
from quant_pipeline.live.watchdog import Watchdog

logger = logging.getLogger(__name__)

STARTING, RECONCILING, READY, WORKING, DRAINING = "starting", "reconciling", "ready", "working", "draining"
LASTING = (STARTING, READY, DRAINING, STOPPED)
"""States that the journal records."""
AHEAD = pd.Timedelta(days=1)
"""A journal that begins later than this was begun by another clock; one that was set back by hours waits for it."""
RENEWAL = pd.Timedelta(days=90)
"""How long a timetable is used; its calendar reaches two years."""
STORAGE_PAUSE = 5.0
"""Seconds before a disk that is full is tried again."""
PRINTING = 2.0
"""Seconds for which the end waits for lines that are not shown yet."""


@dataclass
class Reach:
    """What a process reaches the world by.

    Attributes
    ----------
    journal, commands, clock, messages, board
        Its record, its commands, its time, its messages, its state for others.
    watchdog
        The service manager.
    """

    journal: Journal
    commands: Commands
    clock: LiveClock
    messages: Dispatcher
    board: Board
    watchdog: Watchdog = field(default_factory=Watchdog)


class LiveProcess:
    """The process of one account; it holds the account's lock while it lives.

    Parameters
    ----------
    account
        The account.
    reach
        What it reaches the world by.
    sessions
        After so many daily runs it ends; None lives on.
    say
        Shows a line to who watches; nothing waits for it.

    Attributes
    ----------
    printer
        Shows the lines.
    begins_again
        Whether it has ended to begin again with a changed configuration.
    """

    def __init__(
        self,
        account: LiveAccount,
        reach: Reach,
        sessions: int | None = None,
        say: Callable[[str], None] = logger.info,
    ) -> None:
        self._account, self._reach, self._left, self.printer = account, reach, sessions, Printer(say)
        self.begins_again = False
        self._state = STARTING
        self._wake = threading.Event()
        self._stopping_since: float | None = None
        self._retries = Retries(account, reach)
        self._news = LedgerNews(account, reach)
        self._heard_at: pd.Timestamp | None = None
        self._now: pd.Timestamp
        self._running: tuple[Task, Running] | None = None
        self._shown: Task | None = None
        self._missed = MissedTasks(account.name, reach)
        # A process that ends after some sessions counts them: it does not begin again. What changes while the process
        # still starts is a change too.
        self._watched = ConfigurationFiles(account.configuration_folders) if sessions is None else None
        self._booked: pd.Timestamp | None = None
        self._timetable: Timetable
        self._follower: Follower
        self._intraday = Intraday(account, reach, self._tick)
        self._made_at: pd.Timestamp

    def stop(self) -> None:
        """Ask the process to end; asked again, it ends at once, as it may at any moment."""
        if self._stopping_since is not None:
            if self._running is not None:
                end_group(self._running[1])
            os._exit(1)
        self._stopping_since = time.monotonic()
        self._wake.set()

    def run(self) -> None:
        """Live until asked to end."""
        try:
            self._begin()
            while not (self.is_stopping or self.begins_again):
                self._step()
        finally:
            self._end()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stopping_since is not None

    @property
    def _journal(self) -> Journal:
        return self._reach.journal

    def _begin(self) -> None:
        """Record the start, end what a killed process has left running, and compare books and broker."""
        now = self._now = self._first_instant()
        self._make_timetable(now, self._journal.state.begun)
        if end_orphan(self._journal.state.child):
            self.printer.say("ended the command that the process before had left running")
        self._begin_to_owe(now)
        self._notice_restored(now)
        self._booked = self._account.watermark()
        self._change(STARTING)
        if self._account.has_broker:
            self._change(RECONCILING)
            self._reconcile_first(now)
        if self.is_stopping:
            return
        self._reach.messages.require_channels()
        champions = ChampionFiles(self._account.models)
        self._follower = Follower(self._account.name, self._reach, champions, self._watched, self._tick)
        self._change(READY)
        self._reach.watchdog.ready()
        self._missed.report_again("It was missed before the process started again.")
        upcoming = self._due(self._reach.clock.now()).upcoming
        words = "" if upcoming is None else f"next: {_when(upcoming)}"
        self._tell(Topic.PROCESS, Level.INFO, f"{self._account.name}: the live process has started", words)

    def _begin_to_owe(self, now: pd.Timestamp) -> None:
        """Record from when on tasks are owed: at the first start, and when the journal began by a wrong clock."""
        state = self._journal.state
        is_of_the_future = state.begun is not None and state.begun > now + AHEAD
        if state.begun is not None and not is_of_the_future:
            return
        if is_of_the_future:
            title = f"{self._account.name}: the journal begins at {state.begun:%Y-%m-%d %H:%M} UTC, which is to come"
            text = f"A clock was wrong then, or is now: it is {now:%Y-%m-%d %H:%M} UTC. Tasks are owed from now on."
            self._tell(Topic.ALERTS, Level.ALERT, title, text)
            self._make_timetable(now, None)
        since = self._account.owed_since(now, self._timetable)
        facts = {"since": since.isoformat(), "reported": state.reported, "anchor": state.anchor}
        found = self._account.ledger_end() if state.reported is None else None
        if found is not None:
            facts |= {"reported": found.length, "anchor": found.hash}
        self._journal.append(now, lines.BEGUN, **facts)

    def _notice_restored(self, now: pd.Timestamp) -> bool:
        is_other = self._news.notice_restored(now)
        if is_other:
            self._make_timetable(now, self._journal.state.begun)
        return is_other

    def _first_instant(self) -> pd.Timestamp:
        """Ask for the time, until there is an answer."""
        while True:
            try:
                return self._reach.clock.now()
            except QuantPipelineError as error:
                if self.is_stopping:
                    raise
                self.printer.say(f"waiting for the time of the exchange: {error.message}")
                self._wake.wait(1.0)

    def _reconcile_first(self, now: pd.Timestamp) -> None:
        """Compare books and broker once; what differs has been recorded and is reported, and the day goes on."""
        session = self._account.latest_closed(now)
        task = Task(TaskKind.RECONCILIATION, session, now)
        ran = self._reach.commands.start(task, self._timetable.calendar).wait(self._tick, 600.0)
        if ran.status != 0 and not self.is_stopping:
            title = f"{self._account.name}: books and broker could not be compared at the start"
            self._tell(Topic.ALERTS, Level.WARNING, title, ran.last_lines)
        self._journal.append(self._reach.clock.now(), lines.NOTE, what="compared at the start", status=ran.status)

    def _step(self) -> None:
        try:
            now = self._now = self._reach.clock.now()
            found = self._due(now)
            self._missed.record_taken(now)
            self._missed.record(found.missed, now)
            task = next((task for task in found.ready if self._retries.may_try(task, now)), None)
            if task is not None and self._notice_restored(now):
                return
            if task is None or task.kind is not TaskKind.EXECUTION:
                self.begins_again = self._follower.follow(now)
            if self.begins_again:
                return
            self._intraday.attend(now, self._timetable)
            if task is not None:
                self._do(task, now)
            elif not found.missed:
                self._rest(found, now)
        except OSError as error:
            self._survive(error)

    def _make_timetable(self, now: pd.Timestamp, since: pd.Timestamp | None) -> None:
        self._timetable, self._made_at = self._account.timetable(now, since), now

    def _due(self, now: pd.Timestamp) -> Due:
        state = self._journal.state
        if abs(now - self._made_at) > RENEWAL:
            self._make_timetable(now, state.since)
        found = due(now, self._timetable, Owed(state.owed_since(now), state.settled.keys(), state.overdue))
        state.forget_before(found.since)
        return found

    def _do(self, task: Task, now: pd.Timestamp) -> None:
        session, calendar = f"{task.session:%Y-%m-%d}", self._timetable.calendar
        if task.name in self._journal.state.overdue:
            title = f"{self._account.name}: {task.name} is not missed"
            self._tell(Topic.ALERTS, Level.WARNING, title, "A clock that was ahead said so; it runs now, in its time.")
        self._journal.append(now, "due", task=task.name, session=session)
        running = self._reach.commands.start(task, calendar)
        self._running = task, running
        try:
            born = birth_of(running.pid)
            self._journal.append(now, lines.STARTED, task=task.name, session=session, pid=running.pid, born=born)
            self.printer.say(f"{now:%Y-%m-%d %H:%M} {task.name}")
            self._change(WORKING)
            ran = running.wait(self._tick, 60 * self._account.times.max_task_minutes)
        finally:
            end_group(running)
            self._running = None
        ended_at, result = self._reach.clock.now(), result_of(task, ran, self.is_stopping)
        self._now = ended_at
        facts = {"task": task.name, "session": session, "result": result, "status": ran.status}
        self._news.record(ended_at, lines.ENDED, **facts)
        decided = calendar.previous(task.session)
        summary = self._account.summary_of(task, decided) if result != lines.FAILED else ""
        for message in messages_about(self._account.name, task, ran, result, ended_at, summary):
            self._reach.messages.send(message)
        self._after(task, result, ended_at)

    def _after(self, task: Task, result: str, now: pd.Timestamp) -> None:
        self._booked = self._account.watermark() or self._booked
        if result == lines.FAILED:
            self._retries.fail(task, now)
        elif result in lines.SETTLING:
            self._retries.settle(task)
            if task.kind is TaskKind.BACKUP:
                self._tidy_up()
        if result == lines.DONE and task.kind is TaskKind.DAILY and self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.stop()
        if not self.is_stopping:
            self._change(READY)

    def _tidy_up(self) -> None:
        """Remove what commands have printed long ago, and half files of processes that were killed."""
        self._reach.commands.forget_old_logs()
        sweep(self._account.folder)

    def _rest(self, found: Due, now: pd.Timestamp) -> None:
        self._beat(now)
        self._missed.report_again_by_and_by()
        retries = self._retries.instants(found.ready)
        if found.upcoming is not None and found.upcoming != self._shown:
            self._shown = found.upcoming
            self.printer.say(f"{now:%Y-%m-%d %H:%M} next: {_when(found.upcoming)}")
        self._tick(found)
        until = min([*retries, *([] if found.upcoming is None else [found.upcoming.opens])], default=None)
        self._reach.clock.rest(until, self._wake)

    def _beat(self, now: pd.Timestamp) -> None:
        hours = self._account.notifications.heartbeat_hours
        if not hours:
            return
        if self._heard_at is None or now < self._heard_at:
            self._heard_at = now
        elif now >= self._heard_at + pd.Timedelta(hours=hours):
            self._heard_at = now
            watermark = self._account.watermark()
            booked = "nothing is booked yet" if watermark is None else f"booked up to {watermark:%Y-%m-%d}"
            self._tell(Topic.HEARTBEAT, Level.INFO, f"{self._account.name} lives, {now:%Y-%m-%d %H:%M} UTC", booked)

    def _survive(self, error: OSError) -> None:
        """Wait for a disk that cannot be written; nothing was started that is not recorded."""
        title = f"{self._account.name}: the live process cannot write ({error.strerror or error})"
        self._tell(Topic.ALERTS, Level.ALERT, title, "It tries again until it can; no task is started meanwhile.")
        self._reach.watchdog.alive(title)
        self._wake.wait(STORAGE_PAUSE)

    def _tick(self, found: Due | None = None) -> bool:
        """Feed the watchdog and show the state; return whether a command that runs may go on."""
        if self.is_stopping and self._state != DRAINING:
            self._change(DRAINING)
        progress = self._running[1].last_lines(1) if self._running is not None else ""
        doing = self._state if self._running is None else f"{self._running[0].name}: {progress}"
        self._reach.watchdog.alive(doing)
        self._write_board(found, progress)
        limit = self._account.times.drain_seconds
        return self._stopping_since is None or time.monotonic() - self._stopping_since < limit

    def _write_board(self, found: Due | None = None, progress: str = "", at_once: bool = False) -> None:
        """Write the state for others."""
        upcoming = self._shown if found is None else found.upcoming
        running = "" if self._running is None else self._running[0].name
        seen = Seen(self._now, self._state, upcoming, running, progress, self._booked)
        self._reach.board.write(seen, self._journal, self._reach.messages, at_once)

    def _change(self, state: str) -> None:
        lasts = state in LASTING and not (state == READY and self._state == WORKING)
        if lasts:
            self._journal.append(self._reach.clock.now(), lines.STATE, state=state)
        self._state = state
        self._write_board(at_once=lasts)

    def _tell(self, topic: Topic, level: Level, title: str, text: str = "") -> None:
        self._reach.messages.send(Message(topic, level, title, text))

    def _end(self) -> None:
        """Say that the process ends, deliver what waits, and leave the files in order."""
        self._intraday.end()
        if self.begins_again:
            self._reach.watchdog.reloading()
        else:
            self._reach.watchdog.stopping()
        why = "was asked to end" if self.is_stopping else "ends by an error"
        why = "begins again" if self.begins_again else why
        level = Level.INFO if self.is_stopping or self.begins_again else Level.ALERT
        self._tell(Topic.PROCESS, level, f"{self._account.name}: the live process {why}")
        self._reach.messages.close(self._account.notifications.timeout_seconds)
        try:
            self._missed.record_taken(self._reach.clock.now())
            self._change(STOPPED)
        except (OSError, QuantPipelineError) as error:
            logger.warning("the end was not recorded: %s", error)
        self.printer.flush(PRINTING)


def end_group(running: Running) -> None:
    """End a command that still runs."""
    if running.process.poll() is None:
        running.end()


def _when(task: Task) -> str:
    return f"{task.name} at {task.opens:%Y-%m-%d %H:%M} UTC"
