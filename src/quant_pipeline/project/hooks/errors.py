"""What a user reads when a run fails: one message that names the remedy."""

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


def _not_made_yet(error: Exception) -> QuantPipelineError:
    from kedro.framework.project import pipelines

    dataset = str(error).partition(":")[0]
    stages = [name for name, stage in pipelines.items() if name not in COMPOSITES and dataset in stage.outputs()]
    stages = stages or [
        name for name, stage in pipelines.items() if name not in COMPOSITES and dataset in stage.all_outputs()
    ]
    remedy = f"run `kedro run --pipelines {stages[0]}` first" if stages else "correct its path in the catalog"
    return StaleDataError(f"dataset '{dataset}' has not been made yet; {remedy}.")
