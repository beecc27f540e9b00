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

OTHER_RUNNERS = ("ThreadRunner", "ParallelRunner")
"""They call the hooks of nodes from threads and processes in which MLflow knows no record."""


class TrackingHooks:
    """Let kedro-mlflow record sessions that run a pipeline, and go on without a record when the store fails.

    Its own hook would import MLflow and open the store for every context, whatever the command is.
    """

    __name__ = "mlflow_hook"
    """Kedro does not load a plugin whose name is taken, and this is the name of kedro-mlflow's."""

    def __init__(self) -> None:
        self._context: KedroContext | None = None
        self._run: TrackedRun | None = None
        self._beginning: dict[str, Any] = {}
        self._first_steps: list[dict[str, Any]] = []

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the context; notebooks and `kedro mlflow` ask without a run, so MLflow is set up for them."""
        self._context, self._run, self._beginning = context, None, {}
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
        """Note the beginning; the record is opened after the first node, which does not wait for MLflow."""
        self._run, self._first_steps = None, []
        if self._context is None:
            return
        self._beginning = {"run_params": run_params, "pipeline": pipeline, "catalog": catalog}
        if any(name in str(run_params.get("runner")) for name in OTHER_RUNNERS):
            self._open()

    @hook_impl
    def before_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], is_async: bool
    ) -> None:
        """Record the parameters of a node."""
        step = {"node": node, "catalog": catalog, "inputs": inputs, "is_async": is_async}
        if self._run is not None:
            self._run.follow("before_node_run", **step)
        elif self._beginning:
            self._first_steps.append(step)

    @hook_impl
    def after_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> None:
        """Record what a node has made."""
        if (run := self._open()) is not None:
            run.record(node=node, catalog=catalog, inputs=inputs, outputs=outputs)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Keep an artifact of MLflow in the catalog from logging itself: an error of its store would end the run."""
        if (dataset := self._artifact(dataset_name)) is not None:
            dataset._logging_activated = False

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Record an artifact of MLflow in the catalog."""
        if (dataset := self._artifact(dataset_name)) is not None and self._run is not None:
            self._run.keep_file(dataset)

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Close the record."""
        if (run := self._open()) is not None:
            run.finish(run_params=run_params, pipeline=pipeline, catalog=catalog)

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Close the record of a run that has failed."""
        if (run := self._open()) is not None:
            run.follow("on_pipeline_error", error=error, run_params=run_params, pipeline=pipeline, catalog=catalog)

    def _artifact(self, name: str) -> Any:
        """Return a dataset if it is an `MlflowArtifactDataset`, which wraps another one, without a run of its own."""
        dataset = self._beginning["catalog"].get(name) if self._beginning else None
        is_artifact = type(dataset).__name__.startswith("Mlflow") and hasattr(dataset, "artifact_path")
        return dataset if is_artifact and getattr(dataset, "run_id", None) is None else None

    def _open(self) -> TrackedRun | None:
        """Return the record; make it, with all that has happened so far, when there is none yet."""
        if self._run is None and self._context is not None and self._beginning:
            from quant_pipeline.tracking.run import TrackedRun

            self._run = TrackedRun(self._context, self._beginning["catalog"])
            self._run.start(**self._beginning)
            for step in self._first_steps:
                self._run.follow("before_node_run", **step)
            self._first_steps = []
        return self._run


def _is_asked_without_run() -> bool:
    """Return whether a notebook has made the context, or a command of kedro-mlflow."""
    command = click.get_current_context(silent=True)
    return "kedro.ipython" in sys.modules or (command is not None and "mlflow" in command.command_path.split())
