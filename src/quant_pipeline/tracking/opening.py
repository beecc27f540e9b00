"""Open MLflow for a session, or say in one line why it cannot be opened."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import requests
from alembic.util import CommandError
from kedro.framework.context import KedroContext
from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
from mlflow.exceptions import MlflowException
from pydantic import ValidationError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from quant_pipeline.common.exceptions import BusyError, ConfigurationError, TrackingError
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.tracking.batches import BatchedHook
from quant_pipeline.tracking.dead_runs import tag_runs
from quant_pipeline.tracking.relocation import ARTIFACTS, follow_project
from quant_pipeline.tracking.store import prepare_store

# What it writes down is raised as well; a traceback of a hundred lines would hide the line that says what is wrong.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

FAILURES = (TrackingError, BusyError, MlflowException, SQLAlchemyError, sqlite3.Error, CommandError, OSError)
"""What a tracking store may end in; errors of `requests` are errors of the operating system."""
DEFAULT_STORE = "mlflow.db"
SECONDS_TO_ANSWER = 5
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""For a server that stops answering during a run; as MLflow comes it would hold up every record for minutes."""


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
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    if mlflow.active_run() is None:
        uri = _complete_settings(context)
        prepare(uri)
    hook = BatchedHook()
    try:
        with _shell_as_it_was():
            hook.after_context_created(context)
    except ValidationError as error:
        raise ConfigurationError(
            f"mlflow.yml cannot be used: {describe_faults(error, KedroMlflowConfig)}. Correct it there."
        ) from error
    return hook


@contextmanager
def _shell_as_it_was() -> Iterator[None]:
    """Take back what MLflow sets for child processes: the next session of this process would read it as the shell's."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _complete_settings(context: KedroContext) -> str:
    """Fill in what ``mlflow.yml`` leaves open, and return the address of the store.

    The store is the one that the shell names, or a SQLite file in the folder of the session's project; artifacts lie
    beside a SQLite file, and where a server wants them.
    """
    settings = context.config_loader["mlflow"]
    server = settings["server"] = settings.get("server") or {}
    uri = server.get("mlflow_tracking_uri")
    if uri is None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DEFAULT_STORE}"
    file = local_store(uri, context.project_path)
    if file is not None:
        uri = f"sqlite:///{file}"
        node = settings
        for key in ("tracking", "experiment", "create_experiment_kwargs"):
            node[key] = node.get(key) or {}
            node = node[key]
        if node.get("artifact_location") is None:
            node["artifact_location"] = str(file.with_name(ARTIFACTS))
    server["mlflow_tracking_uri"] = uri
    context.config_loader["mlflow"] = settings
    return uri


def local_store(uri: str, project: Path) -> Path | None:
    """Return the file of a SQLite store, None for every other address.

    Parameters
    ----------
    uri
        Address of a tracking store, ``sqlite:///mlflow.db``.
    project
        Folder that relative paths begin in.
    """
    url = make_url(uri) if uri.startswith("sqlite") else None
    if url is None or url.database in (None, "", ":memory:"):
        return None
    return project / str(url.database)


def prepare(uri: str) -> None:
    """Make sure that MLflow can open a store.

    Parameters
    ----------
    uri
        Address of the store.

    Raises
    ------
    TrackingError
        When it cannot.
    """
    if uri.startswith(("http://", "https://")):
        _await_server(uri)
    file = local_store(uri, Path.cwd())
    if file is not None:
        prepare_store(file)
        follow_project(file)
    tag_runs()


def _await_server(uri: str) -> None:
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=SECONDS_TO_ANSWER)
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError):
        # Certificates and proxies have settings of MLflow's own; it says itself what is wrong with them.
        return
    except requests.exceptions.RequestException as error:
        raise TrackingError(f"no tracking server answers at {uri} ({type(error).__name__})") from error


def describe(error: BaseException) -> str:
    """Say in one line what a store failed with."""
    text = str(getattr(error, "orig", None) or error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
