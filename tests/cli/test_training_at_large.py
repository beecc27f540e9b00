"""Training as production meets it: killed in the middle, side by side on workers, tracked by a server."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
import yaml

from quant_pipeline.models.store import BundleStore
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.ledger.store import Ledger
from tests.helpers.project import PATIENCE
from tests.helpers.servers import answers, free_port, running_postgres

MODELS = ("lightgbm_alpha158", "ridge_alpha158", "gru_alpha158")
# The network is trained first. Then come trees until the process is killed, however late that is noticed.
FOR_HOURS = ",".join(f"models.lightgbm_alpha158.hyper.{name}=1000000" for name in ("rounds", "patience"))


def versions(project):
    """Identities of the stored bundles, by model; an identity is a hash of everything inside."""
    folder = project.path / "data/markets/simulated/06_models"
    return {
        model: sorted(path.name for path in (folder / model).glob("bundle/versions/*") if not path.name.startswith("."))
        for model in MODELS
    }


def aliases(project, alias):
    """Identity of the candidate or the champion of each model; None where there is none."""
    folder = project.path / "data/markets/simulated/06_models"
    return {model: getattr(BundleStore(folder / model / "bundle").aliases, alias) for model in MODELS}


def test_a_killed_training_goes_on_where_it_was_and_gives_the_same_models(project):
    whole = versions(project)
    for model in MODELS:
        shutil.rmtree(project.path / "data/markets/simulated/06_models" / model)
    running = project.start(f"kedro run --pipelines training --params {FOR_HOURS}")
    # A bundle counts as the candidate from the moment that it is called so, which is after its folder is there.
    while not any(aliases(project, "candidate").values()):
        assert running.poll() is None, "training ended before it was killed"
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    finished = {model for model, found in versions(project).items() if found}
    assert finished == {"gru_alpha158"}
    resumed = project.run("kedro run --pipelines training")
    assert (resumed.stdout + resumed.stderr).count("nothing it was trained from has changed") == len(finished)
    for model in MODELS:
        assert set(versions(project)[model]) <= set(whole[model]), model


@pytest.mark.slow  # As in test_scenarios.py, with a closer look at the ledger.
def test_orders_after_retraining_one_model_name_the_new_bundle_or_are_refused(project):
    before = aliases(project, "champion")
    project.run(
        "kedro run --pipelines training --namespaces ridge_alpha158 --params models.ridge_alpha158.hyper.alpha=0.02"
    )
    retrained = aliases(project, "champion")
    assert {model for model in MODELS if retrained[model] != before[model]} == {"ridge_alpha158"}
    ledger = Ledger.read(project.path / "data/accounts/sim/ledger.sqlite")
    known = ledger.length()
    refused = project.run("kedro run --pipelines ensemble,order_generation", ok=False)
    assert f"come from bundle {before['ridge_alpha158']} of ridge_alpha158" in refused.stdout + refused.stderr
    assert ledger.length() == known
    project.run("kedro run --pipelines ensemble,prediction,post_trade,order_generation")
    plans = [event for event in ledger.events() if event.kind is EventKind.PLAN_RECORDED]
    made_by = plans[-1].payload["provenance"]
    assert {model: made_by[f"bundle.{model}"] for model in MODELS} == retrained


@pytest.mark.slow  # Three processes that import everything.
def test_models_train_side_by_side_on_two_workers_with_their_own_runs(project):
    done = project.run_process("kedro models train --cluster 2")
    assert "trained lightgbm_alpha158, ridge_alpha158, gru_alpha158" in done.stdout
    with sqlite3.connect(project.path / "mlflow.db") as connection:
        newest = connection.execute(
            "select name, status from runs where name in ('lightgbm_alpha158', 'ridge_alpha158', 'gru_alpha158') "
            "order by start_time desc limit 3"
        ).fetchall()
    assert {name for name, _ in newest} == set(MODELS)
    assert {status for _, status in newest} == {"FINISHED"}


@contextmanager
def running_tracking_server(store, folder):
    """Start MLflow's server over a database, and give its address."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(Path(sys.executable).parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder), "--workers", "1"]
    with (folder / "server.log").open("wb") as log:
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        running = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        assert answers(f"{url}/health", seconds=PATIENCE), (folder / "server.log").read_text()
        yield url
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(timeout=PATIENCE)


def test_a_tracking_server_over_postgres_holds_runs_and_the_registry(project, tmp_path):
    with running_postgres() as store, running_tracking_server(store, tmp_path) as url:
        settings = project.path / "conf" / "sim" / "mlflow.yml"
        settings.write_text(yaml.safe_dump({"server": {"mlflow_tracking_uri": url}}))
        changed = "--params models.ridge_alpha158.hyper.alpha=0.5"
        project.run(f"kedro run --pipelines training --namespaces ridge_alpha158 {changed}")
        client = mlflow.MlflowClient(url)
        (experiment,) = [found for found in client.search_experiments() if found.name == "sim"]
        runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
        model = runs["ridge_alpha158"]
        assert model.data.tags["mlflow.parentRunId"] == runs["training"].info.run_id
        assert model.data.params["hyper.alpha"] == "0.5"
        assert -1 < model.data.metrics["rank_ic"] < 1
        version = client.get_model_version_by_alias("simulated.ridge_alpha158", "candidate")
        assert version.tags["bundle"] in versions(project)["ridge_alpha158"]
