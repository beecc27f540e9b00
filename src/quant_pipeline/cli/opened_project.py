"""The project as commands find it: configuration and catalog, without a session of Kedro.

A session would make every pipeline to learn the types of their parameters. The files of the configuration are the same,
and so are the datasets; a block of the parameters gets its type when a command reads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kedro.io import DataCatalog
from pydantic import ValidationError

from quant_pipeline.cli.options import quiet
from quant_pipeline.cli.sessions import Place, configuration_folder
from quant_pipeline.common.environments import naming_environment
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters, describe_faults
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.log_file import log_to_file
from quant_pipeline.project.opened_catalog import catalog_of

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
    place: Place,
    env: str | None,
    params: dict[str, Any] | None = None,
    logs: bool = True,
    reduces_risk: bool = False,
    of_session: bool = True,
) -> Iterator[OpenedProject]:
    """Open the configuration of an environment.

    Parameters
    ----------
    place
        Where the command runs.
    env
        The environment; None takes that of the shell, or the default one.
    params
        Those of ``--params``.
    logs
        Whether logs are written.
    reduces_risk
        Whether the command only reduces the risk of an account, see `ProjectConfigLoader.reduces_risk`.
    of_session
        Whether the command stands for a session; one that does not, such as a backup, is kept from nothing by a file
        that names another one.
    """
    env = env or os.getenv("KEDRO_ENV")
    folder = configuration_folder(place)
    with quiet(), naming_environment(env):
        if logs:
            log_to_file(place.project_path, env)
        configuration = ProjectConfigLoader(str(folder), env, runtime_params=params or {}, **LOADER_OPTIONS)
        configuration.reduces_risk, configuration.is_of_session = reduces_risk, of_session
        yield OpenedProject(configuration, catalog_of(configuration))
