"""Hand the configuration to the model registry and to logging; print the line about conf/local as a run begins."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT, LOCAL
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.project.configuration import ProjectConfigLoader

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

LOGGING_FILE = "logging.yml"

logger = logging.getLogger(__name__)


class ModelRegistryHooks:
    """Let ``--env`` and ``--params`` reach the model registry, from which the pipelines are made."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Hand the configuration of this session to the registry."""
        from quant_pipeline.project.model_registry import use_config_loader

        use_config_loader(context.config_loader)


class LogConfigurationHooks:
    """Take ``logging.yml`` from an archive or a folder named by ``--conf-source``; Kedro reads ``./conf`` only."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Configure logging, unless Kedro has found a file itself."""
        loader = context.config_loader
        found = "KEDRO_LOGGING_CONFIG" in os.environ or (Path("conf") / LOGGING_FILE).is_file()
        if found or not isinstance(loader, ProjectConfigLoader):
            return
        from kedro.framework.project import LOGGING

        if text := loader.read_beside(LOGGING_FILE):
            LOGGING.configure(yaml.safe_load(text))


class LocalOverrideHooks:
    """Name the files of conf/local at the start of a run; refuse those that touch an account with real money."""

    def __init__(self) -> None:
        self._loader: ProjectConfigLoader | None = None
        self._environment = DEFAULT_ENVIRONMENT

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the configuration of the session."""
        self._environment = context.env or DEFAULT_ENVIRONMENT
        self._loader = context.config_loader if isinstance(context.config_loader, ProjectConfigLoader) else None

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Log one line when conf/local sets anything.

        Raises
        ------
        ConfigurationError
            When the account trades real money and conf/local sets its limits, its identity or its broker.
        """
        if self._loader is None:
            return
        if self._loader.withheld:
            raise ConfigurationError(
                f"conf/{LOCAL} sets {first_of(sorted(self._loader.withheld))}, which account '{self._environment}' "
                f"takes from its own files because it trades real money. Move them to conf/{self._environment}, or to "
                "the account they are meant for."
            )
        if files := self._loader.local_files():
            logger.info("conf/%s overrides: %s", LOCAL, first_of(files))
