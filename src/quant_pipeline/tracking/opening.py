"""Open MLflow for a session, or say in one line why it cannot be opened."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import requests
import sqlalchemy as sa
from kedro.framework.context import KedroContext
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from mlflow.entities import Run
from pydantic import ValidationError

from quant_pipeline.common.databases import read_url, sqlite_file, sqlite_url
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import ConfigurationError, TrackingError
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.common.secret_names import without_secrets
from quant_pipeline.common.shell_variables import kept_variables
from quant_pipeline.tracking.batches import BatchedHook
from quant_pipeline.tracking.dead_runs import tag_runs
from quant_pipeline.tracking.relocation import ARTIFACTS, follow_project
from quant_pipeline.tracking.store import prepare_store

logger = logging.getLogger(__name__)

# What it writes down is raised as well; a traceback of a hundred lines would hide the line that says what is wrong.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

DEFAULT_STORE = "mlflow.db"
STORE = "what MLflow records"
PAGES = "127.0.0.1:5000"
"""Where `kedro mlflow ui` serves unless it is asked otherwise."""
SECONDS_TO_ANSWER = 5
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""For a server that stops answering during a run; as MLflow comes it would hold up every record for minutes."""
NO_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
"""For the end of a record whose server has stopped answering."""
SILENCE = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
"""MLflow would print the address of every nested run; the address of the run is logged once, at its end."""
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Ports of databases whose address names none."""
LIBPQ = ("psycopg", "psycopg2")
"""Drivers of PostgreSQL on its own library, which knows places beside a URL: sockets, services, ``PGHOST``."""


@contextmanager
def failing_open(report: Callable[[Exception], None]) -> Iterator[None]:
    """Let no failure of a tracking store stop what is recorded.

    Stores, servers and the clients of buckets raise errors of many libraries, some of which are not installed here.

    Parameters
    ----------
    report
        Called with the failure.

    Raises
    ------
    ConfigurationError
        When a key of ``mlflow.yml`` is wrong, which the user has to correct.
    """
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:
        logger.debug("MLflow failed", exc_info=True)
        report(error)


def open_tracking(context: KedroContext) -> BatchedHook:
    """Set MLflow up as the ``mlflow.yml`` of a session says.

    Parameters
    ----------
    context
        Context of the session; it gets the attribute ``mlflow``.

    Returns
    -------
    BatchedHook
        Kedro-mlflow's hook, as after the creation of a context.

    Raises
    ------
    ConfigurationError
        When a key of ``mlflow.yml`` is wrong.
    TrackingError
        When the server does not answer.
    """
    for name, value in (PATIENCE | SILENCE).items():
        os.environ.setdefault(name, value)
    if mlflow.active_run() is None:
        uri = _complete_settings(context)
        prepare(uri)
    hook = BatchedHook()
    try:
        # MLflow sets them for child processes.
        with kept_variables(("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")):
            hook.after_context_created(context)
    except ValidationError as error:
        raise ConfigurationError(
            f"mlflow.yml cannot be used: {describe_faults(error, KedroMlflowConfig)}. Correct it there."
        ) from error
    return hook


def _complete_settings(context: KedroContext) -> str:
    """Fill in what ``mlflow.yml`` leaves open, and return the address of the store.

    The store is the one that the shell names, or a SQLite file in the folder of the session's project; artifacts lie
    beside a SQLite file, and where a server wants them. The experiment is the one that the shell names, or the account.
    """
    settings = context.config_loader["mlflow"]
    server = settings["server"] = settings.get("server") or {}
    uri = named_store(server)
    experiment = _inner(_inner(settings, "tracking"), "experiment")
    if experiment.get("name") is None:
        experiment["name"] = os.environ.get("MLFLOW_EXPERIMENT_NAME") or context.config_loader["globals"]["account"]
    file = local_store(uri, context.project_path)
    if file is not None:
        uri = sqlite_url(file)
        created = _inner(experiment, "create_experiment_kwargs")
        if created.get("artifact_location") is None:
            created["artifact_location"] = file.with_name(ARTIFACTS).as_uri()
    server["mlflow_tracking_uri"] = uri
    context.config_loader["mlflow"] = settings
    return uri


def named_store(server: Mapping[str, Any]) -> str:
    """Return the store that the block ``server`` names, else the shell, else the default one."""
    named = server.get("mlflow_tracking_uri")
    return str(named or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DEFAULT_STORE}")


def _inner(settings: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a block of a block, which is made where it is missing."""
    block: dict[str, Any] = settings.get(key) or {}
    settings[key] = block
    return block


def local_store(uri: str, project: Path) -> Path | None:
    """Return the file of a SQLite store, None for every other address.

    Parameters
    ----------
    uri
        Address of a tracking store, ``sqlite:///mlflow.db``.
    project
        Folder that relative paths begin in.
    """
    file = sqlite_file(read_url(uri, STORE)) if _backend(uri) == "sqlite" else None
    return None if file is None else project / file


def prepare(uri: str) -> None:
    """Make sure that MLflow can open a store.

    Parameters
    ----------
    uri
        Address of the store.

    Raises
    ------
    ConfigurationError
        When the address of a database cannot be read.
    TrackingError
        When it cannot.
    """
    if uri.startswith(("http://", "https://")):
        _await_server(uri)
    elif _backend(uri) in PORTS:
        _await_database(uri)
    file = local_store(uri, Path.cwd())
    if file is not None:
        prepare_store(file)
        follow_project(file)
    tag_runs()


def _backend(uri: str) -> str | None:
    """Return which database an address is of, in SQLAlchemy's words; None where it has no protocol."""
    protocol, separator, _ = uri.partition("://")
    return protocol.partition("+")[0] if separator else None


def _await_server(uri: str) -> None:
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=SECONDS_TO_ANSWER)
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError):
        # Certificates and proxies have settings of MLflow's own; it says itself what is wrong with them.
        return
    except requests.exceptions.RequestException as error:
        raise TrackingError(f"no tracking server answers at {without_secrets(uri)} ({type(error).__name__})") from error


def _await_database(uri: str) -> None:
    """Look whether something listens; MLflow itself tries ten times, for minutes."""
    url = read_url(uri, STORE)
    if url.host is None:
        # A socket, or a server that the query or a service file names: the driver alone knows where it is.
        if url.get_driver_name() in LIBPQ:
            _await_libpq(url)
        return
    place = url.host, url.port or PORTS[url.get_backend_name()]
    try:
        socket.create_connection(place, timeout=SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise TrackingError(f"no database answers at {place[0]}:{place[1]} ({type(error).__name__})") from error


def _await_libpq(url: sa.URL) -> None:
    """Let the driver look for the server, once."""
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": SECONDS_TO_ANSWER}
    engine = sa.create_engine(url, connect_args=timeout, poolclass=sa.NullPool)
    try:
        engine.connect().close()
    except sa.exc.OperationalError as error:
        raise TrackingError(f"the database of MLflow cannot be reached: {describe(error)}") from error


def page_of(run: Run, environment: str | None) -> str:
    """Say where a run is seen: its address at a server, or the command that serves the pages and the address there.

    Parameters
    ----------
    run
        The run.
    environment
        That of the session, whose settings the command reads.
    """
    path = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    uri = mlflow.get_tracking_uri()
    if uri.startswith(("http://", "https://")):
        return f"{without_secrets(uri).rstrip('/')}/{path}"
    return f"http://{PAGES}/{path} while `{in_environment('kedro mlflow ui', environment)}` runs"


def describe(error: BaseException) -> str:
    """Say in one line what a store failed with."""
    text = str(getattr(error, "orig", None) or error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
