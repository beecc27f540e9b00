"""Where the tasks of a run are computed: in its process, or on the workers that the parameter ``cluster`` names."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.tasks import tasks_on
from quant_pipeline.project.cluster import cluster_of

if TYPE_CHECKING:
    from kedro.config import AbstractConfigLoader
    from kedro.framework.context import KedroContext


class ClusterHooks:
    """Let the tasks of a run go to the workers of a cluster, where the parameters name one.

    It is reached with the first task: a run without any, such as an execution, does not need the cluster to be there.
    """

    def __init__(self) -> None:
        self._loader: AbstractConfigLoader | None = None
        self._held = ExitStack()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the configuration of the session."""
        self._loader = context.config_loader

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Name the workers.

        Raises
        ------
        ConfigurationError
            When the parameter is neither an address nor a number of processes.
        """
        self._held.close()
        # A loader of Kedro is an empty dictionary, whatever it can load.
        where = None if self._loader is None else cluster_of(self._loader["parameters"])
        if where is None:
            return
        from quant_pipeline.project.cluster_tasks import ClusterWorkers

        workers = ClusterWorkers(where)
        self._held.callback(workers.close)
        self._held.enter_context(tasks_on(workers))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Leave the cluster."""
        self._held.close()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Leave the cluster."""
        self._held.close()
