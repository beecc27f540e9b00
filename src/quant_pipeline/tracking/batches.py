"""Record many small values in one transaction: MLflow's store takes some forty milliseconds for each of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import mlflow
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.entities import Metric
from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH


class BatchedHook(MlflowHook):
    """Kedro-mlflow's hook; the parameters of a node are one transaction, or one request, instead of one each."""

    def before_node_run(self, *arguments: Any, **named: Any) -> None:
        """Record the parameters of a node; arguments as of Kedro's hook."""
        self._short: dict[str, Any] = {}
        super().before_node_run(*arguments, **named)
        for batch in _slices(list(self._short.items()), MAX_PARAMS_TAGS_PER_BATCH):
            mlflow.log_params(dict(batch))

    def _log_param(self, name: str, value: Any) -> None:
        """Keep a value for the batch; what is too long for a parameter follows the strategy of ``mlflow.yml``."""
        if len(str(value)) <= MAX_PARAM_VAL_LENGTH:
            self._short[name] = value
        else:
            super()._log_param(name, value)


def log_points(run: str, points: Iterable[tuple[str, float, int]]) -> None:
    """Record points of curves.

    Parameters
    ----------
    run
        Identity of the run.
    points
        Name of the metric, value and step.
    """
    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value, step in points]
    client = mlflow.MlflowClient()
    for batch in _slices(metrics, MAX_METRICS_PER_BATCH):
        client.log_batch(run, metrics=batch)


def _slices(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
