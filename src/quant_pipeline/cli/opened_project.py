"""The project as commands find it: configuration and catalog, without a session of Kedro.

A session would make every pipeline to learn the types of their parameters. The files of the configuration are the same,
and so are the datasets; a block of the parameters gets its type when a command reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kedro.config import MissingConfigException
from kedro.io import DataCatalog
from pydantic import ValidationError

from quant_pipeline.cli.options import quiet
from quant_pipeline.cli.sessions import Place, configuration_folder
from quant_pipeline.common.environments import naming_environment
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters, describe_faults
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.hooks.narration import log_to_file

PATHS = ("filename", "filepath", "path")
"""Keys of the catalog that hold a path, as Kedro knows them."""

Rules = TypeVar("Rules", bound=Parameters)


@dataclass(frozen=True)
class OpenedProject:
    """Configuration of one environment, and its datasets."""

    configuration: ProjectConfigLoader
    catalog: DataCatalog

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, as the files and ``--params`` say."""
        return self.configuration["parameters"]

    def rules(self, block: str, kind: type[Rules]) -> Rules:
        """Return a block of the parameters.

        Raises
        ------
        ConfigurationError
            When it has an unknown key or a value that does not fit; the message lists all of them.
        """
        try:
            return kind.model_validate(self.parameters[block])
        except ValidationError as error:
            raise ConfigurationError(
                f"{describe_faults(error, kind, block, self.configuration.place_of)}. Correct it there."
            ) from error


@contextmanager
def open_project(
    place: Place, env: str | None, params: dict[str, Any] | None = None, logs: bool = True
) -> Iterator[OpenedProject]:
    """Open the configuration of an environment; ``params`` are those of ``--params``, ``logs`` are written or not."""
    env = env or os.getenv("KEDRO_ENV")
    folder = configuration_folder(place)
    with quiet(), naming_environment(env):
        if logs:
            log_to_file(place.project_path, env)
        configuration = ProjectConfigLoader(str(folder), env, runtime_params=params or {}, **LOADER_OPTIONS)
        try:
            credentials = configuration["credentials"]
        except MissingConfigException:
            credentials = {}
        entries = _with_absolute_paths(configuration["catalog"], place.project_path)
        yield OpenedProject(configuration, DataCatalog.from_config(entries, credentials))


def _with_absolute_paths(entries: dict[str, Any], project: Path) -> dict[str, Any]:
    """Let paths begin at the project's folder, as a context of Kedro does, wherever the command was typed."""
    return {key: _with_absolute_path(key, value, project) for key, value in entries.items()}


def _with_absolute_path(key: str, value: Any, project: Path) -> Any:
    if isinstance(value, dict):
        return _with_absolute_paths(value, project)
    if key in PATHS and isinstance(value, str) and "://" not in value:
        return (project / value).as_posix()
    return value
