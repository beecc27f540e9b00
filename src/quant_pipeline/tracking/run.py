"""One run as MLflow records it; a store that fails ends the record, not the run."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import mlflow
from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol
from kedro_mlflow.io.catalog.switch_catalog_logging import switch_catalog_logging

from quant_pipeline.tracking.batches import BatchedHook
from quant_pipeline.tracking.dead_runs import close_dead_runs
from quant_pipeline.tracking.opening import NO_PATIENCE, PATIENCE, describe, failing_open, open_tracking, page_of
from quant_pipeline.tracking.records import record_node

logger = logging.getLogger(__name__)


def open_without_run(context: KedroContext) -> None:
    """Set MLflow up for calls that a notebook or a command makes itself; without a store they go on.

    Parameters
    ----------
    context
        Context of the session.
    """
    with failing_open(lambda error: logger.warning("MLflow is not set up: %s", describe(error))):
        open_tracking(context)


class TrackedRun:
    """The record of one run, kept by kedro-mlflow's hook until the store fails.

    Parameters
    ----------
    context
        Context of the session.
    catalog
        Catalog of the run: its MLflow datasets save nothing any more once the store has failed.
    """

    def __init__(self, context: KedroContext, catalog: CatalogProtocol[Any, Any]) -> None:
        self._catalog = catalog
        self._environment = context.env
        self._market = str(context.config_loader["globals"]["market"])
        self._hook: BatchedHook | None = None
        with failing_open(self._end):
            self._hook = open_tracking(context)

    def start(self, **arguments: Any) -> None:
        """Close the records of killed processes and begin a new one; arguments as of ``before_pipeline_run``."""
        if self._hook is not None and mlflow.active_run() is None:
            with failing_open(self._end):
                close_dead_runs(self._hook.mlflow_config.tracking.experiment._experiment.experiment_id)
        self.follow("before_pipeline_run", **arguments)

    def follow(self, step: str, **arguments: Any) -> None:
        """Hand one step of the run to kedro-mlflow.

        Parameters
        ----------
        step
            Name of the hook.
        **arguments
            What Kedro has given it.
        """
        if self._hook is not None:
            with failing_open(self._end):
                getattr(self._hook, step)(**arguments)

    def record(self, **arguments: Any) -> None:
        """Record what a node has made; arguments as of `record_node`."""
        if self._hook is not None:
            with failing_open(self._end):
                record_node(**arguments, market=self._market)

    def keep_file(self, dataset: Any) -> None:
        """Log the file of a saved `MlflowArtifactDataset`, which logs nothing itself: a failing store ends no run."""
        if self._hook is not None:
            with failing_open(self._end):
                mlflow.log_artifact(str(Path(dataset._filepath)), dataset.artifact_path)

    def finish(self, **arguments: Any) -> None:
        """Close the record and print where it is seen; arguments as of ``after_pipeline_run``."""
        run = mlflow.active_run() if self._hook is not None else None
        self.follow("after_pipeline_run", **arguments)
        if self._hook is not None and run is not None and logger.isEnabledFor(logging.INFO):
            # Not through the log, which would break the address into lines.
            click.echo(f"MLflow run: {page_of(run, self._environment)}")

    def _end(self, error: Exception) -> None:
        """Record nothing any more, after the one warning."""
        patience = {name: os.environ.get(name, PATIENCE[name]) for name in NO_PATIENCE}
        self._hook = None
        logger.warning("MLflow does not record this run any further: %s", describe(error))
        switch_catalog_logging(self._catalog, False)
        os.environ.update(NO_PATIENCE)
        while mlflow.active_run():
            with suppress(Exception):
                mlflow.end_run("KILLED")
        os.environ.update(patience)
