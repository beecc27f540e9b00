"""What should have happened by now and has not: a pure function of an instant, the timetable and what was done.

There are no timers. A computer that slept, a clock that was set, daylight saving, a half day and a restart need no code
of their own: whenever the function is asked, it answers from the calendar.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import NamedTuple

import pandas as pd

from quant_pipeline.live.timetable import Task, Timetable

STEP = pd.Timedelta(minutes=1)
"""A clock that was set back by less owes nothing again: answers about the time differ by moments."""
AHEAD = pd.Timedelta(days=30)
"""How far the next task is looked for; exchanges close for ten days at most."""


class Owed(NamedTuple):
    """From when on tasks are owed, and which of them are settled.

    Attributes
    ----------
    since
        Tasks that were due at or before this instant are not owed.
    settled
        Names of the tasks that were done or missed.
    missed
        Those of them that were missed: by a clock that was ahead, when their time is not over.
    """

    since: pd.Timestamp
    settled: Set[str]
    missed: Set[str] = frozenset()


class Due(NamedTuple):
    """What is due at an instant.

    Attributes
    ----------
    missed
        Tasks whose time is over.
    ready
        Tasks to do now, in this sequence: first what will be too late first.
    waiting
        Tasks that would be due, but need another one first.
    upcoming
        The next one that will be due.
    since
        Everything that was due at or before this instant is settled, so that it need not be looked at again.
    """

    missed: tuple[Task, ...]
    ready: tuple[Task, ...]
    waiting: tuple[Task, ...]
    upcoming: Task | None
    since: pd.Timestamp


def due(now: pd.Timestamp, timetable: Timetable, owed: Owed) -> Due:
    """Return what is due.

    Parameters
    ----------
    now
        The instant, in UTC.
    timetable
        Tasks of every session.
    owed
        From when on, and what is settled already.
    """
    tasks = sorted(_unsettled(now, timetable, owed), key=lambda task: task.opens)
    since = max(owed.since, tasks[0].opens - pd.Timedelta(1, "ns")) if tasks else owed.since
    missed, ready, waiting = [], [], []
    unsettled: set[str] = set()
    for task in tasks:
        if task.opens > now:
            break
        unsettled.add(task.name)
        if task.is_over(now):
            missed.append(task)
        elif task.needs in unsettled:
            waiting.append(task)
        else:
            ready.append(task)
    ready.sort(key=lambda task: (task.closes is None, task.closes or task.opens))
    upcoming = next((task for task in tasks if task.opens > now), None)
    return Due(tuple(missed), tuple(ready), tuple(waiting), upcoming, since)


def _unsettled(now: pd.Timestamp, timetable: Timetable, owed: Owed) -> Iterator[Task]:
    """Yield the tasks that are owed, session by session, up to the first session that only has later ones."""
    # What is due in the night belongs to a session before; what is due on the evening before, to the next one.
    start = timetable.calendar.previous(timetable.calendar.latest_on_or_before(_day(owed.since)))
    for session in timetable.calendar.between(start, _day(max(now, owed.since)) + AHEAD):
        tasks = timetable.tasks_of(session)
        yield from (task for task in tasks if task.opens > owed.since and not _is_settled(task, now, owed))
        # The first task of the next session may be due before the last one of this session, but not before its first.
        if all(task.opens > max(now, owed.since) for task in tasks):
            return


def _is_settled(task: Task, now: pd.Timestamp, owed: Owed) -> bool:
    return task.name in owed.settled and (task.name not in owed.missed or task.is_over(now + STEP))


def _day(instant: pd.Timestamp) -> pd.Timestamp:
    return instant.tz_convert("UTC").tz_localize(None).normalize()
