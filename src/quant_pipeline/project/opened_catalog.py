"""The datasets of an environment for scripts, notebooks and commands, without a session of Kedro."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.io import DataCatalog, DatasetError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.project_paths import OF_KEDRO


def open_catalog(
    project: str | Path = ".", env: str | None = None, params: Mapping[str, Any] | None = None
) -> DataCatalog:
    """Open the datasets of an environment, without a session of Kedro.

    Parameters
    ----------
    project
        Folder of the project.
    env
        Environment; None: the default one.
    params
        What ``--params`` would say.

    Returns
    -------
    kedro.io.DataCatalog
        ``open_catalog().load("bars")``.
    """
    root = Path(project).absolute()
    return catalog_of(ProjectConfigLoader(str(root / "conf"), env, runtime_params=dict(params or {}), **LOADER_OPTIONS))


def catalog_of(configuration: ProjectConfigLoader) -> DataCatalog:
    """Make the catalog of a configuration; paths begin at the project's folder, wherever the caller works.

    Raises
    ------
    ConfigurationError
        When Kedro can make no catalog of it.
    """
    try:
        credentials = configuration["credentials"]
    except MissingConfigException:
        credentials = {}
    entries = _with_absolute_paths(configuration["catalog"], configuration.project)
    with catalog_in_one_line(configuration):
        return DataCatalog.from_config(entries, credentials)


@contextmanager
def catalog_in_one_line(configuration: ProjectConfigLoader) -> Iterator[None]:
    """Turn what Kedro says of entries that it can make no catalog of into one line.

    Raises
    ------
    ConfigurationError
        When it refuses one; where the session is no day, which stands in many entries, that is the cause.
    """
    try:
        yield
    except DatasetError as error:
        _ = configuration.session
        said = " ".join(str(error).split())
        raise ConfigurationError(
            f"Kedro can make no catalog of environment '{configuration.environment}': {said} Correct it there."
        ) from error


def _with_absolute_paths(entries: dict[str, Any], project: Path) -> dict[str, Any]:
    return {key: _with_absolute_path(key, value, project) for key, value in entries.items()}


def _with_absolute_path(key: str, value: Any, project: Path) -> Any:
    if isinstance(value, dict):
        return _with_absolute_paths(value, project)
    if key in OF_KEDRO and isinstance(value, str) and "://" not in value:
        return (project / value).as_posix()
    return value
