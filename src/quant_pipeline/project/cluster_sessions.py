"""Models trained on a cluster as ordinary sessions, one on a worker.

A session on a worker has its hooks, typed parameters and its own MLflow run, exactly as ``kedro run --namespaces`` on
this machine. Workers need the project and its data at the same path: a local cluster, or a shared file system. What a
command has found out by itself goes with the sessions, and what cannot is compared: a worker has a shell, a clock and
perhaps a folder of its own.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from quant_pipeline.common.cores import on_one_core
from quant_pipeline.common.exceptions import ConfigurationError, ModelError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.memory import share_of_memory
from quant_pipeline.common.places import path_here, protocol_of
from quant_pipeline.common.processes import birth_of, lives, this_machine
from quant_pipeline.common.progress import track
from quant_pipeline.common.shell_variables import kept_variables, set_variables
from quant_pipeline.project.cluster import (
    PARAMETER,
    SECONDS_BETWEEN_LOOKS,
    memory_of_task,
    scheduler_lost,
    worker_ended,
)
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.installation import Installation, this_installation

if TYPE_CHECKING:
    from distributed import Client, Future

logger = logging.getLogger(__name__)

LEARNED_FROM = ("feature_sets", "label", "market_rules", "models", "split")
"""Parameters that trainings read."""
RECORDED_IN = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME")
"""Variables of the shell that say where MLflow records them."""
MARK = ".cluster-"
"""Beginning of the names of marks, see `Sessions.mark`."""
DAYS_OF_MARKS = 7
"""Days for which a mark stays whose process cannot be asked for, because it is one of another machine."""

_one_session = threading.Lock()
"""Kedro, its hooks and MLflow know one session of a process at a time; a worker may have several threads."""


class Sessions(NamedTuple):
    """What the sessions of one command have in common.

    Attributes
    ----------
    project
        Folder of the project, the same on every worker.
    conf
        Folder, archive or address of its configuration, which ``--conf-source`` may have named.
    env
        Environment.
    pipeline
        Name of the pipeline.
    params
        What ``--params`` says, and the session that the environment is at.
    stated
        Parameters and globals that have to be the same on the worker, see `stated_by`.
    shell
        Variables of the shell, None for those that are not set.
    mark
        A file in the folder of the market that workers have to see; None for a market in a bucket.
    """

    project: Path
    conf: str
    env: str
    pipeline: str
    params: dict[str, Any]
    stated: dict[str, Any]
    shell: dict[str, str | None]
    mark: Path | None


@contextmanager
def sessions_of(loader: ProjectConfigLoader, pipeline: str) -> Iterator[Sessions]:
    """Say what sessions have in common that run one pipeline as a command would.

    Parameters
    ----------
    loader
        Configuration of the command.
    pipeline
        Name of the pipeline.
    """
    # Its tasks are computed there: the workers of the cluster are taken by the sessions, this one among them. The
    # session is the same for all, however late a worker begins.
    params = loader.runtime_params | {PARAMETER: None, "as_of": str(loader["parameters"]["as_of"])}
    shell = {name: os.environ.get(name) for name in RECORDED_IN}
    conf = str(loader.conf_source)
    conf = conf if protocol_of(conf) is not None else str(Path(conf).absolute())
    sessions = Sessions(loader.project, conf, loader.environment, pipeline, params, stated_by(loader), shell, None)
    market = loader["globals"]["paths"]["market"]
    folder = path_here(loader.project, market)
    if protocol_of(market) is not None or not folder.is_dir():
        yield sessions
        return
    _remove_left_over_marks(folder)
    mark = folder / f"{MARK}{uuid4().hex}"
    try:
        mark.write_text(f"{this_machine()}\n{os.getpid()}\n{birth_of(os.getpid())}\n", encoding="utf-8")
        yield sessions._replace(mark=mark)
    finally:
        mark.unlink(missing_ok=True)


def _remove_left_over_marks(folder: Path) -> None:
    """Remove the marks of commands that were killed."""
    for mark in folder.glob(f"{MARK}*"):
        # Another command may remove the same one, and one of another user stays.
        with suppress(OSError):
            if _is_left_over(mark):
                mark.unlink()


def _is_left_over(mark: Path) -> bool:
    written = mark.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(written) == 3 and written[0] == this_machine() and written[1].isdecimal():
        return not lives(int(written[1]), written[2])
    return time.time() - mark.stat().st_mtime > DAYS_OF_MARKS * 24 * 3600


def stated_by(loader: ProjectConfigLoader) -> dict[str, Any]:
    """Return by name what a configuration says of trainings, and of where they read and write.

    Globals say the latter, and whether a new model scores at once; their session goes with the parameters.
    """
    read = {name: loader["parameters"].get(name) for name in LEARNED_FROM}
    return read | {f"globals:{name}": value for name, value in loader["globals"].items() if name != "as_of"}


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
    ClusterError
        When the scheduler was lost.
    """
    home = this_installation()
    futures = {
        client.submit(run_session, home, pickle.dumps((sessions, namespace)), pure=False): namespace
        for namespace in namespaces
    }
    failures: dict[str, list[str]] = {}
    ended = track(_ended(client, set(futures)), f"running {sessions.pipeline} on the cluster", total=len(futures))
    for future in ended:
        error = future.exception()
        if error is None:
            home.compare_processor(future.result())
        else:
            failures.setdefault(_reason(error), []).append(futures[future])
    if failures:
        failed = sum(map(len, failures.values()))
        others = ", the others are done" if failed < len(futures) else ""
        reasons = first_of((f"{first_of(sorted(names))}: {reason}" for reason, names in sorted(failures.items())), "; ")
        raise ModelError(f"{failed} of {len(futures)} sessions failed{others}. {reasons}")


def _ended(client: Client, waiting: set[Future]) -> Iterator[Future]:
    """Yield sessions as they end."""
    from distributed import wait

    while waiting:
        try:
            with client.as_current():
                ended = wait(waiting, timeout=SECONDS_BETWEEN_LOOKS, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            if not client.nthreads():
                logger.warning("the cluster has no workers; the sessions wait for one")
            continue
        except CancelledError as error:
            raise scheduler_lost("models") from error
        waiting = waiting - ended
        yield from ended


def _reason(error: BaseException) -> str:
    from distributed import KilledWorker

    return worker_ended("session").message if isinstance(error, KilledWorker) else str(error)


def run_session(home: Installation, call: bytes) -> Installation:
    """Run one namespace in this process, as ``kedro run --pipelines … --namespaces …`` does.

    Parameters
    ----------
    home
        Installation of the command.
    call
        `Sessions` and the namespace, pickled: another version may have other ones.

    Raises
    ------
    ConfigurationError
        When the worker has other code or other libraries than the command, or does not see its project.
    """
    here = this_installation()
    home.require_same(here)
    sessions, namespace = pickle.loads(call)  # noqa: S301 - the scheduler of the user hands it over
    with _one_session, kept_variables(RECORDED_IN):
        set_variables(sessions.shell)
        _open_project(sessions, here.host)
        _run(sessions, namespace)
    return here


def _run(sessions: Sessions, namespace: str) -> None:
    from kedro.framework.session import KedroSession

    session = KedroSession.create(
        sessions.project,
        env=sessions.env,
        conf_source=sessions.conf,
        runtime_params=sessions.params,
        save_on_close=False,
    )
    with session, share_of_memory(memory_of_task()), on_one_core():
        session.run(pipeline_names=[sessions.pipeline], namespaces=[namespace])


def _open_project(sessions: Sessions, host: str) -> None:
    """Tell Kedro the project, which has to be the one of the command."""
    from kedro.framework.project import configure_project
    from kedro.framework.startup import bootstrap_project

    seen = f"the worker on {host}"
    remedy = "Let workers see the folder of the command, or train on this machine: --cluster 2"
    if not sessions.project.is_dir() or not (protocol_of(sessions.conf) or Path(sessions.conf).exists()):
        raise ConfigurationError(
            f"{seen} has no project in {sessions.project} with the configuration {sessions.conf}. {remedy}"
        )
    if (sessions.project / "pyproject.toml").is_file():
        bootstrap_project(sessions.project)
    else:
        configure_project(Path(__file__).parents[1].name)
    loader = ProjectConfigLoader(sessions.conf, sessions.env, runtime_params=sessions.params, **LOADER_OPTIONS)
    loader.belong_to(sessions.project)
    stated = stated_by(loader)
    names = sorted(stated.keys() | sessions.stated.keys())
    differing = [name for name in names if repr(stated.get(name)) != repr(sessions.stated.get(name))]
    if differing:
        raise ConfigurationError(
            f"{seen} reads other values of {first_of(differing)} in {sessions.conf} than the command did. {remedy}"
        )
    if sessions.mark is not None and not sessions.mark.is_file():
        raise ConfigurationError(f"{seen} has another folder {sessions.mark.parent} than the command. {remedy}")
