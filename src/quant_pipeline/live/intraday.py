"""While a session goes on: keep the process that watches the market, and protect the account when something is near."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from quant_pipeline.live import journal as lines
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.commands import Running
from quant_pipeline.live.ledger_news import LedgerNews
from quant_pipeline.live.market_data.files import read_watch
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic
from quant_pipeline.live.timetable import TaskKind, Timetable, name_of

if TYPE_CHECKING:
    from quant_pipeline.live.process import Reach

BEFORE = pd.Timedelta(minutes=10)
"""How long before the open the stream is connected."""
AGAIN = pd.Timedelta(minutes=1)
"""The account is protected no more often than this."""
PATIENCE = 600.0


class Intraday:
    """What the loop does between tasks while the exchange is open.

    Parameters
    ----------
    account, reach
        The account, and what the process reaches the world by.
    tick
        Keeps the process alive while a command runs.
    """

    def __init__(self, account: LiveAccount, reach: Reach, tick: Callable[[], bool]) -> None:
        self._account, self._reach, self._tick = account, reach, tick
        self._watching: Running | None = None
        self._session: pd.Timestamp | None = None
        self._failures = 0
        self._tried_at: pd.Timestamp | None = None
        self._protected_at: pd.Timestamp | None = None
        self._could_protect = True
        self._news = LedgerNews(account, reach)

    def attend(self, now: pd.Timestamp, timetable: Timetable) -> None:
        """Start, restart or end the watching process; protect the account when it says that something is near."""
        if not (self._account.times.market_data and self._account.has_broker):
            return
        session = self._session_at(now, timetable)
        if session != self._session:
            self.end()
            self._session, self._failures = session, 0
        if session is None:
            return
        self._keep(now, timetable.calendar.previous(session))
        settled = self._reach.journal.state.settled
        # Orders of the plan come first; while they are under way nothing is planned over them.
        if name_of(TaskKind.EXECUTION, session) in settled and self._alarms() and self._may_protect(now):
            self._protect(now, session, timetable.calendar.previous(session))

    def end(self) -> None:
        """End the watching process."""
        if self._watching is not None and self._watching.process.poll() is None:
            self._watching.end()
        self._watching = None

    def _session_at(self, now: pd.Timestamp, timetable: Timetable) -> pd.Timestamp | None:
        """Return the session that goes on or is about to; None between sessions."""
        day = (now + BEFORE).tz_convert("UTC").tz_localize(None).normalize()
        latest = timetable.calendar.latest_on_or_before(day)
        for session in (latest, timetable.calendar.next(latest)):
            opens_at, closes_at = timetable.calendar.hours(session)
            if opens_at - BEFORE <= now < closes_at:
                return session
        return None

    def _keep(self, now: pd.Timestamp, as_of: pd.Timestamp) -> None:
        """Start the watching process unless it lives; one that has failed waits with growing pauses."""
        if self._watching is not None and self._watching.process.poll() is None:
            return
        times = self._account.times
        if self._watching is not None:
            self._failures += 1
            said, self._watching = self._watching.last_lines(3), None
            if self._failures == times.max_attempts:
                title = f"{self._account.name}: the market is not watched in this session"
                self._reach.messages.send(Message(Topic.ALERTS, Level.ALERT, title, said))
        pause = pd.Timedelta(
            seconds=min(times.retry_seconds * 2 ** max(self._failures - 1, 0), times.max_retry_seconds)
        )
        at = self._tried_at
        waits = self._failures and at is not None and at <= now < at + pause
        if self._failures < times.max_attempts and not waits:
            self._tried_at = now
            words = ("live", "watch", "--parent", f"{os.getpid()}")
            self._watching = self._reach.commands.begin("watch", words, as_of=f"{as_of:%Y-%m-%d}")

    def _alarms(self) -> list[str]:
        """Return what is near by the word of the watching process."""
        alarms = read_watch(self._account.folder).get("alarms")
        return alarms if isinstance(alarms, list) else []

    def _may_protect(self, now: pd.Timestamp) -> bool:
        at = self._protected_at
        return at is None or now < at or now >= at + AGAIN

    def _protect(self, now: pd.Timestamp, session: pd.Timestamp, as_of: pd.Timestamp) -> None:
        self._protected_at = now
        running = self._reach.commands.begin("protect", ("account", "protect"), as_of=f"{as_of:%Y-%m-%d}")
        ran = running.wait(self._tick, PATIENCE)
        self._news.record(now, lines.NOTE, what="protected", session=f"{session:%Y-%m-%d}", status=ran.status)
        could_before, self._could_protect = self._could_protect, ran.status == 0
        # It is tried each minute: one alert is enough until it works again.
        if could_before and not self._could_protect:
            title = f"{self._account.name}: the account could not be protected (status {ran.status})"
            self._reach.messages.send(Message(Topic.ALERTS, Level.ALERT, title, ran.last_lines))
