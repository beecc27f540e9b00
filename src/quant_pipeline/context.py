"""Kedro's context of the project."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.validation import ParameterValidationError

from quant_pipeline.exceptions import ConfigurationError

if TYPE_CHECKING:
    from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig


class ProjectContext(KedroContext):
    """Kedro's context; parameters that do not fit their types are one message instead of a traceback."""

    @cached_property
    def mlflow(self) -> KedroMlflowConfig:
        """Configuration of kedro-mlflow; MLflow is imported and its store opened when it is first asked for.

        Raises
        ------
        TrackingError
            When the store cannot be opened.
        """
        from quant_pipeline.tracking.opening import open_tracking

        return open_tracking(self).mlflow_config

    @property
    def params(self) -> dict[str, Any]:
        """Validated parameters.

        Raises
        ------
        ConfigurationError
            When a block has an unknown key or a value that does not fit; the message lists all of them.
        """
        try:
            return super().params
        except ParameterValidationError as error:
            told = [line for line in str(error).splitlines() if "For further information" not in line]
            remedy = (
                "Correct them in the parameters*.yml of the environment, of conf/base or of conf/local, or in --params."
            )
            raise ConfigurationError("\n".join([*told, remedy])) from error
