"""The panes as they are now: drawn again when what they follow has changed, once for everyone who looks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import anyio
import pandas as pd

from quant_pipeline.cli.opened_account import Opened
from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.reports.elements import Html, paragraph
from quant_pipeline.service.faults import FAULTS, in_short
from quant_pipeline.service.page.drawing import draw, instant, pane
from quant_pipeline.service.page.freshness import Stale
from quant_pipeline.service.page.looking import Look, stamp_of
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.served import Served

logger = logging.getLogger(__name__)

LATE = 10.0
"""Seconds beyond its own ones after which a pane that was not drawn again says since when it is as it is.

One that was never drawn says so after as many.
"""


class Title(NamedTuple):
    """What stands above every page: name and environment of the account, and its kind of money."""

    account: str
    environment: str
    money: str


@dataclass(frozen=True)
class PaneKind:
    """One pane.

    Attributes
    ----------
    heading
        For people.
    make
        Draws it from one look at the account.
    seconds
        After how long it is drawn again although nothing that it follows has changed.
    staleness
        Says since when what it shows is not of now any more; None while it is.
    """

    heading: str
    make: Callable[[Look], Html]
    seconds: float = 30.0
    staleness: Callable[[Look], Stale | None] = lambda look: None


@dataclass
class Drawn:
    """A pane as it was drawn last.

    Attributes
    ----------
    html
        Markup.
    stamp, at
        What it was drawn from, and when, by a clock that only goes on.
    begun, asked
        When it was asked for first, by that clock and by that of the world.
    good, since
        Markup of the last time that it could be drawn, and when that was.
    fault
        What keeps it from being drawn now.
    """

    html: Html = field(default_factory=Html)
    stamp: Any = None
    at: float = float("-inf")
    begun: float | None = None
    asked: pd.Timestamp | None = None
    good: Html | None = None
    since: pd.Timestamp | None = None
    fault: str | None = None


class Board:
    """Panes of one account.

    Parameters
    ----------
    served
        What they are drawn from.
    kinds
        Panes by name.
    """

    def __init__(self, served: Served, kinds: Mapping[str, PaneKind]) -> None:
        self.served, self.kinds = served, kinds
        self._drawn = {name: Drawn() for name in kinds}
        self._locks = {name: threading.Lock() for name in kinds}
        self._looking = threading.Lock()
        self._look: tuple[Any, Look] | None = None
        self._title = Title("the account", served.project.environment, "")
        # Apart from the places of questions, so that research never keeps the operator waiting.
        self._drawers = anyio.CapacityLimiter(2 * len(kinds))

    @property
    def title(self) -> Title:
        """What stands above every page, as it was when it could be read last."""
        return self._title

    def refresh(self, name: str) -> None:
        """Draw a pane again if what it follows has changed, unless another thread is drawing it."""
        drawn, kind, lock = self._drawn[name], self.kinds[name], self._locks[name]
        if not lock.acquire(blocking=False):
            return
        stamp = None
        if drawn.begun is None:
            drawn.begun, drawn.asked = time.monotonic(), pd.Timestamp.now("UTC")
        try:
            stamp, look = self._newest()
            if drawn.stamp == stamp and time.monotonic() - drawn.at <= kind.seconds:
                return
            if drawn.stamp == stamp:
                # Other files than those of the stamp, and the time, may have changed.
                look = Look.now(self.served)
            drawn.good = kind.make(look)
            stale = kind.staleness(look)
            drawn.html = drawn.good if stale is None else draw("fault.html", **stale._asdict(), before=drawn.good)
            drawn.since, drawn.fault = pd.Timestamp.now("UTC"), None
            drawn.stamp, drawn.at = stamp, time.monotonic()
        except FAULTS as error:
            self._say(name, drawn, error)
            drawn.stamp, drawn.at = stamp, time.monotonic()
        finally:
            lock.release()

    async def panes(self, names: Sequence[str], seconds: float) -> dict[str, Html]:
        """Return panes as they are now, or as they were, when drawing takes longer: no page waits for a slow one.

        Parameters
        ----------
        names
            Which panes.
        seconds
            How long to wait for those that are being drawn.
        """
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as drawing:
                for name in names:
                    drawing.start_soon(self._refresh_in_thread, name)
        return {name: self._shown(name) for name in names}

    def _shown(self, name: str) -> Html:
        """Return a pane as it is shown: one that could not be drawn again in time is grey, and says since when."""
        drawn = self._drawn[name]
        if not drawn.html:
            return self._not_yet(name, drawn)
        is_late = time.monotonic() - drawn.at > self.kinds[name].seconds + LATE
        if not is_late or drawn.good is None or drawn.fault is not None:
            return drawn.html
        why = "it is being drawn since, and what it is drawn from does not answer"
        return draw("fault.html", why=why, since=instant(drawn.since), before=drawn.good)

    async def _refresh_in_thread(self, name: str) -> None:
        await anyio.to_thread.run_sync(self.refresh, name, abandon_on_cancel=True, limiter=self._drawers)

    def _not_yet(self, name: str, drawn: Drawn) -> Html:
        """Say of a pane that was never drawn since when it is waited for."""
        heading = self.kinds[name].heading
        if drawn.begun is not None and time.monotonic() - drawn.begun > LATE:
            why = f"asked for since {instant(drawn.asked)}, and what it is drawn from does not answer"
            return pane(name, heading, "", draw("fault.html", why=why, since="", before=Html("")))
        words = "It is being drawn for the first time, and will be here in a moment."
        return pane(name, heading, "", paragraph(words, style="empty"))

    def _newest(self) -> tuple[Any, Look]:
        """Return the newest look at the account, the same one as long as its files and parameters are the same."""
        with self._looking:
            known = self._look
            parameters = self.served.project.parameters_hash()
            stamp = (parameters, stamp_of(known[1] if known else Look.now(self.served)))
            if known is None or known[0] != stamp:
                self._look = known = (stamp, Look.now(self.served))
                self._title = _title_of(known[1].account)
            return known

    def _say(self, name: str, drawn: Drawn, error: Exception) -> None:
        """Show a fault, and write it to the log once, however often the pane is tried."""
        found = f"{type(error).__name__}: {error}"
        if drawn.fault != found:
            # What an operator can repair says so in its message; drawing a trace takes a second.
            trace = None if isinstance(error, (QuantPipelineError, Refused)) else error
            logger.warning("the pane '%s' could not be drawn: %s", name, error, exc_info=trace)
        drawn.fault, drawn.html = found, self._fault(name, drawn, error)

    def _fault(self, name: str, drawn: Drawn, error: Exception) -> Html:
        """Say why a pane could not be drawn, above what it was when it could be."""
        why = in_short(error, self.served.project.place.project_path)
        if drawn.good is None:
            return pane(name, self.kinds[name].heading, "", draw("fault.html", why=why, since="", before=Html("")))
        return draw("fault.html", why=why, since=instant(drawn.since), before=drawn.good)


def _title_of(account: Opened) -> Title:
    money = str(account.gateway.adapter.money.value) if account.has_broker else account.account.filled_by
    return Title(account.name, account.environment, money)
