"""What a user sees while numba compiles kernels: one line that says what and how long, and progress.

numba reports what it compiles, and not what it loads because its machine code is kept on disk. So this one listener
speaks for all kernels, wherever their first call happens.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from functools import cache
from typing import Any

from numba.core.dispatcher import Dispatcher
from numba.core.event import Event, Listener, register

from quant_pipeline.common.progress import track

logger = logging.getLogger(__name__)

SECONDS_PER_KERNEL = 0.4
"""The mean over all 116 of trading is 0.31; inlining makes some of them several times as long."""
SECONDS_WORTH_TELLING = 3.0


@cache
def announce_compilation() -> None:
    """Announce from now on, once and with progress, what has to be compiled."""
    register("numba:compile", _Announcer())


class _Announcer(Listener):
    """Follow the compilation of a kernel and of the kernels inside it; numba's lock admits one thread at a time."""

    def __init__(self) -> None:
        self._depth = 0
        self._progress: Generator[int] | None = None

    def on_start(self, event: Event) -> None:
        """Announce the outermost kernel."""
        dispatcher = event.data["dispatcher"]
        if not _is_ours(dispatcher):
            return
        self._depth += 1
        if self._depth > 1:
            return
        number = len(_inside(dispatcher))
        seconds = math.ceil(number * SECONDS_PER_KERNEL)
        if seconds < SECONDS_WORTH_TELLING:
            return
        name = dispatcher.py_func.__name__.lstrip("_")
        logger.info("Compiling %s and the %d kernels inside it, once, about %d s", name, number - 1, seconds)
        self._progress = track(range(number), f"compiling {name}")
        next(self._progress)

    def on_end(self, event: Event) -> None:
        """Advance, and end with the outermost kernel."""
        if not _is_ours(event.data["dispatcher"]):
            return
        self._depth -= 1
        if self._progress is None:
            return
        if self._depth:
            next(self._progress, None)
        else:
            self._progress.close()
            self._progress = None


def _is_ours(dispatcher: Any) -> bool:
    return dispatcher.py_func.__module__.startswith("quant_pipeline.")


def _inside(dispatcher: Dispatcher) -> set[Dispatcher]:
    """Return a kernel and, at any depth, those it calls, as far as no machine code of them is kept."""
    found, waiting = {dispatcher}, [dispatcher]
    while waiting:
        function = waiting.pop().py_func
        named = [function.__globals__.get(name) for name in function.__code__.co_names]
        new = {kernel for kernel in named if isinstance(kernel, Dispatcher) and not _is_kept(kernel)} - found
        found |= new
        waiting += new
    return found


def _is_kept(dispatcher: Any) -> bool:
    kept = getattr(dispatcher._cache, "_cache_file", None)
    return bool(dispatcher.overloads) or (kept is not None and bool(kept._load_index()))
