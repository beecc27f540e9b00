"""The status of the last whole run, which kedro-viz shows in the lineage, written by kedro-viz' own hook."""

from __future__ import annotations

from typing import Any, Final

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

WHOLE: Final[tuple[list[str], ...]] = ([], ["__default__"])
RESTRICTIONS = ("tags", "from_nodes", "to_nodes", "node_names", "from_inputs", "to_outputs", "namespaces")


class RunStatusHooks:
    """Hand runs of the whole default pipeline on to kedro-viz.

    Its plugin is not loaded: it warns of every other run that it does not follow, and takes a second to import.
    """

    def __init__(self) -> None:
        self._catalog: CatalogProtocol[Any, Any] | None = None
        self._status: Any = None

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol[Any, Any]) -> None:
        """Remember the catalog."""
        self._catalog, self._status = catalog, None

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Follow the run where it is the whole one, node by node."""
        names = list(run_params.get("pipeline_names") or [])
        is_whole = names in WHOLE and not any(run_params.get(restriction) for restriction in RESTRICTIONS)
        if is_whole and "SequentialRunner" in str(run_params.get("runner") or "SequentialRunner"):
            from kedro_viz.integrations.kedro.run_hooks import PipelineRunStatusHook

            self._status = PipelineRunStatusHook()
            self._status.after_catalog_created(self._catalog)
            self._status.before_pipeline_run(run_params, pipeline)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Follow a node that begins."""
        if self._status is not None:
            self._status.before_node_run(node)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Follow a node that has ended."""
        if self._status is not None:
            self._status.after_node_run(node)

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Follow a dataset that is about to be read."""
        if self._status is not None:
            self._status.before_dataset_loaded(dataset_name, node)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Follow a dataset that was read."""
        if self._status is not None:
            self._status.after_dataset_loaded(dataset_name, data)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Follow a dataset that is about to be written."""
        if self._status is not None:
            self._status.before_dataset_saved(dataset_name, node)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Follow a dataset that was written."""
        if self._status is not None:
            self._status.after_dataset_saved(dataset_name, data)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Write what was seen."""
        if self._status is not None:
            self._status.after_pipeline_run()

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Write what was seen, and where it ended."""
        if self._status is not None:
            self._status.on_pipeline_error(error)
