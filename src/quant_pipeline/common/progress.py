"""Progress of long work: a bar on a terminal, sparse log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0

Item = TypeVar("Item")

_running: ContextVar[bool] = ContextVar("progress_is_shown", default=False)


@contextmanager
def unreported() -> Iterator[None]:
    """Report no progress of what a block does, because another process speaks for it."""
    token = _running.set(True)
    try:
        yield
    finally:
        _running.reset(token)


def track(iterable: Iterable[Item], description: str, total: int | None = None) -> Generator[Item]:
    """Iterate and report progress.

    Parameters
    ----------
    iterable
        What to iterate over.
    description
        What is being done, in words that fit on a line: ``"replaying sessions"``.
    total
        Number of items; taken from ``len(iterable)`` when it is known.

    Yields
    ------
    Item
        The items, unchanged and in order.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if _running.get():
        # Work within work: the outer progress speaks for both, and a terminal shows one bar at a time.
        yield from iterable
        return
    token = _running.set(True)
    try:
        console = Console(stderr=True)
        if console.is_terminal:
            yield from _with_bar(iterable, description, total, console)
        else:
            yield from _with_log_lines(iterable, description, total)
    finally:
        _running.reset(token)


def _with_bar(iterable: Iterable[Item], description: str, total: int | None, console: Console) -> Iterator[Item]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(description, total=total)
        for item in iterable:
            yield item
            progress.advance(task)


def _with_log_lines(iterable: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    last = time.monotonic()
    of_total = f" of {total}" if total is not None else ""
    for done, item in enumerate(iterable, start=1):
        yield item
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            logger.info("%s: %d%s", description, done, of_total)
