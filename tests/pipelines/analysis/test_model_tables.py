"""Models: what is planted into scores is found, and what is noise is not."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.evaluation.drift import DriftParameters
from quant_pipeline.pipelines.analysis.models import cusum, follow_correlations, leave_one_out, measure_models
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters

DAYS = pd.bdate_range("2024-01-01", periods=120)
NAMES = [f"I{number:02d}" for number in range(30)]
RULES = AnalysisParameters(min_sessions=60)
INDEX = pd.MultiIndex.from_product([DAYS, NAMES], names=["datetime", "instrument"])


@pytest.fixture(scope="module")
def tables():
    """One model that knows something, one that is nearly its copy, one that knows nothing."""
    random = np.random.default_rng(4)
    labels = pd.Series(random.normal(size=len(INDEX)), INDEX)
    good = 0.3 * labels + random.normal(size=len(INDEX))
    scores = {"good": good, "copy": good + random.normal(0, 0.1, len(INDEX)), "noise": random.normal(size=len(INDEX))}
    segment = np.where(INDEX.get_level_values("datetime") < DAYS[30], "valid", "test")
    return {name: pd.DataFrame({"score": s, "segment": segment}, INDEX) for name, s in scores.items()}, labels


def test_planted_knowledge_is_above_zero_and_noise_is_not(tables):
    found = measure_models(*tables, 10, 1, DriftParameters(), RULES).set_index("model")
    assert found["sessions"].tolist() == [90, 90, 90]
    assert found.loc["good", "lower"] > 0.15
    assert found.loc["good", "long_lower"] > 0
    assert found.loc["noise", "lower"] < 0 < found.loc["noise", "upper"]
    assert found["stability"].tolist() == ["stable"] * 3
    assert found["cusum_p"].between(0, 1).all()


def test_member_that_knows_nothing_adds_nothing_and_the_knowing_one_does(tables):
    predictions, labels = tables
    ensemble = EnsembleParameters(default="two", combinations={"two": {"models": ["good", "noise"]}})
    weights = pd.DataFrame({"combination": "two", "model": ["good", "noise"], "weight": [0.5, 0.5]})
    found = leave_one_out(predictions, labels, ensemble, weights, 1, RULES).set_index("model")
    assert found.loc["good", "lower"] > 0
    assert found.loc["noise", "upper"] < 0
    assert found.loc["noise", "without"] == pytest.approx(measure_models(
        {"good": predictions["good"]}, labels, 10, 1, DriftParameters(), RULES)["rank_ic"].item())  # fmt: skip
    alone = EnsembleParameters(default="one", combinations={"one": {"models": ["good"]}})
    assert leave_one_out(predictions, labels, alone, weights, 1, RULES).empty


def test_copies_are_alike_in_every_quarter_and_noise_is_not(tables):
    found = follow_correlations(tables[0], RULES)
    assert sorted(found["quarter"].unique()) == ["2024Q1", "2024Q2"]
    pairs = found.set_index(["quarter", "one", "other"])["correlation"]
    assert (pairs.xs(("good", "copy"), level=("one", "other")) > 0.95).all()
    assert (pairs.xs(("good", "noise"), level=("one", "other")).abs() < 0.1).all()


def test_cusum_finds_where_a_mean_has_changed():
    random = np.random.default_rng(6)
    steady = pd.Series(random.normal(0.05, 0.1, 250), pd.bdate_range("2024-01-01", periods=250))
    assert cusum(steady, 1, 60)[1] > 0.05
    broken = steady.where(np.arange(250) < 150, steady - 0.15)
    statistic, p_value, turned = cusum(broken, 1, 60)
    assert statistic > 1.6
    assert p_value < 0.01
    assert abs((turned - broken.index[149]).days) < 15
    assert np.isnan(cusum(steady.head(59), 1, 60)[0])
