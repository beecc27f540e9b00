"""Record many small values in one transaction: MLflow's store takes some forty milliseconds for each of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import mlflow
import yaml
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.entities import Metric
from mlflow.utils import validation

from quant_pipeline.tracking.parameters import LARGEST_BLOCK, as_plain, flatten, log_parameters, slices

WHOLE = "parameters"
"""Input of a node that is given every block; each block is logged where a node uses it."""


class BatchedHook(MlflowHook):
    """Kedro-mlflow's hook; every parameter of a node has one key, and all of them are one transaction."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[str] = set()

    def before_node_run(
        self, node: Node, catalog: CatalogProtocol[Any, Any], inputs: dict[str, Any], is_async: bool
    ) -> None:
        """Record the parameters of a node that no earlier one had."""
        super().before_node_run(node, catalog, {}, is_async)
        if not self._is_mlflow_enabled:
            return
        short: dict[str, Any] = {}
        for name, value in inputs.items():
            block = name.removeprefix("params:")
            if block == name or block in self._logged:
                if name == WHOLE and WHOLE not in self._logged:
                    _log_yaml(as_plain(value), "parameters.yml")
                    self._logged.add(WHOLE)
                continue
            self._logged.add(block)
            plain = as_plain(value)
            values = flatten({block: plain}) if self.flatten else {block: plain}
            if len(values) > LARGEST_BLOCK:
                _log_yaml(plain, f"parameters/{block}.yml")
                continue
            short |= {key: each for key, each in values.items() if len(str(each)) <= validation.MAX_PARAM_VAL_LENGTH}
            for key in values.keys() - short.keys():
                self._log_param(key, values[key])
        log_parameters(short)


def _log_yaml(value: Any, file: str) -> None:
    """Record as `mlflow.log_dict` does, which writes without libyaml and so for half a second."""
    dumper = getattr(yaml, "CDumper", yaml.Dumper)
    mlflow.log_text(yaml.dump(value, Dumper=dumper, indent=2, default_flow_style=False), file)


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
    for batch in slices(metrics, validation.MAX_METRICS_PER_BATCH):
        client.log_batch(run, metrics=batch)
