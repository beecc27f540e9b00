"""What a user reads when a run fails: one message that names the remedy."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError

from quant_pipeline.common.environments import naming_environment
from quant_pipeline.common.exceptions import QuantPipelineError, StaleDataError, StorageError, causes_of
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.missing_libraries import explain_missing_library
from quant_pipeline.common.storage_errors import explain_storage_error
from quant_pipeline.project.log_file import LOG_FILE

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

COMPOSITES = ("__default__", "daily")
NO_STAGE = "bring it, or correct its path in the catalog"
"""Remedy where no stage that can run here makes what is missing."""


KEDRO = ("kedro.pipeline.node", "kedro.runner.")
"""Loggers of Kedro that repeat an error with the signature of the node, and list the nodes that have not run."""


class ErrorHooks:
    """Turn what a user can repair into one message, also when a dataset wrapped it on the way."""

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Keep Kedro from reporting the same error before; the log file keeps what it says."""
        for name in (None, "kedro"):
            for handler in logging.getLogger(name).handlers:
                if handler.get_name() != LOG_FILE:
                    handler.addFilter(_is_reported_once)

    @hook_impl
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any]) -> None:
        """Raise the error that names the remedy instead of the one that hides it; its commands name the environment.

        Raises
        ------
        QuantPipelineError
            The original error, which stage writes a dataset that is not there yet, or what refused to store one.
        """
        with naming_environment(run_params.get("env")):
            _raise_remedy(error)


def _is_reported_once(record: logging.LogRecord) -> bool:
    """Leave out what Kedro logs of an error that a user can repair: `ErrorHooks` raises it in one line."""
    error = sys.exc_info()[1]
    is_repeated = record.name.startswith(KEDRO) and record.levelno >= logging.WARNING
    return not (is_repeated and isinstance(error, Exception) and _remedy_of(error) is not None)


def _raise_remedy(error: Exception) -> None:
    if (remedy := _remedy_of(error)) is not None:
        raise remedy from None


def _remedy_of(error: Exception) -> QuantPipelineError | None:
    """Return the error that names the remedy; None for what no user can repair."""
    for cause in causes_of(error):
        if isinstance(cause, QuantPipelineError):
            return cause
        if isinstance(cause, FileNotFoundError):
            return _not_made_yet(error) if isinstance(error, DatasetError) else _not_there(cause)
    return explain_storage_error(error) or explain_missing_library(error)


def _not_there(error: FileNotFoundError) -> QuantPipelineError | None:
    """Name a file that a node itself has asked for."""
    return StorageError(f"{error.filename}: there is no such file or folder.") if error.filename else None


def stage_that_makes(dataset: str) -> str | None:
    """Return the stage whose result a dataset is, or in which it is made on the way; None when none here makes it."""
    from kedro.framework.project import pipelines

    stages = {name: stage for name, stage in pipelines.items() if name not in COMPOSITES}
    results = (name for name, stage in stages.items() if _can_be_made(stage) and dataset in stage.outputs())
    on_the_way = (name for name, stage in stages.items() if _can_be_made(stage) and dataset in stage.all_outputs())
    return next(results, None) or next(on_the_way, None)


def _can_be_made(stage: Pipeline) -> bool:
    """Return whether the libraries of a stage are installed here."""
    try:
        stage.nodes  # noqa: B018 - a stage is made at the first look into it
    except ModuleNotFoundError as error:
        if explain_missing_library(error) is None:
            raise
        return False
    return True


def describe_missing(datasets: Sequence[str], stage: str | None, given: Sequence[str] = ()) -> str:
    """Say which datasets are not there, and which command makes them, with the ``--params`` that it needs."""
    params = f" --params {','.join(given)}" if given else ""
    remedy = f"run `kedro run --pipelines {stage}{params}` first" if stage else NO_STAGE
    if len(datasets) == 1:
        return f"dataset '{datasets[0]}' has not been made yet; {remedy}."
    return f"datasets {first_of(datasets)} have not been made yet; {remedy}."


def _not_made_yet(error: Exception) -> QuantPipelineError:
    dataset = str(error).partition(":")[0]
    return StaleDataError(describe_missing([dataset], stage_that_makes(dataset)))
