"""Many parameters and points of curves: all are recorded, a batch of them in one transaction."""

import mlflow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_param

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.tracking.batches import BatchedHook, log_points
from quant_pipeline.tracking.parameters import flatten


@pytest.fixture
def store(project_folder):
    mlflow.set_tracking_uri(sqlite_url(project_folder / "mlflow.db"))


@pytest.fixture
def hook():
    hook = BatchedHook()
    hook.flatten, hook.recursive, hook.sep, hook.long_params_strategy = True, True, ".", "truncate"
    return hook


def record(hook, inputs):
    with mlflow.start_run() as run:
        hook.before_node_run(None, None, inputs, False)
    return mlflow.get_run(run.info.run_id).data.params


def test_more_parameters_than_a_batch_holds_are_all_recorded(store, hook, monkeypatch):
    batches, log_params = [], mlflow.log_params
    monkeypatch.setattr(mlflow, "log_params", lambda batch: (batches.append(len(batch)), log_params(batch)))
    many = {f"p{number:03}": number for number in range(190)}
    recorded = record(hook, {"params:many": many, "params:as_of": "2025-01-02", "bars": object()})
    assert recorded == {"as_of": "2025-01-02"} | {f"many.p{number:03}": str(number) for number in range(190)}
    assert batches == [100, 91]


def test_a_parameter_that_is_too_long_follows_the_strategy_beside_the_others(store, hook):
    recorded = record(hook, {"params:long": "x" * 7_000, "params:short": 1})
    # Qlib lowers MLflow's limit of 6,000 characters for the whole process when it is imported.
    assert recorded in ({"long": "x" * length, "short": "1"} for length in (1_000, 6_000))


def test_a_curve_longer_than_a_batch_is_recorded_point_by_point(store):
    with mlflow.start_run() as run:
        log_points(run.info.run_id, (("loss", 1.0 / (step + 1), step) for step in range(2_500)))
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert sorted((point.step, point.value) for point in history) == [(step, 1.0 / (step + 1)) for step in range(2_500)]


def test_typed_parameters_get_one_key_each_and_no_block_is_recorded_twice(store, hook, monkeypatch):
    calls, log_params = [], mlflow.log_params
    monkeypatch.setattr(mlflow, "log_params", lambda batch: (calls.append(set(batch)), log_params(batch)))
    rules = StrategyRules(topk=7)
    with mlflow.start_run() as run:
        hook.before_node_run(None, None, {"params:strategy": rules}, False)
        hook.before_node_run(None, None, {"params:strategy": rules, "parameters": {"strategy": rules}}, False)
    recorded = mlflow.get_run(run.info.run_id).data.params
    assert recorded["strategy.topk"] == "7"
    assert recorded["strategy.schedule.frequency"] == "daily"
    assert len(calls) == 1
    assert "parameters.yml" in {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}


def test_a_table_of_formats_becomes_a_file_instead_of_hundreds_of_keys(store, hook):
    with mlflow.start_run() as run:
        hook.before_node_run(None, None, {"params:formats": {f"f{number}": 1 for number in range(300)}}, False)
    assert mlflow.get_run(run.info.run_id).data.params == {}
    assert [file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, "parameters")] == [
        "parameters/formats.yml"
    ]


@given(st.dictionaries(st.text(max_size=300), st.integers() | st.lists(st.integers())))
def test_every_key_is_one_that_mlflow_takes(values):
    for name, value in flatten({"block": values}).items():
        _validate_param(name, str(value))
