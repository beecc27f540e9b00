"""The cores that this process may use, and loops that are divided among them.

Threads share what they compute with, so nothing is copied for them; they gain where the work is done by NumPy, Arrow,
Parquet or compiled kernels, all of which let go of the interpreter lock. Each item is computed as it would be alone:
results have the same bits on any number of cores.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, partial
from itertools import chain, islice, repeat
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from quant_pipeline.common.control_groups import GROUPS, OWN, read_of_groups

Item = TypeVar("Item")
Result = TypeVar("Result")

_here = threading.local()


def usable_cores() -> int:
    """Return on how many cores the calling thread may compute at once.

    These are the cores of the machine that the process may run on, no more than its control groups leave it time for;
    one within `on_one_core`, and in a thread of `map_on_cores`.
    """
    if getattr(_here, "is_on_one", False):
        return 1
    # Linux knows which cores a process was given.
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(found, _cores_of_groups(GROUPS, OWN) or found)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Let the calling thread divide nothing for the length of a block: others compute beside it."""
    before, _here.is_on_one = getattr(_here, "is_on_one", False), True
    try:
        yield
    finally:
        _here.is_on_one = before


def map_on_cores(function: Callable[[Item], Result], items: Iterable[Item], most: int | None = None) -> list[Result]:
    """Call a function for every item, on all cores that there are; see `each_on_cores`."""
    return list(each_on_cores(function, items, most))


def both_on_cores(first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
    """Call two functions, on two cores where there are; see `each_on_cores`."""
    calls: list[Callable[[], Any]] = [first, second]
    item, result = map_on_cores(lambda call: call(), calls)
    return item, result


def each_on_cores(
    function: Callable[[Item], Result], items: Iterable[Item], most: int | None = None, *, few_ahead: bool = False
) -> Generator[Result]:
    """Call a function for every item, on all cores that there are.

    Parameters
    ----------
    function
        Its result depends on its argument alone. Within it there is one core.
    items
        What it is called with. On one core the next one is taken when the last one is done.
    most
        Most calls at the same time, where each takes memory of its own; None for as many as there are cores.
    few_ahead
        Whether no more than two items for each call at a time are taken before the result of the first of them is
        handed on, where items or results take memory; otherwise all are taken at once.

    Yields
    ------
    Result
        In the order of the items. What the first of them raises is raised here, after the results before it, and no
        other begins then; the same holds for what taking the next item raises, and for what ends the process there.
    """
    coming = _calls(function, items)
    threads = usable_cores() if most is None else min(usable_cores(), most)
    first = list(islice(coming, 2)) if threads > 1 else []
    are_several, every = len(first) > 1, chain(first, coming)
    del first  # Items that are done are let go.
    if not are_several:
        for call in every:
            result = call()
            del call  # And so is the item, before the next one is made.
            yield result
            del result
        return

    def run(call: Callable[[], Result]) -> Result:
        with on_one_core():
            return call()

    with ThreadPoolExecutor(threads) as pool:

        def begin(taken: Iterable[Callable[[], Result]]) -> None:
            # What NumPy does about a division by zero belongs to the context of the caller.
            waiting.extend(pool.submit(copy_context().run, run, call) for call in taken)

        waiting: deque[Future[Result]] = deque()
        try:
            begin(islice(every, 2 * threads if few_ahead else None))
            while waiting:
                result = waiting.popleft().result()
                begin(islice(every, 1))
                yield result
                del result
        finally:
            for each in waiting:
                each.cancel()


def each_beside(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """Call a function for every item while the next one is made; on one core, before it is made.

    Parameters
    ----------
    function
        Called in a thread of its own, for one item at a time.
    items
        Made in the calling thread. No more than two are there at once, and on one core one.

    Yields
    ------
    Result
        In the order of the items. What a call raises is raised in its place, when the item after it is made.
    """
    if usable_cores() == 1:
        for item in items:
            result = function(item)
            del item
            yield result
        return
    with ThreadPoolExecutor(1) as beside:
        last: Future[Result] | None = None
        for item in items:
            if last is not None:
                yield last.result()
            last = beside.submit(copy_context().run, function, item)
            del item
        if last is not None:
            yield last.result()


class KeptThreads:
    """Threads for many short loops over the same parts, where each part always runs in the same thread.

    A part then finds in the cache of a core what it has left there, and frees memory that its own thread has asked
    for: threads that free memory of each other wait for each other. The calling thread takes its share of the parts.
    With one core there is no other thread.

    Parameters
    ----------
    parts
        Most parts of a loop.
    """

    def __init__(self, parts: int) -> None:
        self._others = [ThreadPoolExecutor(1) for _ in range(min(usable_cores(), parts) - 1)]

    def __enter__(self) -> Self:
        """Return the threads; they end with the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the threads."""
        for other in self._others:
            other.shutdown()

    def map(self, function: Callable[[int], Result], parts: int) -> list[Result]:
        """Call a function for the number of every part.

        Parameters
        ----------
        function
            Its result depends on its argument alone. Within it there is one core.
        parts
            How many there are.

        Returns
        -------
        list
            In the order of the parts. What the first of them raises is raised here, when no part is at work any more.
        """
        threads = len(self._others) + 1
        if threads == 1:
            return [function(part) for part in range(parts)]

        def share_of(thread: int) -> list[Future[Result]]:
            share: list[Future[Result]] = []
            with on_one_core():
                for part in range(thread, parts, threads):
                    share.append(_outcome_of(function, part))
                    if share[-1].exception() is not None:
                        break
            return share

        waiting = [
            other.submit(copy_context().run, share_of, thread) for thread, other in enumerate(self._others, start=1)
        ]
        try:
            shares = [share_of(0)]
        finally:
            wait(waiting)
        shares += [each.result() for each in waiting]
        # Before the first part that failed there is a result of every part.
        return [shares[part % threads][part // threads].result() for part in range(parts)]


def _calls(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Callable[[], Result]]:
    """Yield a call for every item; where the next one cannot be taken, the last call raises what was raised then."""
    try:
        yield from map(partial, repeat(function), items)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, also an interruption, it is raised in its place
        yield partial(_raise, error)


def _raise(error: BaseException) -> NoReturn:
    raise error


def _outcome_of(function: Callable[[Item], Result], item: Item) -> Future[Result]:
    outcome: Future[Result] = Future()
    try:
        outcome.set_result(function(item))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised in its place
        outcome.set_exception(error)
    return outcome


@cache
def _cores_of_groups(groups: Path, own: Path) -> int | None:
    """Return the cores whose time the control groups of this process leave it, rounded up; None without a limit."""
    limits = (_cores_of(text) for text in read_of_groups(groups, own, "cpu.max"))
    return min((limit for limit in limits if limit is not None), default=None)


def _cores_of(limit: str) -> int | None:
    """Return the cores that a quota and its period are worth; None for no limit, and for what is none."""
    try:
        quota, period = map(int, limit.split())
        return max(math.ceil(quota / period), 1)
    except (ValueError, ArithmeticError):
        return None
