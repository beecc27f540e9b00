"""A trained model in MLflow: what it was made of, its files, and its bundle behind MLflow's own interface."""

from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.datasets.bundle import ModelBundles
from quant_pipeline.models.training import train_bundle
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel
from quant_pipeline.tracking.model_record import model_of
from quant_pipeline.tracking.records import record_node

MARKET = "invented"


def evaluate_model(predictions, spec, learning_curve, importance):
    return {}


@pytest.fixture
def run(project_folder, tmp_path):
    """One recorded model: the run, its bundle and its panel."""
    panel = planted_panel()
    segments = panel.segments
    stated = {"features": "f", "labels": "l", "universe": "u", "source": "a planted panel", "arithmetic": "2"}
    facts = replace(planted_facts("ridge"), inputs=stated)
    bundle = train_bundle(facts, panel.features, panel.labels, panel.members, segments)
    bundles = ModelBundles(filepath=str(tmp_path / "bundle"), promotion="automatic")
    bundles.save(bundle)
    scores = bundle.predict(panel.features).to_frame()
    in_test = scores.index.get_level_values("datetime").isin(segments["test"])
    predictions = scores.assign(segment=np.where(in_test, "test", "valid"), label="return")
    inputs = {
        "ridge_predictions": predictions,
        "params:models.ridge": facts.spec,
        "ridge.learning_curve": bundle.learning_curve,
        "ridge.importance": bundle.importance,
    }
    evaluated = node(evaluate_model, list(inputs), "ridge.metrics", name="evaluate_model", namespace="ridge")
    catalog = DataCatalog(
        {"ridge.bundle@candidate": bundles, "sessions": MemoryDataset(pd.DataFrame({"date": panel.sessions}))},
    )
    mlflow.set_tracking_uri(sqlite_url(project_folder / "mlflow.db"))
    mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("test")
    with mlflow.start_run() as parent:
        record_node(evaluated, catalog, inputs, {"ridge.metrics": {"rank_ic": 0.1}}, MARKET)
    runs = mlflow.search_runs(experiment_names=["test"], output_format="list")
    (child,) = (each for each in runs if each.info.run_id != parent.info.run_id)
    return child, bundle, panel, segments


def test_the_run_of_a_model_says_windows_sessions_universe_and_market(run):
    child, _, _, segments = run
    known = child.data.params
    for part, days in segments.items():
        assert known[f"window.{part}"] == f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}"
        assert known[f"sessions.{part}"] == str(len(days))
    assert known["market.name"] == MARKET
    assert known["market.source"] == "a planted panel"
    assert len(known["market.fingerprint"]) == 16
    assert int(known["universe.instruments"]) > 1
    assert known["hyper.algorithm"] == "ridge"
    assert child.data.tags["input.arithmetic"] == "2"


def test_the_run_of_a_model_holds_its_predictions_and_the_picture_of_its_importance(run, tmp_path):
    child, bundle, panel, _ = run
    files = {file.path for file in mlflow.MlflowClient().list_artifacts(child.info.run_id)}
    assert {"predictions.csv", "feature_importance.csv", "feature_importance.png", "bundle"} <= files
    read = pd.read_csv(mlflow.artifacts.download_artifacts(f"{child.info.artifact_uri}/predictions.csv"))
    assert read.columns.tolist() == ["datetime", "instrument", "score", "segment", "label"]
    np.testing.assert_allclose(read["score"], bundle.predict(panel.features), rtol=0, atol=5e-7)
    picture = mlflow.artifacts.download_artifacts(f"{child.info.artifact_uri}/feature_importance.png")
    assert Path(picture).read_bytes()[:4] == b"\x89PNG"


def test_a_registered_model_carries_its_market_and_scores_as_the_bundle_does(run):
    _, bundle, panel, _ = run
    version = mlflow.MlflowClient().get_model_version_by_alias(f"{MARKET}.ridge", "champion")
    assert version.tags["bundle"] == bundle.identity
    loaded = mlflow.pyfunc.load_model(f"models:/{MARKET}.ridge@champion")
    pd.testing.assert_series_equal(loaded.predict(panel.features), bundle.predict(panel.features), check_exact=True)


@pytest.mark.parametrize("namespace", ["ridge", "training.ridge"])
def test_a_model_is_the_innermost_namespace_of_its_nodes(namespace):
    assert model_of(node(len, "features", "score", name="train_model", namespace=namespace)) == "ridge"
