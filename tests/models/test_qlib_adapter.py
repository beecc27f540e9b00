"""Models of Qlib through the adapter, and our models against them on the same arrays."""

import pkgutil
from importlib import import_module
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import qlib.contrib.model
from qlib.model.base import Model
from qlib.workflow import R

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.algorithms.lightgbm import LightGBMHyper
from quant_pipeline.models.algorithms.linear import RidgeHyper, fit_ridge
from quant_pipeline.models.algorithms.qlib import QlibHyper
from quant_pipeline.models.bundle import read_bundle, write_bundle
from quant_pipeline.models.fitting import libraries_of
from quant_pipeline.models.gbdt import fit_trees, tree_parameters
from quant_pipeline.models.qlib_adapter import fit_qlib, load_qlib
from quant_pipeline.models.training import train_bundle

TREES = "qlib.contrib.model.gbdt.LGBModel"
LINEAR = "qlib.contrib.model.linear.LinearModel"
GRU = "qlib.contrib.model.pytorch_gru_ts.GRU"
ENSEMBLE = "qlib.contrib.model.double_ensemble.DEnsembleModel"
NETWORK = {"d_feat": 3, "hidden_size": 8, "num_layers": 1, "n_epochs": 2, "lr": 0.02, "batch_size": 200, "n_jobs": 0}
MODELS = {
    "trees": QlibHyper(import_path=TREES, arguments={"num_boost_round": 20, "num_threads": 1, "verbosity": -1}),
    "linear": QlibHyper(import_path=LINEAR, arguments={"estimator": "ridge", "alpha": 1.0}),
    "network": QlibHyper(import_path=GRU, arguments={**NETWORK, "GPU": -1, "seed": 1}, window=4),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_qlib_learns_and_scores_the_same_after_loading(name, samples, later_rows):
    model = fit_qlib(samples["train"], samples["valid"], MODELS[name], seed=1)
    scores = model.predict(later_rows)
    assert np.corrcoef(scores, later_rows.values[:, 0])[0, 1] > 0.7
    loaded = load_qlib(model.weights(), list(later_rows.features.columns), MODELS[name])
    np.testing.assert_array_equal(loaded.predict(later_rows), scores)


def test_lightgbm_predicts_as_the_one_of_qlib_on_the_same_arrays(samples, later_rows):
    hyper = LightGBMHyper(rounds=60, patience=10, min_data_in_leaf=20, threads=1)
    ours = fit_trees(samples["train"], samples["valid"], hyper, seed=1)
    arguments = {"loss": "mse", "num_boost_round": 60, "early_stopping_rounds": 10, **tree_parameters(hyper, 1)}
    theirs = fit_qlib(samples["train"], samples["valid"], QlibHyper(import_path=TREES, arguments=arguments), seed=1)
    np.testing.assert_array_equal(ours.predict(later_rows), theirs.predict(later_rows))


def test_ridge_predicts_as_the_one_of_qlib_on_the_same_arrays(samples, later_rows):
    ours = fit_ridge(samples["train"], samples["valid"], RidgeHyper(alpha=0.05))
    alpha = 0.05 * len(samples["train"].rows)
    arguments = {"estimator": "ridge", "alpha": alpha, "fit_intercept": True}
    theirs = fit_qlib(samples["train"], samples["valid"], QlibHyper(import_path=LINEAR, arguments=arguments), seed=1)
    np.testing.assert_allclose(ours.predict(later_rows), theirs.predict(later_rows), rtol=0, atol=1e-5)


def test_a_model_of_qlib_is_sealed_in_a_bundle_without_pickles(
    make_facts, features, labels, members, segments, tmp_path
):
    facts = make_facts("qlib", import_path=TREES, arguments={"num_boost_round": 20, "num_threads": 1, "verbosity": -1})
    bundle = train_bundle(facts, features, labels, members, segments)
    write_bundle(bundle, tmp_path / "bundle")
    loaded = read_bundle(tmp_path / "bundle")
    pd.testing.assert_series_equal(loaded.predict(features), bundle.predict(features), check_exact=True)
    kinds = {file.suffix for file in (tmp_path / "bundle").iterdir()}
    assert kinds == {".json", ".txt", ".safetensors", ".parquet"}


@pytest.mark.parametrize(
    ("import_path", "expected"),
    [
        (TREES, {"lightgbm", "numpy", "pandas", "pyqlib"}),
        (LINEAR, {"numpy", "pandas", "pyqlib", "scikit-learn", "scipy"}),
        (GRU, {"numpy", "pandas", "pyqlib", "torch"}),
    ],
)
def test_the_libraries_of_a_model_of_qlib_are_those_that_its_module_imports(make_facts, import_path, expected):
    recorded = libraries_of(make_facts("qlib", import_path=import_path).spec)
    assert recorded == {name: version(name) for name in expected}


def test_qlib_opens_no_run_of_its_own_and_its_metrics_are_the_learning_curve(samples, monkeypatch):
    untouchable = object()  # a recorder that cannot be called: whatever the fit asked of it would be an error
    monkeypatch.setitem(vars(R), "_provider", untouchable)
    model = fit_qlib(samples["train"], samples["valid"], MODELS["trees"], seed=1)
    assert vars(R)["_provider"] is untouchable
    assert set(model.curve["metric"]) == {"l2.train", "l2.valid"}
    assert model.curve["step"].tolist()[:3] == [1, 2, 3]


def test_lists_of_trees_are_written_too(samples, later_rows):
    arguments = {"num_models": 2, "epochs": 5, "decay": 0.5, "num_threads": 1, "verbosity": -1, "enable_fs": False}
    hyper = QlibHyper(import_path=ENSEMBLE, arguments=arguments)
    model = fit_qlib(samples["train"], samples["valid"], hyper, seed=1)
    loaded = load_qlib(model.weights(), list(later_rows.features.columns), hyper)
    np.testing.assert_array_equal(loaded.predict(later_rows), model.predict(later_rows))


@pytest.mark.parametrize(
    ("hyper", "words"),
    [
        ({"import_path": "qlib.contrib.model.gbdt.NoModel"}, "no model"),
        ({"import_path": "qlib.contrib.model.nowhere.LGBModel"}, "no model"),
        ({"import_path": "qlib.data.dataset.DatasetH"}, "is not a model"),
        ({"import_path": LINEAR, "arguments": {"estimator": "guess"}}, "refuses its arguments"),
    ],
)
def test_a_class_that_is_no_model_is_named(hyper, words, samples):
    with pytest.raises(ModelError, match=words):
        fit_qlib(samples["train"], samples["valid"], QlibHyper(**hyper), seed=1)


def model_classes_of_qlib():
    """Every model class of Qlib that can be imported here, by its path."""
    for each in pkgutil.iter_modules(qlib.contrib.model.__path__):
        module = import_module(f"qlib.contrib.model.{each.name}")
        for name, kind in vars(module).items():
            if isinstance(kind, type) and issubclass(kind, Model) and kind.__module__ == module.__name__:
                yield f"{module.__name__}.{name}"


def test_exactly_the_models_that_only_pickle_can_keep_are_refused_before_training(samples, monkeypatch):
    monkeypatch.setattr("quant_pipeline.models.qlib_adapter._make", lambda hyper: pytest.fail("it was made"))
    refused = {}
    for path in model_classes_of_qlib():
        with pytest.raises((ModelError, pytest.fail.Exception)) as caught:
            fit_qlib(samples["train"], samples["valid"], QlibHyper(import_path=path), seed=1)
        if caught.type is ModelError:
            refused[path.rpartition(".")[2]] = caught.value.message
    assert sorted(refused) == ["CatBoostModel", "XGBModel"]
    assert "object of xgboost" in refused["XGBModel"]
    assert refused["XGBModel"].endswith("use `algorithm: xgboost` in its place")
    assert len(list(model_classes_of_qlib())) > 25


def test_code_outside_qlib_is_refused():
    with pytest.raises(ValueError, match="import_path"):
        QlibHyper(import_path="os.system")
