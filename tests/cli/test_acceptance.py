"""What the operator does on the command line, on a small market."""

import hashlib
import json
import re
import sqlite3
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pandas as pd
import pytest
from mlflow import MlflowClient

from quant_pipeline.datasets.kept_digests import FOLDER as DIGESTS
from tests.helpers.browser import open_page
from tests.helpers.representatives import representatives

DATED = "2024-12-31"
MEASURES = (
    *("sharpe", "annualised_return", "annualised_volatility", "maximum_drawdown", "win_rate", "profit_factor"),
    *("annualised_turnover", "information_ratio"),
)
BACKTEST_FILES = ("equity_curve.html", "equity_curve.png", "predictions.csv", "positions.csv", "report.json")
OF_SEGMENTS = [f"{what}.{segment}" for what in ("window", "sessions") for segment in ("train", "valid", "test")]


def digest(folder):
    """Bytes of everything a run writes, except logs and the tracking store, which record when it ran.

    Kept digests of the years of a panel name the files of a disk, which a copy of the project has not.
    """
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix not in {".sqlite-wal", ".sqlite-shm"} and file.parent.name != DIGESTS
    }


def events(project):
    with sqlite3.connect(project.path / "data/accounts/sim/ledger.sqlite") as connection:
        return connection.execute("select * from event order by 1").fetchall()


def test_the_first_run_ends_with_a_readable_summary(first_run):
    for expected in (
        "rank IC",
        "lightgbm_alpha158",
        "fused",
        "report.html",
        "kedro viz run",
        "mlflow ui",
        "--pipelines daily",
    ):
        assert expected in first_run, expected


def test_the_first_run_is_quiet(first_run):
    assert "Warning" not in first_run
    assert len(first_run.splitlines()) < 200


def test_a_second_run_is_identical_byte_for_byte(project):
    before, ledger = digest(project.path / "data"), events(project)
    project.run("kedro run")
    assert digest(project.path / "data") == before
    assert events(project) == ledger


def test_no_file_of_the_data_names_the_folder_of_the_project(project):
    files = [file for file in (project.path / "data").rglob("*") if file.is_file()]
    assert len(files) > 100
    assert [file.name for file in files if bytes(project.path) in file.read_bytes()] == []


@pytest.fixture
def project_of_next_day(next_day, tmp_path):
    return next_day.copy(tmp_path / "project")


def test_a_day_is_booked_once_however_often_it_runs(project_of_next_day, finished):
    project, first = project_of_next_day, events(project_of_next_day)
    orders = (project.path / "data/accounts/sim/orders/2025-01-02.csv").read_bytes()
    assert len(first) > len(events(finished))
    project.run("kedro run --pipelines daily --params as_of=2025-01-02")
    assert events(project) == first
    assert (project.path / "data/accounts/sim/orders/2025-01-02.csv").read_bytes() == orders
    holdings = pd.read_parquet(project.path / "data/accounts/sim/holdings/2025-01-02.parquet")
    assert len(holdings) == 5


def test_an_old_day_can_be_run_again_and_changes_nothing(project_of_next_day):
    before = events(project_of_next_day)
    project_of_next_day.run("kedro run --pipelines daily --params as_of=2024-12-31")
    assert events(project_of_next_day) == before


def test_orders_alone_are_not_generated_at_a_price_that_scores_do_not_predict(project):
    before = events(project)
    done = project.run("kedro run --pipelines order_generation --params market_rules.deal_price=close", ok=False)
    assert done.returncode != 0
    assert "predict Ref($open, -2)/Ref($open, -1)-1, but market_rules.deal_price is close" in " ".join(
        (done.stdout + done.stderr).split()
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert events(project) == before


def test_replay_books_every_session_of_the_range(project):
    printed = project.run("kedro replay --from 2025-01-02 --to 2025-01-03").stdout
    assert "replayed 2 sessions, 2025-01-02 to 2025-01-03" in printed
    nav = pd.read_parquet(project.path / "data/accounts/sim/net_asset_value/2025-01-03.parquet")
    assert nav["date"].dt.strftime("%Y-%m-%d").tolist()[-2:] == ["2025-01-02", "2025-01-03"]


@pytest.mark.slow
def test_replay_books_every_session_over_a_weekend(project):
    printed = project.run("kedro replay --from 2025-01-02 --to 2025-01-07").stdout
    assert "replayed 4 sessions, 2025-01-02 to 2025-01-07" in printed
    nav = pd.read_parquet(project.path / "data/accounts/sim/net_asset_value/2025-01-07.parquet")
    assert nav["date"].dt.strftime("%Y-%m-%d").tolist()[-4:] == ["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"]


def test_one_model_is_trained_by_its_namespace_or_its_tag(project):
    printed = project.run("kedro run --pipelines training --namespaces ridge_alpha158")
    assert "ridge_alpha158" in printed.stdout + printed.stderr
    assert "lightgbm_alpha158" not in printed.stdout + printed.stderr
    printed = project.run("kedro run --pipelines training --tags tree")
    assert "lightgbm_alpha158" in printed.stdout + printed.stderr


def test_only_missing_outputs_runs_what_is_missing(project):
    (project.path / "data/accounts/sim/orders/2024-12-31.csv").unlink()
    printed = project.run("kedro run --pipelines order_generation --only-missing-outputs")
    text = printed.stdout + printed.stderr
    assert (project.path / "data/accounts/sim/orders/2024-12-31.csv").exists()
    assert "read_market" not in text


def test_an_unknown_model_in_a_combination_is_one_clear_error(project):
    done = project.run(
        "kedro run --pipelines ensemble --params ensemble.combinations.all_equal.models=[nobody]", ok=False
    )
    assert done.returncode != 0
    assert "nobody" in done.stdout + done.stderr


def test_a_day_that_is_no_session_is_one_clear_error(project):
    done = project.run("kedro run --pipelines ingestion --params as_of=2024-12-28", ok=False)
    assert done.returncode == 1
    assert "not a session of XNYS" in done.stderr
    assert "2024-12-27" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("environment", representatives(["paper", "live"], {"live"}))
def test_a_real_account_without_keys_is_one_clear_error(project, environment, monkeypatch):
    monkeypatch.delenv(f"ALPACA_{environment.upper()}_API_KEY", raising=False)
    done = project.run(f"kedro run --env {environment}", ok=False)
    assert done.returncode == 1
    assert f"ALPACA_{environment.upper()}_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_record_of_a_run_is_in_the_json_log(finished):
    lines = (finished.path / "logs" / "sim.jsonl").read_text().splitlines()
    assert len(lines) > 20
    assert all(re.match(r"^\{.*\}$", line) for line in lines)


@pytest.fixture(scope="module")
def tracked(finished):
    """MLflow's client, and the newest run of each name in the store that the first run has written."""
    client = MlflowClient(f"sqlite:///{finished.path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("sim").experiment_id], order_by=["start_time ASC"])
    return client, {run.info.run_name: run for run in runs}


def files_of(client, run, folder=None):
    return {file.path for file in client.list_artifacts(run.info.run_id, folder)}


def test_mlflow_holds_the_measures_of_every_combination_and_the_files_of_the_backtest(finished, tracked):
    client, runs = tracked
    run = runs["__default__"]
    folder = finished.path / "data/accounts/sim/08_reporting/backtest"
    performance = json.loads((folder / "performance.json").read_text())
    combinations = pd.read_parquet(folder / "combinations.parquet").set_index("combination")
    assert len(combinations) > 1
    for measure in MEASURES:
        assert run.data.metrics[measure] == performance[measure], measure
        for name, row in combinations.iterrows():
            assert run.data.metrics[f"{name}.{measure}"] == row[measure], (name, measure)
    assert run.data.params["strategy.topk"] == "5"
    assert files_of(client, run, "backtest") == {f"backtest/{name}" for name in BACKTEST_FILES}
    assert "report.html" in files_of(client, run)


def test_models_are_tracked_one_nested_run_each(tracked):
    client, runs = tracked
    for model in ("lightgbm_alpha158", "ridge_alpha158", "gru_alpha158"):
        run = runs[model]
        assert run.data.tags["mlflow.parentRunId"] == runs["__default__"].info.run_id
        assert {"rank_ic", "ic"} <= set(run.data.metrics)
        assert {"market.fingerprint", "universe.min_price", *OF_SEGMENTS} <= set(run.data.params)
        assert {"predictions.csv", "feature_importance.csv", "bundle"} <= files_of(client, run)
    assert any(key.startswith("curve.") for key in runs["gru_alpha158"].data.metrics)
    assert "feature_importance.png" in files_of(client, runs["lightgbm_alpha158"])


# What kedro-viz draws, and what of it can be unfolded.
NODE, FOLDED = ".pipeline-node", ".pipeline-node--modularPipeline"
STAGES = {
    "ingestion", "features", "training", "prediction", "ensemble", "backtest", "post_trade", "shadow",
    "order_generation", "ranking", "reporting",
}  # fmt: skip
# A dataset of each layer, and what its preview is made of.
PREVIEWED = {
    "score_file": "table",
    "bars": "table",
    "adjusted_bars": "table",
    "alpha158_features": "table",
    "labels": "table",
    "champions": ".pipeline-json__object",
    "fused_scores": "table",
    "ledger_booked": "table",
    "nav_figure": ".js-plotly-plot",
    "backtest_picture": "img",
    "report_page": ".html-renderer h1",
}


@contextmanager
def served(folder):
    """Serve a folder, as a static page is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Print nothing."""


ONE_OF_A_KIND = {kind: name for name, kind in PREVIEWED.items()}.values()


@pytest.mark.parametrize(
    "shown",
    [pytest.param(ONE_OF_A_KIND, id="one of a kind"), pytest.param(PREVIEWED, id="all", marks=pytest.mark.slow)],
)
def test_the_lineage_builds_with_layers_and_previews(project, shown):
    project.run("kedro viz build --include-previews")
    main = (project.path / "build" / "api" / "main").read_text()
    assert (project.path / "build" / "index.html").is_file()
    for layer in ("raw", "intermediate", "primary", "feature", "models", "model_output", "reporting", "account"):
        assert f'"{layer}"' in main, layer
    nodes = {node["name"]: node["id"] for node in json.loads(main)["nodes"]}
    with served(project.path / "build") as url, open_page(f"{url}?types=nodes&pid=__default__") as (page, _):
        page.wait_for_selector(FOLDED)
        assert set(page.locator(FOLDED).all_text_contents()) == STAGES == set(page.locator(NODE).all_text_contents())
        for name in shown:
            page.goto(f"{url}?pid=__default__&sid={nodes[name]}")
            page.wait_for_selector(f".pipeline-metadata {PREVIEWED[name]}")


def test_a_model_is_planned_trained_promoted_and_taken_back(project):
    assert "nothing it was trained from has changed" in project.run("kedro models plan").stdout
    changed = "--params models.ridge_alpha158.hyper.alpha=0.5"
    done = project.run(f"kedro run --pipelines training --namespaces ridge_alpha158 {changed}")
    assert "kept" not in done.stdout
    again = project.run(f"kedro run --pipelines training --namespaces ridge_alpha158 {changed}")
    assert "nothing it was trained from has changed" in again.stdout
    plan = project.run("kedro models plan").stdout
    assert re.search(r"ridge_alpha158 +train it +its entry in the registry changed", plan)
    assert re.search(r"lightgbm_alpha158 +keep it", plan)
    assert "is the champion already" in project.run("kedro models promote ridge_alpha158").stdout
    assert "scores new sessions again" in project.run("kedro models rollback ridge_alpha158").stdout
    refused = project.run("kedro models promote ridge_alpha158", ok=False)
    assert refused.returncode == 1
    assert "is not shown to be better" in refused.stderr
    assert "from now on" in project.run("kedro models promote ridge_alpha158 --force").stdout
    project.run("kedro models rollback ridge_alpha158")
    unknown = project.run("kedro models promote nothing", ok=False)
    assert "there is no enabled model 'nothing'" in unknown.stderr
