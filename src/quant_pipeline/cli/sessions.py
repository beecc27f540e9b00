"""Kedro sessions for commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from quant_pipeline.common.storage_errors import StorageErrorsInOneLine

if TYPE_CHECKING:
    from kedro.framework.session import KedroSession


class Place(Protocol):
    """Where a command runs: what Kedro hands to it, or the console script."""

    @property
    def project_path(self) -> Path:
        """Folder of the project."""


@contextmanager
def open_session(place: Place, env: str | None, **parameters: Any) -> Iterator[KedroSession]:
    """Open a session of an environment; ``parameters`` are those of ``--params``."""
    from kedro.framework import project
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    if project.PACKAGE_NAME is None:
        bootstrap_project(place.project_path)
    with StorageErrorsInOneLine():
        session = KedroSession.create(place.project_path, env=env, runtime_params=parameters, save_on_close=False)
        with session:
            yield session
