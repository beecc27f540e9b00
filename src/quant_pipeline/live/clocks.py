"""The time by which an account lives: that of the world, a faster one, or that of an exchange that is rehearsed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import pandas as pd

from quant_pipeline.common.exceptions import QuantPipelineError

LONGEST = 30.0
"""Seconds after which a waiting process looks at the time again: clocks are set, and computers sleep."""
SHORTEST = 0.05
"""Seconds of the shortest rest of a clock that goes with the world."""


class LiveClock(Protocol):
    """What the loop asks."""

    def now(self) -> pd.Timestamp:
        """Return the instant, in UTC."""
        ...

    def rest(self, until: pd.Timestamp | None, wake: threading.Event) -> None:
        """Wait until about an instant, for a while at most, or until something wakes."""
        ...


class WorldClock:
    """The clock of this machine."""

    def now(self) -> pd.Timestamp:
        """Return the instant, in UTC."""
        return pd.Timestamp.now("UTC")

    def rest(self, until: pd.Timestamp | None, wake: threading.Event) -> None:
        """Wait until an instant, thirty seconds at most."""
        left = LONGEST if until is None else (until - self.now()).total_seconds()
        wake.wait(min(max(left, SHORTEST), LONGEST))


class FastClock:
    """A clock that passes faster than the world while the process waits, and stands still while it works.

    No task is late for the speed, and the same days pass at any speed. It catches up with the world and does not pass
    it: sessions that are to come have no bars yet.

    Parameters
    ----------
    start
        The instant at which it begins.
    speed
        Seconds that pass in one.
    world
        Tells the time of the world.
    """

    def __init__(
        self,
        start: pd.Timestamp,
        speed: float,
        world: Callable[[], pd.Timestamp] = lambda: pd.Timestamp.now("UTC"),
    ) -> None:
        self._now, self._speed, self._world = start, speed, world

    def now(self) -> pd.Timestamp:
        """Return the instant, in UTC."""
        return self._now

    def rest(self, until: pd.Timestamp | None, wake: threading.Event) -> None:
        """Wait until an instant, a second of the world at most."""
        left = self._speed if until is None else max((until - self._now).total_seconds(), 0.0)
        passing = min(left, self._speed)
        arrives = until is not None and passing == left
        reached = max(until, self._now) if arrives else self._now + pd.Timedelta(seconds=passing)
        is_ahead = reached > self._world()
        if not wake.wait(max(passing / self._speed, SHORTEST if is_ahead else 0.0)):
            self._now = max(self._now, min(reached, self._world()))


class AskedClock:
    """The clock of a broker whose exchange keeps a time of its own; while it does not answer, the last answer goes on.

    Parameters
    ----------
    ask
        Asks the broker.
    pause
        Seconds between two questions.
    """

    def __init__(self, ask: Callable[[], pd.Timestamp], pause: float = 0.2) -> None:
        self._ask, self._pause = ask, pause
        self._last: tuple[pd.Timestamp, float] | None = None

    def now(self) -> pd.Timestamp:
        """Return the instant, in UTC.

        Raises
        ------
        QuantPipelineError
            When the broker has not answered yet.
        """
        try:
            self._last = self._ask(), time.monotonic()
        except QuantPipelineError:
            if self._last is None:
                raise
            answer, at = self._last
            return answer + pd.Timedelta(seconds=time.monotonic() - at)
        return self._last[0]

    def rest(self, until: pd.Timestamp | None, wake: threading.Event) -> None:
        """Wait a little: only the exchange knows how fast its time goes."""
        wake.wait(self._pause)
