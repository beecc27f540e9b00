"""Lines of a run in terminal and log: as it begins, while it runs, and its summary at the end."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl

from quant_pipeline.project.log_file import log_to_file

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

logger = logging.getLogger(__name__)

SECONDS_WORTH_TELLING = 3.0
SUMMARIES = ("run_summary", "execution_summary")
"""Datasets whose text a run ends with."""


class ProgressHooks:
    """One line per node: which one of how many, and how long it took when that is worth knowing."""

    def __init__(self) -> None:
        self._total = self._started = 0
        self._start = 0.0

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes."""
        self._total, self._started = len(pipeline.nodes), 0

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say what runs now."""
        self._started += 1
        self._start = time.perf_counter()
        logger.info("[%2d/%d] %s", self._started, self._total, node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Say how long it took."""
        seconds = time.perf_counter() - self._start
        if seconds >= SECONDS_WORTH_TELLING:
            logger.info("        %s took %.0f s", node.name, seconds)


class JsonLogHooks:
    """Copy every log record of a session into ``logs/<environment>.jsonl``, one JSON object a line."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Open the file of the environment and let go of the one before."""
        log_to_file(Path(context.project_path), context.env)


class SummaryHooks:
    """Print the summaries at the end of a run."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Print the summaries that this run has written."""
        for name in SUMMARIES:
            if logger.isEnabledFor(logging.INFO) and name in pipeline.outputs() and catalog.exists(name):
                click.echo("\n" + catalog.load(name))
