"""Tasks that have failed: when each is tried again, and what its lasting failure does to the account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from quant_pipeline.live import journal as lines
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic
from quant_pipeline.live.results import CRITICAL
from quant_pipeline.live.timetable import Task

if TYPE_CHECKING:
    from quant_pipeline.live.process import Reach


class Retries:
    """Knows when tasks have failed last.

    Parameters
    ----------
    account, reach
        The account, and what the process reaches the world by.
    """

    def __init__(self, account: LiveAccount, reach: Reach) -> None:
        self._account, self._reach = account, reach
        self._failed_at: dict[str, pd.Timestamp] = {}

    def may_try(self, task: Task, now: pd.Timestamp) -> bool:
        """Return whether a task may be tried: at once, or after its pause when it has failed."""
        failed_at = self._failed_at.get(task.name)
        # A clock that was set back lets nothing wait for longer.
        return failed_at is None or now < failed_at or now >= failed_at + self._pause_of(task)

    def instants(self, tasks: Iterable[Task]) -> list[pd.Timestamp]:
        """Return when those of some tasks that have failed are tried again."""
        return [self._failed_at[task.name] + self._pause_of(task) for task in tasks if task.name in self._failed_at]

    def settle(self, task: Task) -> None:
        """Forget a task that is settled."""
        self._failed_at.pop(task.name, None)

    def fail(self, task: Task, now: pd.Timestamp) -> None:
        """Take in a failure; after many the account becomes reducing, which is tried until it is recorded."""
        self._failed_at[task.name] = now
        state, most = self._reach.journal.state, self._account.times.max_attempts
        failures = state.failures.get(task.name, 0)
        if task.kind not in CRITICAL or failures < most or task.name in state.reduced:
            return
        words = f"{task.name} has failed {failures} times"
        recorded = self._account.reduce(words, now)
        if recorded:
            self._reach.journal.append(now, lines.NOTE, what=lines.REDUCED, task=task.name, why=words)
        if recorded or failures == most:
            said = "only exits are sent until `kedro account resume`" if recorded else "its state could not be changed"
            self._reach.messages.send(Message(Topic.ALERTS, Level.ALERT, f"{self._account.name}: {words}", said))

    def _pause_of(self, task: Task) -> pd.Timedelta:
        times, failures = self._account.times, self._reach.journal.state.failures.get(task.name, 0)
        return pd.Timedelta(seconds=min(times.retry_seconds * 2 ** max(failures - 1, 0), times.max_retry_seconds))
