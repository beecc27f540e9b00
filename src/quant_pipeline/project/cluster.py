"""A Dask cluster: how it is reached, and how models are trained on it as ordinary sessions, one on a worker.

A session on a worker has its hooks, typed parameters and its own MLflow run, exactly as ``kedro run --namespaces`` on
this machine. Workers need the project and its data at the same path: a local cluster, or a shared file system.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from quant_pipeline.common.cores import on_one_core
from quant_pipeline.common.exceptions import ConfigurationError, ModelError
from quant_pipeline.common.memory import share_of_memory
from quant_pipeline.common.progress import track

if TYPE_CHECKING:
    from distributed import Client

SECONDS_FOR_AN_ANSWER = 10.0
"""Seconds for which a run waits for a scheduler."""
SECONDS_FOR_A_WORKER = 60.0
"""Seconds for which it waits for the first worker of that scheduler."""


PROCESSES = 2
"""Processes of a cluster that nothing names."""
PARAMETER = "cluster"
"""Parameter that names the cluster of a run."""
ADDRESS = re.compile(r"(tcp|tls)://(\[[\w:.%-]+\]|[\w.-]+):([0-9]+)")
"""Protocol, host and port of a scheduler."""


def cluster_of(parameters: Mapping[str, Any]) -> str | int | None:
    """Return the cluster that the parameters of a run name, None where they name none; see `require_cluster`."""
    named = parameters.get(PARAMETER)
    return None if named is None else require_cluster(named)


def require_cluster(named: object) -> str | int:
    """Return what names a cluster, as a command line or a parameter says it.

    Parameters
    ----------
    named
        Address of a scheduler, or a number of processes to start on this machine.

    Raises
    ------
    ConfigurationError
        When it is neither.
    """
    if isinstance(named, str) and named.isdecimal():
        named = int(named)
    if isinstance(named, int) and not isinstance(named, bool) and named > 0:
        return named
    if isinstance(named, str) and _is_address(named):
        return named
    raise ConfigurationError(
        f"`cluster` is {named!r}; it should be the address of a Dask scheduler, such as tcp://10.0.0.5:8786, or a "
        "number of processes to start on this machine"
    )


def _is_address(text: str) -> bool:
    found = ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 2**16:
        return False
    try:
        found[2].encode("idna")
    except UnicodeError:
        # A part of the name is empty or too long.
        return False
    return True


@contextmanager
def connect(where: str | int) -> Iterator[Client]:
    """Connect to a cluster, or start one on this machine that ends with the block.

    Parameters
    ----------
    where
        Address of a scheduler, or a number of processes to start here, see `require_cluster`.

    Raises
    ------
    ConfigurationError
        When dask.distributed is not installed, the scheduler does not answer, or it has no workers.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ConfigurationError("a cluster needs dask.distributed: pip install 'quant_pipeline[cluster]'") from error
    if isinstance(where, int):
        with (
            # A process that was killed is started again, however long that takes on a busy machine.
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
            LocalCluster(n_workers=where, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(where, timeout=SECONDS_FOR_AN_ANSWER, set_as_default=False)
    except OSError as error:
        raise ConfigurationError(f"no Dask scheduler answers at {where}; start it, or leave it out") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS_FOR_A_WORKER)
        except TimeoutError as error:
            raise ConfigurationError(
                f"the Dask scheduler at {where} has no workers; start some: dask worker {where}"
            ) from error
        yield client


class Sessions(NamedTuple):
    """What the sessions of one run have in common.

    Attributes
    ----------
    project
        Folder of the project, the same on every worker.
    env
        Environment; None is the default one.
    pipeline
        Name of the pipeline.
    params
        What ``--params`` says.
    """

    project: Path
    env: str | None
    pipeline: str
    params: dict[str, Any]


def run_namespaces(client: Client, sessions: Sessions, namespaces: Sequence[str]) -> None:
    """Run one pipeline namespace by namespace on the workers of a cluster.

    Parameters
    ----------
    client
        The cluster.
    sessions
        What they have in common.
    namespaces
        One session each.

    Raises
    ------
    ModelError
        When a session failed; all others have ended, so what they made is kept.
    """
    from distributed import as_completed

    futures = {client.submit(run_namespace, sessions, namespace, pure=False): namespace for namespace in namespaces}
    failures = {}
    ended = as_completed(list(futures), loop=client.loop)
    for future in track(ended, f"running {sessions.pipeline} on the cluster", total=len(futures)):
        error = future.exception()
        if error is not None:
            failures[futures[future]] = error
    if failures:
        reasons = "; ".join(f"{namespace}: {error}" for namespace, error in sorted(failures.items()))
        raise ModelError(f"{len(failures)} of {len(futures)} sessions failed, the others are done. {reasons}")


def run_namespace(sessions: Sessions, namespace: str) -> None:
    """Run one namespace in this process, as ``kedro run --pipelines … --namespaces …`` does."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(sessions.project)
    # Its tasks are computed here: the workers of the cluster are taken by the sessions, this one among them.
    params = sessions.params | {"cluster": None}
    session = KedroSession.create(sessions.project, env=sessions.env, runtime_params=params, save_on_close=False)
    with session, share_of_memory(memory_of_task()), on_one_core():
        session.run(pipeline_names=[sessions.pipeline], namespaces=[namespace])


def memory_of_task() -> int | None:
    """Return the bytes that the task of this thread may use, as its worker and its other threads do; None without one.

    Workers of one machine have limits that together are no more than its memory, unless they were started with others.
    """
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return None
    limit = worker.memory_manager.memory_limit
    return limit and int(limit) // worker.state.nthreads
