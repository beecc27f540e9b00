"""Any name of a factor works with every algorithm: libraries get numbers of columns, bundles and tables the names."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.models.algorithms.record import Algorithm
from quant_pipeline.models.bundle import BundleFacts, read_bundle, write_bundle
from quant_pipeline.models.training import train_bundle
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel
from tests.helpers.small_hyper import HYPER

# What LightGBM calls special characters of JSON, XGBoost brackets, and both the same name twice.
ODD = [
    ["a,b", "中文", "x[1]"],
    ['{"q"}', "a:b", "a b"],
    ["Corr($close, Log($volume+1), 10)", "a_b", "<script>"],
    ["f1", "Column_0", "f0"],
]
ALGORITHMS = ["lightgbm", "double_ensemble", "xgboost", "catboost", "ridge", "elastic_net", "mlp", "gru"]


def trained(algorithm, names=None):
    panel, facts = planted_panel(), planted_facts(algorithm, **HYPER[algorithm])
    features = panel.features
    if names is not None:
        features = features.set_axis(names, axis=1)
        expressions = dict(zip(names, facts.expressions.values(), strict=True))
        spec = facts.spec.model_copy(update={"factors": names})
        facts = BundleFacts(spec, expressions, facts.label, facts.window, facts.calendar)
    return train_bundle(facts, features, panel.labels, panel.members, panel.segments), features


@pytest.fixture(scope="module")
def plain():
    made = {}
    return lambda algorithm: made.setdefault(algorithm, trained(algorithm)[0])


@pytest.mark.parametrize("names", ODD, ids=["a,b", "{q}", "expression", "f1"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_name_changes_no_score_and_stays_itself_in_bundle_and_importance(algorithm, names, plain, tmp_path):
    if algorithm in ("xgboost", "catboost") and not find_spec(algorithm):
        pytest.skip("the extra is not installed")
    expected = plain(algorithm)
    bundle, features = trained(algorithm, names)
    scores = bundle.predict(features)
    pd.testing.assert_series_equal(scores, expected.predict(planted_panel().features), check_exact=True)
    assert set(bundle.importance["factor"]) == set(names)
    assert bundle.importance["factor"].iloc[0] == names[0]
    np.testing.assert_array_equal(bundle.importance["importance"], expected.importance["importance"])
    write_bundle(bundle, tmp_path / "bundle")
    again = read_bundle(tmp_path / "bundle")
    assert list(again.facts.expressions) == names
    pd.testing.assert_series_equal(again.predict(features), scores, check_exact=True)


def test_xgboost_scores_with_a_model_that_an_earlier_version_kept_with_names():
    xgboost = pytest.importorskip("xgboost")
    from quant_pipeline.models.algorithms.registry import find_algorithm
    from quant_pipeline.models.fitted import Samples

    panel = planted_panel()
    rows = np.arange(len(panel.features))
    samples = Samples(panel.features, rows, panel.labels.to_numpy(dtype=np.float32))
    data = xgboost.DMatrix(samples.values, samples.labels, feature_names=list(panel.features.columns))
    booster = xgboost.train({"nthread": 1, "verbosity": 0}, data, 5)
    record: Algorithm = find_algorithm("xgboost")
    kept = {"model.ubj": bytes(booster.save_raw("ubj"))}
    loaded = record.load(kept, list(panel.features.columns), record.hyper())
    np.testing.assert_array_equal(loaded.predict(samples), booster.predict(data).astype(np.float64))
