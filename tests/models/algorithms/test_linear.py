"""Linear models against the minimum of their objective; ridge against scikit-learn is in `test_training.py`."""

import hashlib
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models import panels
from quant_pipeline.models.algorithms import linear
from quant_pipeline.models.algorithms.linear import (
    ElasticNetHyper,
    RidgeHyper,
    continue_elastic_net,
    continue_ridge,
    fit_elastic_net,
    fit_ridge,
)
from quant_pipeline.models.fitted import Samples


def soft_threshold(value, by):
    return np.sign(value) * np.maximum(np.abs(value) - by, 0)


def descend(values, labels, alpha, l1_ratio):
    """Minimise the objective of `fit_elastic_net` by proximal gradient steps: slow, and written from the formula."""
    centred, rest = values - values.mean(axis=0), labels - labels.mean()
    gram, covariance = centred.T @ centred / len(rest), centred.T @ rest / len(rest)
    step = 1 / (np.linalg.eigvalsh(gram)[-1] + alpha * (1 - l1_ratio))
    coefficients = np.zeros(len(gram))
    for _ in range(5_000):
        gradient = gram @ coefficients - covariance + alpha * (1 - l1_ratio) * coefficients
        coefficients = soft_threshold(coefficients - step * gradient, step * alpha * l1_ratio)
    return coefficients, labels.mean() - values.mean(axis=0) @ coefficients


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.01, 0.5), (0.05, 1.0), (0.02, 0.0)])
def test_the_elastic_net_minimises_its_objective(alpha, l1_ratio, samples, later_rows):
    model = fit_elastic_net(samples["train"], samples["valid"], ElasticNetHyper(alpha=alpha, l1_ratio=l1_ratio))
    values, labels = samples["train"].values.astype("float64"), samples["train"].labels.astype("float64")
    coefficients, intercept = descend(values, labels, alpha, l1_ratio)
    expected = later_rows.values.astype("float64") @ coefficients + intercept
    np.testing.assert_allclose(model.predict(later_rows), expected, rtol=0, atol=1e-6)


def test_a_strong_penalty_leaves_only_the_planted_factor(samples):
    model = fit_elastic_net(samples["train"], samples["valid"], ElasticNetHyper(alpha=0.05, l1_ratio=1.0))
    importance = model.importance.set_index("factor")["importance"]
    assert importance["signal"] > 0
    assert importance["noise_a"] == importance["noise_b"] == 0


@pytest.mark.parametrize(("fit", "hyper"), [(fit_ridge, RidgeHyper()), (fit_elastic_net, ElasticNetHyper())])
def test_missing_features_name_the_remedy(fit, hyper, samples):
    holes = samples["train"].features.copy()
    holes.iloc[3, 1] = np.nan
    with pytest.raises(ModelError, match="add the processor `fill`"):
        fit(replace(samples["train"], panel=holes), samples["valid"], hyper)


def test_a_descent_that_has_not_arrived_is_logged_with_the_remedy(samples, caplog):
    fit_elastic_net(samples["train"], samples["valid"], ElasticNetHyper(alpha=0.001, rounds=1))
    assert "has not arrived after 1 rounds" in caplog.text


def test_a_continued_ridge_is_pulled_towards_its_former_coefficients(samples):
    train, valid = samples["train"], samples["valid"]
    former = fit_ridge(valid, train, RidgeHyper(alpha=0.01))
    held = continue_ridge(former, train, valid, RidgeHyper(alpha=1e9))
    np.testing.assert_allclose(held.coefficients, former.coefficients, atol=1e-7)
    free = continue_ridge(former, train, valid, RidgeHyper(alpha=1e-12))
    np.testing.assert_allclose(free.coefficients, fit_ridge(train, valid, RidgeHyper(alpha=0)).coefficients, atol=1e-7)


def test_a_continued_elastic_net_ends_where_training_again_ends(samples):
    train, valid = samples["train"], samples["valid"]
    hyper = ElasticNetHyper(alpha=0.001)
    former, again = fit_elastic_net(valid, train, hyper), fit_elastic_net(train, valid, hyper)
    assert np.abs(former.coefficients - again.coefficients).max() > 1e-3
    continued = continue_elastic_net(former, train, valid, hyper)
    np.testing.assert_allclose(continued.coefficients, again.coefficients, atol=1e-5)


def test_ridge_makes_doubles_of_a_block_of_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(linear, "ROWS_AT_ONCE", 1000)
    monkeypatch.setattr(panels, "AT_ONCE", 100_000)
    random = np.random.default_rng(7)
    index = pd.MultiIndex.from_product([pd.bdate_range("2020-01-01", periods=500), [f"S{n:03d}" for n in range(100)]])
    features = pd.DataFrame(random.normal(3, 1, (60, len(index))).astype("float32").T, index=index, copy=False)
    rows = np.flatnonzero(random.random(len(index)) < 0.9)
    labels = random.normal(size=len(rows)).astype("float32")
    train, valid = Samples(features, rows, labels), Samples(features, rows[:100], labels[:100])
    tracemalloc.start()
    model = fit_ridge(train, valid, RidgeHyper(alpha=0.1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * features.to_numpy().nbytes
    values = features.to_numpy()[rows].astype("float64")
    centred = values - values.mean(axis=0)
    gram, covariance = centred.T @ centred / len(rows), centred.T @ (labels - labels.mean(dtype="float64")) / len(rows)
    np.testing.assert_allclose(
        model.coefficients, np.linalg.solve(gram + 0.1 * np.eye(60), covariance), rtol=1e-9, atol=1e-12
    )


def test_ridge_refuses_an_infinite_value_in_any_block(monkeypatch, samples):
    monkeypatch.setattr(linear, "ROWS_AT_ONCE", 50)
    broken = samples["train"].features.copy()
    broken.iloc[samples["train"].rows[-1], 0] = np.inf
    with pytest.raises(ModelError, match="missing or infinite"):
        fit_ridge(replace(samples["train"], panel=broken), samples["valid"], RidgeHyper())


def many_samples():
    """Make samples of several blocks, with rows that are left out and columns whose level moves."""
    random = np.random.default_rng(3)
    index = pd.MultiIndex.from_product([pd.bdate_range("2020-01-01", periods=200), [f"S{n:03d}" for n in range(150)]])
    values = random.normal(size=(len(index), 100)) + np.linspace(0, 2, len(index))[:, None]
    rows = np.flatnonzero(random.random(len(index)) < 0.9)
    labels = (values[rows, 0] - values[rows, 1] + random.normal(size=len(rows))).astype("float32")
    samples = Samples(pd.DataFrame(values.astype("float32"), index=index), rows, labels)
    return samples, replace(samples, rows=rows[-500:], labels=labels[-500:])


def digests():
    """Hash what both linear models learn and say."""
    train, valid = many_samples()
    models = fit_ridge(train, valid, RidgeHyper()), fit_elastic_net(train, valid, ElasticNetHyper())
    arrays = [
        part for model in models for part in (model.coefficients, np.array(model.intercept), model.predict(train))
    ]
    return [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_score_of_zeros_keeps_their_sign(rows):
    model = linear.FittedLinear(np.array([-1.0, np.inf]), -0.0, pd.DataFrame(), ["a", "b"])
    _, score = model._score(slice(0, rows), np.array([[0.0] * rows, [2.0] * rows], np.float32))
    np.testing.assert_array_equal(score, [np.inf] * rows)
    model = linear.FittedLinear(np.array([-1.0]), -0.0, pd.DataFrame(), ["a"])
    _, score = model._score(slice(0, rows), np.zeros((1, rows), np.float32))
    assert np.signbit(score).tolist() == [True] * rows


def test_results_have_the_same_bits_on_any_number_of_cores(monkeypatch):
    found = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)), raising=False)
        found.append(digests())
    assert found[0] == found[1] == found[2]


def test_a_process_of_one_core_finds_the_same_bits():
    program = f"""
import os, runpy
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
print(runpy.run_path({__file__!r})["digests"]())
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    child = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert child.stdout == f"{digests()}\n"


@pytest.mark.parametrize("rows", [1, 2, 9, 700])
def test_scores_are_summed_factor_by_factor_however_many_rows_there_are(rows):
    train, valid = many_samples()
    model = fit_ridge(train, valid, RidgeHyper())
    asked = replace(valid, rows=train.rows[-rows:], labels=train.labels[-rows:])
    expected = np.full(rows, model.intercept)
    for factor, coefficient in zip(asked.values.T, model.coefficients, strict=True):
        expected += factor.astype("float64") * coefficient
    assert model.predict(asked).tobytes() == expected.tobytes()


def test_sums_of_blocks_are_those_of_all_rows(monkeypatch):
    train, valid = many_samples()
    whole = fit_ridge(train, valid, RidgeHyper(alpha=0)).coefficients
    centred = train.values.astype("float64")
    centred -= centred.mean(axis=0)
    expected = np.linalg.lstsq(centred, train.labels - train.labels.mean(dtype="float64"), rcond=None)[0]
    np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-10)
    monkeypatch.setattr(linear, "ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(fit_ridge(train, valid, RidgeHyper(alpha=0)).coefficients, whole, rtol=0, atol=1e-11)
