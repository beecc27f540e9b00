"""Runs of killed processes are closed, those of living ones are not."""

import os
import signal
import time

import mlflow
import pytest

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.tracking.dead_runs import HOST, PROCESS, START, close_dead_runs, start_of


def statuses():
    runs = mlflow.search_runs(experiment_names=["sim"], output_format="list")
    return {run.info.run_name: run.info.status for run in runs}


@pytest.fixture
def experiment(project_folder):
    mlflow.set_tracking_uri(sqlite_url(project_folder / "mlflow.db"))
    return mlflow.set_experiment("sim").experiment_id


def start_in_a_process(name):
    """Start a run with a nested one in a process that then waits; return its number once both are there."""
    child = os.fork()
    if child == 0:
        try:
            mlflow.start_run(run_name=name)
            mlflow.start_run(run_name=f"{name}, nested", nested=True)
            signal.pause()
        finally:
            os._exit(1)
    while f"{name}, nested" not in statuses():
        time.sleep(0.05)
    return child


def test_runs_of_a_killed_process_are_closed_and_those_of_a_living_one_go_on(experiment):
    killed, living = start_in_a_process("killed"), start_in_a_process("living")
    try:
        os.kill(killed, signal.SIGKILL)
        os.waitpid(killed, 0)
        with mlflow.start_run(run_name="own"):
            close_dead_runs(experiment)
            seen = statuses()
    finally:
        os.kill(living, signal.SIGKILL)
        os.waitpid(living, 0)
    assert seen == {
        "killed": "KILLED",
        "killed, nested": "KILLED",
        "living": "RUNNING",
        "living, nested": "RUNNING",
        "own": "RUNNING",
    }


def test_a_number_that_was_given_to_another_process_since_does_not_keep_a_run_open(experiment):
    client = mlflow.MlflowClient()
    mine = {HOST: os.uname().nodename, PROCESS: str(os.getpid()), START: start_of(os.getpid())}
    cases = {
        "mine": mine,
        "of the process before": {**mine, START: "another boot:1"},
        "of another machine": {**mine, HOST: "elsewhere", START: "another boot:1"},
        "of an older version": {},
    }
    for name, tags in cases.items():
        client.create_run(experiment, run_name=name, tags=tags)
    close_dead_runs(experiment)
    running = dict.fromkeys(cases, "RUNNING")
    assert statuses() == {**running, "of the process before": "KILLED"}


def test_a_process_that_ended_has_no_start():
    child = os.fork()
    if child == 0:
        os._exit(0)
    while start_of(child) is not None:
        time.sleep(0.01)
    os.waitpid(child, 0)
    assert start_of(child) is None
    assert start_of(os.getpid()) == start_of(os.getpid())
