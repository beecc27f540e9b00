"""Tasks whose time is over: each is recorded at once, and a message about it leaves until a service has taken it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from quant_pipeline.live import journal as lines
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic
from quant_pipeline.live.results import message_of_many_missed, message_of_missed
from quant_pipeline.live.timetable import Task

if TYPE_CHECKING:
    from quant_pipeline.live.process import Reach

REPORTED_AGAIN = 60.0
"""Seconds after which a missed task is reported again whose message no service has taken."""
MANY = 24
"""Of more tasks that are missed at once one message tells: of a laptop that was closed for a holiday."""


class MissedTasks:
    """Records and reports them.

    Parameters
    ----------
    account
        Name of the account.
    reach
        What the process reaches the world by.
    """

    def __init__(self, account: str, reach: Reach) -> None:
        self._account, self._reach = account, reach
        self._taken: deque[str] = deque()
        self._reported_at = 0.0

    def record(self, tasks: Sequence[Task], now: pd.Timestamp) -> None:
        """Record that the time of some tasks is over, and report it."""
        reports = []
        for task in tasks:
            why = self._why(task)
            session = f"{task.session:%Y-%m-%d}"
            self._reach.journal.append(now, lines.MISSED, task=task.name, session=session, why=why)
            reports.append((message_of_missed(self._account, task, now, why), [task.name]))
        if len(tasks) > MANY:
            names = [task.name for task in tasks]
            reports = [(message_of_many_missed(self._account, names), names)]
        for message, names in reports:
            self._report(message, names)

    def _why(self, task: Task) -> str:
        state = self._reach.journal.state
        if failures := state.failures.get(task.name, 0):
            return f"{failures} attempts failed"
        waited = task.needs and task.needs not in state.settled
        return f"it waited for {task.needs}" if waited else "the process did not run, or was busy"

    def report_again(self, text: str) -> None:
        """Report those again whose message no service has taken."""
        self._reported_at = time.monotonic()
        names = list(self._reach.journal.state.unreported)
        if len(names) > MANY:
            self._report(message_of_many_missed(self._account, names), names)
            return
        for name in names:
            self._report(Message(Topic.MISSED, Level.WARNING, f"{self._account}: {name} is missed", text), [name])

    def report_again_by_and_by(self) -> None:
        """Report them again when the last time is a while ago and no message waits for its service."""
        if self._reach.messages.waiting == 0 and time.monotonic() - self._reported_at > REPORTED_AGAIN:
            self.report_again("No service has taken this message so far.")

    def record_taken(self, now: pd.Timestamp) -> None:
        """Record whose message a service has taken."""
        while self._taken:
            self._reach.journal.append(now, lines.REPORTED, task=self._taken[0])
            self._taken.popleft()

    def _report(self, message: Message, names: Sequence[str]) -> None:
        """Send a message; that a service has taken it is recorded, so that a kill loses none."""
        self._reach.messages.send(message, lambda: self._taken.extend(names))
