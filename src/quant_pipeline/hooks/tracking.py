"""Tracking of runs in MLflow, which nothing imports before a pipeline runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

    from quant_pipeline.tracking.run import TrackedRun


class TrackingHooks:
    """Let kedro-mlflow record sessions that run a pipeline, and go on without a record when the store fails.

    Its own hook would import MLflow and open the store for every context, whatever the command is.
    """

    __name__ = "mlflow_hook"
    """Kedro does not load a plugin whose name is taken, and this is the name of kedro-mlflow's."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._run: TrackedRun | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the context; notebooks and `kedro mlflow` ask without a run, so MLflow is set up for them."""
        self._context, self._run = context, None
        if _is_asked_without_run():
            from quant_pipeline.tracking.run import open_without_run

            open_without_run(context)

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol[Any, Any], conf_catalog: dict[str, Any]) -> None:
        """Give metrics in the catalog the name of their entry, where there are any."""
        kinds = [str(entry.get("type")) for entry in conf_catalog.values() if isinstance(entry, dict)]
        if any(kind.startswith("kedro_mlflow.io.metrics") for kind in kinds):
            from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook

            MlflowHook().after_catalog_created(catalog, conf_catalog, {}, {}, "", {})

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Open the store and start the record."""
        if self._context is None:
            return
        from quant_pipeline.tracking.run import TrackedRun

        self._run = TrackedRun(self._context, catalog)
        self._run.start(run_params=run_params, pipeline=pipeline, catalog=catalog)

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], is_async: bool
    ) -> None:
        """Record the parameters of a node."""
        if self._run is not None:
            self._run.follow("before_node_run", node=node, catalog=catalog, inputs=inputs, is_async=is_async)

    @hook_impl
    def after_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> None:
        """Record what a node has made."""
        if self._run is not None:
            self._run.record(node=node, catalog=catalog, inputs=inputs, outputs=outputs)

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Close the record."""
        if self._run is not None:
            self._run.follow("after_pipeline_run", run_params=run_params, pipeline=pipeline, catalog=catalog)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Close the record of a run that has failed."""
        if self._run is not None:
            self._run.follow(
                "on_pipeline_error", error=error, run_params=run_params, pipeline=pipeline, catalog=catalog
            )


def _is_asked_without_run() -> bool:
    """Tell whether a notebook has made the context, or a command of kedro-mlflow."""
    command = click.get_current_context(silent=True)
    return "kedro.ipython" in sys.modules or (command is not None and "mlflow" in command.command_path.split())
