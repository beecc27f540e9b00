"""Which personal overrides of conf/local a run uses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.configuration import LOCAL, ProjectConfigLoader

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

logger = logging.getLogger(__name__)


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
                f"conf/{LOCAL} sets {', '.join(sorted(self._loader.withheld))}, which account '{self._environment}' "
                f"takes from its own files because it trades real money. Move them to conf/{self._environment}, or to "
                "the account they are meant for."
            )
        if files := self._loader.local_files():
            logger.info("conf/%s overrides: %s", LOCAL, ", ".join(files))
