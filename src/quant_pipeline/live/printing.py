"""Lines for who watches: no task waits for a terminal that stands still, a pipe without a reader or a full disk."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

ROOM: Final = 1_000
"""Lines that wait; of more, the oldest are left out."""


class Printer:
    """Prints in a thread of its own.

    Parameters
    ----------
    show
        Shows a line; it may wait, and it may fail.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._waiting: deque[Callable[[], object]] = deque(maxlen=ROOM)
        self._changed = threading.Condition()
        self._busy = False
        # Not waited for at the end of the process.
        threading.Thread(target=self._work, name="printing", daemon=True).start()

    def say(self, line: str) -> None:
        """Take a line; this never waits, and never fails."""
        self.hand(partial(self._show, line))

    def hand(self, show: Callable[[], object]) -> None:
        """Take something else that shows."""
        with self._changed:
            self._waiting.append(show)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything is shown, for so long at most; return whether nothing waits."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def take_over(self, logger: logging.Logger) -> None:
        """Let the handlers of a logger that show records, and write no file, do it in this thread."""
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler | _Handed):
                logger.removeHandler(handler)
                logger.addHandler(_Handed(self, handler))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                show, self._busy = self._waiting.popleft(), True
            # The reader has gone, or the stream is closed.
            with suppress(OSError, ValueError):
                show()
            with self._changed:
                self._busy = False
                self._changed.notify_all()


class _Handed(logging.Handler):
    """Hands records to a printer, which lets another handler show them."""

    def __init__(self, printer: Printer, shows: logging.Handler) -> None:
        super().__init__(shows.level)
        self._printer, self._shows = printer, shows

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record over."""
        self._printer.hand(partial(self._shows.handle, record))
