"""What a user reads when a run fails: one message that names the remedy."""

from collections.abc import Sequence
from typing import Any

from kedro.framework.hooks import hook_impl

from quant_pipeline.common.environments import naming_environment
from quant_pipeline.common.exceptions import QuantPipelineError, StaleDataError
from quant_pipeline.common.storage_errors import explain_storage_error

COMPOSITES = ("__default__", "daily")


class ErrorHooks:
    """Turn what a user can repair into one message, also when a dataset wrapped it on the way."""

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


def _raise_remedy(error: Exception) -> None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, QuantPipelineError):
            raise cause from None
        if isinstance(cause, FileNotFoundError):
            raise _not_made_yet(error) from None
        cause = cause.__cause__
    if (explained := explain_storage_error(error)) is not None:
        raise explained from None


def stage_that_makes(dataset: str) -> str | None:
    """Return the stage whose result a dataset is, or in which it is made on the way; None when no stage makes it."""
    from kedro.framework.project import pipelines

    stages = {name: stage for name, stage in pipelines.items() if name not in COMPOSITES}
    results = (name for name, stage in stages.items() if dataset in stage.outputs())
    on_the_way = (name for name, stage in stages.items() if dataset in stage.all_outputs())
    return next(results, None) or next(on_the_way, None)


def describe_missing(datasets: Sequence[str], stage: str | None) -> str:
    """Say which datasets are not there, and which command makes them."""
    remedy = f"run `kedro run --pipelines {stage}` first" if stage else "correct its path in the catalog"
    if len(datasets) == 1:
        return f"dataset '{datasets[0]}' has not been made yet; {remedy}."
    return f"datasets {', '.join(datasets)} have not been made yet; {remedy}."


def _not_made_yet(error: Exception) -> QuantPipelineError:
    dataset = str(error).partition(":")[0]
    return StaleDataError(describe_missing([dataset], stage_that_makes(dataset)))
