"""Tasks: one function called for many items, in this process or on the workers of a cluster, with the same results.

A stage that can be divided calls `run_tasks` and does not know where its tasks run. The run decides: a hook names the
workers for as long as it lasts (`quant_pipeline.project.hooks.cluster`). Here nothing of a cluster is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from quant_pipeline.common.cores import each_on_cores

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Other processes that run tasks."""

    @property
    def places(self) -> int:
        """Tasks that run at the same time."""

    def run(self, function: Callable[[Any, Any], Any], shared: Any, items: Iterable[Any]) -> Generator[Any]:
        """Run tasks as `run_tasks` does."""


_workers: Workers | None = None


@contextmanager
def tasks_on(workers: Workers) -> Iterator[None]:
    """Let the tasks of this process run on workers for the length of a block, in whatever thread they begin."""
    # Threads of Kedro's ThreadRunner would not know a context variable.
    global _workers
    before, _workers = _workers, workers
    try:
        yield
    finally:
        _workers = before


def places_elsewhere() -> int:
    """Return how many tasks run at the same time on the workers of a cluster; 0 where tasks run in this process."""
    return 0 if _workers is None else _workers.places


def run_tasks(
    function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item], *, threads: int = 1
) -> Generator[Result]:
    """Call a function for every item, here or on the workers of the run.

    Parameters
    ----------
    function
        A function of a module, so that a worker finds it by its name. Its result depends on its arguments alone, and it
        changes none of them: a task whose worker was killed is run again.
    shared
        What all tasks read; it travels to a worker once.
    items
        One for each task. Here, the next one is taken when its task begins; workers are given some in advance.
    threads
        Most threads that run tasks in this process, no more than there are cores; workers run as many tasks as they
        have threads.

    Returns
    -------
    Generator
        Results in the order of the items, the same bits wherever they were computed. What a task raises is raised in
        the place of its result, and ends the iteration. Tasks on workers begin at once, those here when a result is
        asked for; closing it gives up the others.
    """
    if _workers is not None:
        return _workers.run(function, shared, items)
    return each_on_cores(partial(function, shared), items, threads, few_ahead=True)
