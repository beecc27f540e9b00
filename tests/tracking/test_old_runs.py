"""Old runs are marked as deleted by policy, those that back a model stay, and every mark can be taken back."""

import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.tracking.old_runs import client_of, delete_runs, old_runs, restore_runs


@pytest.fixture
def client(tmp_path):
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def make(client, experiment, start, parent=None, ends=True):
    tags = {} if parent is None else {MLFLOW_PARENT_RUN_ID: parent}
    run = client.create_run(experiment, start_time=start, tags=tags).info.run_id
    if ends:
        client.set_terminated(run, end_time=start + 1)
    return run


def test_newest_runs_running_ones_and_those_behind_a_version_stay(client):
    experiment = client.create_experiment("sim")
    registered, plain, running, whole, newest = (
        make(client, experiment, start, ends=start != 3) for start in (1, 2, 3, 4, 5)
    )
    nested = make(client, experiment, 1, registered)
    child = make(client, experiment, 4, whole)
    client.create_registered_model("sim-model")
    client.create_model_version("sim-model", "somewhere", nested)
    old = {run.info.run_id for run in old_runs(client, 1, "sim")}
    assert old == {plain, whole, child}
    assert {run.info.run_id for run in old_runs(client, 2, "sim")} == {plain}
    assert not {registered, running, newest} & old


def test_deleted_runs_are_kept_and_come_back_but_those_of_the_user_do_not(client):
    experiment = client.create_experiment("sim")
    runs = [make(client, experiment, start) for start in range(1, 5)]
    client.delete_run(runs[0])
    delete_runs(client, old_runs(client, 1, "sim"))
    assert [run.info.run_id for run in client.search_runs([experiment])] == [runs[3]]
    assert restore_runs(client) == 2
    assert {run.info.run_id for run in client.search_runs([experiment])} == set(runs[1:])
    assert restore_runs(client) == 0
    assert old_runs(client, 3, "sim") == []


def test_client_is_of_the_store_that_the_configuration_names(tmp_path, empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert client_of({}, tmp_path).tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert client_of({}, empty_store.parent).tracking_uri == sqlite_url(empty_store)
    named = {"server": {"mlflow_tracking_uri": "http://127.0.0.1:5000"}}
    assert client_of(named, tmp_path).tracking_uri == "http://127.0.0.1:5000"
