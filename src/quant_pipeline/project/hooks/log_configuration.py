"""Logging as the configuration of a run says, wherever that configuration lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from kedro.framework.hooks import hook_impl

from quant_pipeline.project.configuration import ProjectConfigLoader

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

FILE = "logging.yml"


class LogConfigurationHooks:
    """Take ``logging.yml`` from an archive or a folder named by ``--conf-source``; Kedro reads ``./conf`` only."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Configure logging, unless Kedro has found a file itself."""
        loader = context.config_loader
        found = "KEDRO_LOGGING_CONFIG" in os.environ or (Path("conf") / FILE).is_file()
        if found or not isinstance(loader, ProjectConfigLoader):
            return
        from kedro.framework.project import LOGGING

        if text := loader.read_beside(FILE):
            from kedro.framework.project import LOGGING

            LOGGING.configure(yaml.safe_load(text))
