"""Kedro sessions for commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from quant_pipeline.common.exceptions import ConfigurationError

if TYPE_CHECKING:
    from kedro.framework.session import KedroSession


class Place(Protocol):
    """Where a command runs: what Kedro hands to it, or the console script."""

    @property
    def project_path(self) -> Path:
        """Folder of the project."""


CONFIGURATION = "conf"


def as_typed(path: Path) -> Path:
    """Return a path as it can be typed where the command was: below the folder of the shell, or else in full."""
    path, shell = path.absolute(), Path.cwd()
    return path.relative_to(shell) if path.is_relative_to(shell) else path


def configuration_folder(place: Place) -> Path:
    """Return the folder of the configuration.

    Raises
    ------
    ConfigurationError
        When it is not there. These commands have no ``--conf-source``, so the advice is another than that of a run.
    """
    folder = place.project_path / CONFIGURATION
    if not folder.is_dir():
        raise ConfigurationError(
            f"There is no {CONFIGURATION}/ in {folder.absolute().parent}; start in the folder that holds it, or unpack "
            "the archive of the configuration there."
        )
    return folder


@contextmanager
def open_session(place: Place, env: str | None, **parameters: Any) -> Iterator[KedroSession]:
    """Open a session of an environment; ``parameters`` are those of ``--params``."""
    from kedro.framework import project
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    configuration_folder(place)
    if project.PACKAGE_NAME is None:
        bootstrap_project(place.project_path)
    session = KedroSession.create(place.project_path, env=env, runtime_params=parameters, save_on_close=False)
    with session:
        yield session
