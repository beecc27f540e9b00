"""What MLflow shows of models, searches and evaluations of factors."""

import json

import mlflow
import pandas as pd
from kedro.io import DataCatalog
from kedro.pipeline import node

from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.pipelines.factor_evaluation.parameters import FactorEvaluationParameters
from quant_pipeline.tracking.records import FACTOR_MEASURES, record_node


def test_a_model_becomes_one_nested_run_with_its_curve_and_importance(tmp_path):
    def evaluate_model(scores, spec):
        return {}

    spec = ModelSpec(algorithm="ridge", features="alpha158", tags=["linear"])
    evaluated = node(
        evaluate_model,
        ["ridge.scores", "params:models.ridge"],
        "ridge.metrics",
        name="evaluate_model",
        namespace="ridge",
        tags=["linear"],
    )
    curve = pd.DataFrame({"step": [1, 2], "metric": ["rank_ic", "rank_ic"], "value": [0.01, 0.02]})
    importance = pd.DataFrame({"factor": ["KMID"], "importance": [1.0]})
    inputs = {"params:models.ridge": spec, "ridge.learning_curve": curve, "ridge.importance": importance}
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
        mlflow.set_experiment("test")
        metrics = {"ridge.metrics": {"rank_ic": 0.042, "note": "text is no metric"}}
        record_node(evaluated, DataCatalog(), inputs, metrics, "simulated")
        with mlflow.start_run() as parent:
            record_node(evaluated, DataCatalog(), inputs, metrics, "simulated")
        runs = mlflow.search_runs(experiment_names=["test"], output_format="list")
        (child,) = [run for run in runs if run.info.run_id != parent.info.run_id]
        assert child.info.run_name == "ridge"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["linear"] == "true"
        assert child.data.params["hyper.algorithm"] == "ridge"
        assert child.data.metrics == {"rank_ic": 0.042, "curve.rank_ic": 0.02}
        history = mlflow.MlflowClient().get_metric_history(child.info.run_id, "curve.rank_ic")
        assert [(point.step, point.value) for point in history] == [(1, 0.01), (2, 0.02)]
    finally:
        mlflow.set_tracking_uri(None)


def test_a_search_becomes_one_nested_run_with_its_page(tmp_path):
    def compose_search_page(verdict, board, search):
        return ""

    names = ["search_verdict", "search_leaderboard", "params:ensemble_search"]
    composed = node(compose_search_page, names, "search_page", name="compose_search_page")
    verdict = {"chosen": "a + b", "verdict": "probably luck", "trials": 7, "deflated_sharpe": 0.25, "holdout": None}
    board = pd.DataFrame({"rank": [1], "combination": ["a + b"]})
    inputs = dict(zip(names, (verdict, board, EnsembleSearchParameters(max_models=3)), strict=True))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
        mlflow.set_experiment("test")
        record_node(composed, DataCatalog(), inputs, {"search_page": "<html></html>"}, "simulated")
        with mlflow.start_run() as parent:
            record_node(composed, DataCatalog(), inputs, {"search_page": "<html></html>"}, "simulated")
        runs = mlflow.search_runs(experiment_names=["test"], output_format="list")
        (child,) = [run for run in runs if run.info.run_id != parent.info.run_id]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["verdict"] == "probably luck"
        assert child.data.params["max_models"] == "3"
        assert child.data.metrics == {"trials": 7.0, "deflated_sharpe": 0.25}
        assert "search.html" in {file.path for file in mlflow.MlflowClient().list_artifacts(child.info.run_id)}
    finally:
        mlflow.set_tracking_uri(None)


def test_an_evaluation_of_factors_becomes_one_nested_run_with_its_tables_and_page(tmp_path):
    def compose_factor_page(summary, decay, parameters):
        return ""

    names = ["factor_summary", "factor_decay", "params:factor_evaluation"]
    composed = node(compose_factor_page, names, "factor_page", name="compose_factor_page")
    summary = pd.DataFrame({"factor": ["A+B", "C"], **{name: [0.5, None] for name in FACTOR_MEASURES}})
    chosen = FactorEvaluationParameters(expression="$close", known_factors={"S": "$volume"}, size_factor="S")
    inputs = dict(zip(names, (summary, summary, chosen), strict=True))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    try:
        mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
        mlflow.set_experiment("test")
        record_node(composed, DataCatalog(), inputs, {"factor_page": "<html></html>"}, "simulated")
        with mlflow.start_run() as parent:
            record_node(composed, DataCatalog(), inputs, {"factor_page": "<html></html>"}, "simulated")
        runs = mlflow.search_runs(experiment_names=["test"], output_format="list")
        (child,) = [run for run in runs if run.info.run_id != parent.info.run_id]
        assert child.data.metrics == {f"A_B.{name}": 0.5 for name in FACTOR_MEASURES}
        assert child.data.params["expression"] == "$close"
        files = {file.path for file in mlflow.MlflowClient().list_artifacts(child.info.run_id)}
        assert files == {"summary.csv", "decay.csv", "factors.html"}
    finally:
        mlflow.set_tracking_uri(None)


def test_a_backtest_gives_its_run_the_measures_of_every_combination_and_files_to_open(tmp_path):
    def backtest_combinations(scores, ensemble):
        return {}

    ensemble = EnsembleParameters.model_validate(
        {"default": "both", "combinations": {"both": {"models": ["a", "b"]}, "one": {"models": ["a"]}}}
    )
    names = ["backtest_performance", "combination_comparison", "backtest_positions", "backtest_facts"]
    ran = node(backtest_combinations, ["fused_scores", "params:ensemble"], names, name="backtest_combinations")
    day = pd.Timestamp("2024-01-02")
    fused = pd.DataFrame({"datetime": day, "instrument": ["=A", "B"], "combination": ["both", "one"], "score": 1 / 3})
    compared = pd.DataFrame(
        {"combination": ["both", "one"], "members": "a", "sharpe": [1.5, float("nan")], "win_rate": [0.5, 0.25]}
    )
    held = pd.DataFrame({"date": [day], "instrument": ["B"], "quantity": [3.0], "price": [0.1 + 0.2]})
    performance = {"sharpe": 1.5, "sortino": float("nan")}
    outputs = dict(zip(names, (performance, compared, held, {"hash": "abc", "parameters": {}}), strict=True))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("test")
    with mlflow.start_run() as run:
        record_node(ran, DataCatalog(), {"fused_scores": fused, "params:ensemble": ensemble}, outputs, "simulated")
    recorded = mlflow.get_run(run.info.run_id).data
    assert recorded.metrics == {"sharpe": 1.5, "both.sharpe": 1.5, "both.win_rate": 0.5, "one.win_rate": 0.25}
    assert (recorded.tags["backtest.combination"], recorded.tags["backtest.hash"]) == ("both", "abc")
    folder = tmp_path / "artifacts" / run.info.run_id / "artifacts" / "backtest"
    assert (folder / "predictions.csv").read_text() == "datetime,instrument,score\n2024-01-02,'=A,0.333333\n"
    assert (folder / "positions.csv").read_text() == "date,instrument,quantity,price\n2024-01-02,B,3,0.3\n"
    report = json.loads((folder / "report.json").read_text())
    assert report["performance"] == {"sharpe": 1.5, "sortino": None}
    assert [each["combination"] for each in report["combinations"]] == ["both", "one"]
