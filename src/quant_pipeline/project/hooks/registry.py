"""The model registry follows the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext


class ModelRegistryHooks:
    """Let ``--env`` and ``--params`` reach the model registry, from which the pipelines are made."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Hand the configuration of this session to the registry."""
        from quant_pipeline.project.model_registry import use_config_loader

        use_config_loader(context.config_loader)
