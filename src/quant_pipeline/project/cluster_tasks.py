"""Tasks on the workers of a Dask cluster; what they return has the same bits as in this process.

What tasks share is pickled once, kept by the workers, and sent again when it was lost with one of them. Dask itself
runs the tasks of a worker that was killed on another one. Arguments and results travel as one string of bytes each:
arrays that Dask unpacks begin where a message happens to hold them, and kernels are compiled for aligned ones.
"""

from __future__ import annotations

import logging
import pickle
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from quant_pipeline.common.cores import on_one_core
from quant_pipeline.common.exceptions import ClusterError
from quant_pipeline.common.memory import share_of_memory
from quant_pipeline.common.progress import unreported
from quant_pipeline.models.panels import files_in_sight
from quant_pipeline.project.cluster import (
    SECONDS_BETWEEN_LOOKS,
    SECONDS_FOR_A_WORKER,
    connect,
    memory_of_task,
    scheduler_lost,
    worker_ended,
)
from quant_pipeline.project.installation import Installation, this_installation

if TYPE_CHECKING:
    from distributed import Client, Future

    Buffer = bytes | bytearray | memoryview

logger = logging.getLogger(__name__)

TASKS_IN_ADVANCE = 4
"""Tasks for each place of the cluster that are sent before a result is taken: no more than these wait in its memory."""
LOSSES = 5
"""How often what a task needs may be lost with workers before a run gives up."""
LOST = f"what tasks need was lost with workers {LOSSES} times; see the logs of the workers"


class Packed:
    """An object as bytes: it is unpacked once in each process that uses it.

    Parameters
    ----------
    content
        The bytes.
    in_sight
        Whether every process that it is handed to sees the files of this one, see `files_in_sight`.
    """

    def __init__(self, content: Buffer, in_sight: bool = False) -> None:
        self._content: Buffer | None = content
        self._in_sight = in_sight
        self._unpacked: Any = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Packed], tuple[pickle.PickleBuffer, bool]]:
        """Return the bytes, for another worker."""
        with self._lock:
            content = _dumped(self._unpacked, self._in_sight) if self._content is None else self._content
            return Packed, (pickle.PickleBuffer(content), self._in_sight)

    def unpack(self) -> Any:
        """Return the object and let go of its bytes."""
        with self._lock:
            if self._content is not None:
                self._unpacked, self._content = pickle.loads(self._content), None  # noqa: S301 - made by this run
            return self._unpacked


class ClusterWorkers:
    """Workers that this process reaches with its first task.

    Parameters
    ----------
    where
        Address of a scheduler, or a number of processes to start on this machine.
    """

    def __init__(self, where: str | int) -> None:
        self._where = where
        self._client: Client | None = None
        self._opened = ExitStack()
        self._lock = threading.Lock()
        self._shared: dict[int, tuple[weakref.ref[Any], Future]] = {}

    def close(self) -> None:
        """Leave the cluster; processes that were started here end."""
        with self._lock:
            self._client = None
            self._shared.clear()
            self._opened.close()

    @property
    def client(self) -> Client:
        """The connection, made when it is first asked for.

        Raises
        ------
        ConfigurationError
            When dask.distributed is not installed, no scheduler answers, or it has no workers.
        """
        with self._lock:
            if self._client is None:
                self._client = self._opened.enter_context(connect(self._where))
                places = self._client.nthreads()
                logger.info(
                    "tasks run on %d workers with %d threads at %s",
                    len(places), sum(places.values()), self._client.scheduler.address,
                )  # fmt: skip
            return self._client

    @property
    def places(self) -> int:
        """Tasks that run at the same time."""
        return max(sum(self.client.nthreads().values()), 1)

    def run(self, function: Callable[[Any, Any], Any], shared: Any, items: Iterable[Any]) -> Generator[Any]:
        """Begin tasks at once, and return their results in the order of the items; see `common.tasks.run_tasks`."""
        return _Batch(self, function, shared, items).results()

    def share(self, shared: Any) -> Future:
        """Send an object to the cluster, unless it is there; workers hand it to each other.

        Dask's own broadcast would wait for ever for a worker that was killed meanwhile.
        """
        known = self._shared.get(id(shared))
        if known is not None and known[0]() is shared and known[1].status == "finished":
            return known[1]
        # Processes that were started here see the files of this one.
        in_sight = isinstance(self._where, int)
        future, number = self._sent(Packed(_dumped(shared, in_sight), in_sight)), id(shared)
        try:
            # It is remembered as long as the object lives, and no longer: workers need their memory.
            self._shared[number] = weakref.ref(shared, lambda _: self._shared.pop(number, None)), future
        except TypeError:
            # Of what no weak reference exists, such as a tuple, no call knows whether it is the same one.
            return future
        return future

    def _sent(self, packed: Packed) -> Future:
        for _ in range(LOSSES):
            try:
                (future,) = self.client.scatter([packed], hash=False, timeout=SECONDS_FOR_A_WORKER)
                return future
            except TimeoutError as error:
                raise ClusterError(
                    "the cluster has no workers any more; start some, and run the same command again"
                ) from error
            except OSError as error:
                logger.warning("a worker was lost while data were sent to it: %s", error)
        raise ClusterError(LOST)


class _Batch:
    """Tasks of one call."""

    def __init__(
        self, workers: ClusterWorkers, function: Callable[[Any, Any], Any], shared: Any, items: Iterable[Any]
    ) -> None:
        self._workers = workers
        self._shared = shared
        self._home = this_installation()
        self._calls = (_dumped((function, item)) for item in items)
        self._failure: BaseException | None = None
        self._waiting: deque[tuple[bytes, Future]] = deque()
        self._data = workers.share(shared)
        self._begin(TASKS_IN_ADVANCE * workers.places)

    def results(self) -> Generator[Any]:
        try:
            while self._waiting:
                content, worker = self._first_outcome()
                self._waiting.popleft()
                self._begin(1)
                self._home.compare_processor(worker)
                yield pickle.loads(content)  # noqa: S301 - made by a worker that runs the code of this run
            if self._failure is not None:
                raise self._failure
        finally:
            for _, future in self._waiting:
                future.cancel()

    def _begin(self, count: int) -> None:
        self._waiting.extend((call, self._submit(call)) for call in self._next_calls(count))

    def _next_calls(self, count: int) -> Iterator[bytes]:
        """Yield some calls; what taking an item raises is raised after the results of those before it."""
        try:
            yield from islice(self._calls, count)
        except BaseException as error:  # noqa: BLE001 - whatever it is, also an interruption, it is raised in its place
            self._failure = error

    def _submit(self, call: bytes) -> Future:
        return self._workers.client.submit(run_call, self._home, call, self._data, pure=False)

    def _first_outcome(self) -> tuple[bytes, Installation]:
        from distributed import KilledWorker

        for _ in range(LOSSES):
            try:
                return self._await(self._waiting[0][1])
            except CancelledError as error:
                if getattr(error, "reason", "") == "scheduler-connection-lost":
                    self._waiting.clear()
                    raise scheduler_lost("windows, trials and combinations") from error
                self._send_again()
            except KilledWorker as error:
                raise worker_ended("task") from error
        raise ClusterError(LOST)

    def _await(self, future: Future) -> tuple[bytes, Installation]:
        while True:
            try:
                return future.result(timeout=SECONDS_BETWEEN_LOOKS)
            except TimeoutError:
                if future.status == "error":
                    raise
                if not self._workers.client.nthreads():
                    logger.warning("the cluster has no workers; the run waits for one")

    def _send_again(self) -> None:
        """Send what was lost with a worker, and the tasks that needed it."""
        logger.warning("data of tasks were lost with a worker and are sent again")
        if self._data.status != "finished":
            self._data = self._workers.share(self._shared)
        self._waiting = deque(
            (call, self._submit(call) if future.status in ("cancelled", "lost") else future)
            for call, future in self._waiting
        )


def run_call(home: Installation, call: bytes, shared: Packed) -> tuple[bytes, Installation]:
    """Run one task on a worker, on one core, as it runs a task on each; progress and choice of threads are of the run.

    Raises
    ------
    ConfigurationError
        When the worker has other code or other libraries than the process that the run began in.
    """
    here = this_installation()
    home.require_same(here)
    function, item = pickle.loads(call)  # noqa: S301 - the scheduler of the user hands it over
    data = shared.unpack()
    with unreported(), on_one_core(), share_of_memory(memory_of_task()):
        return _dumped(function(data, item)), here


def _dumped(content: Any, in_sight: bool = False) -> bytes:
    with files_in_sight(in_sight):
        return pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
