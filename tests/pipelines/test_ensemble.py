"""Fusion and weights by hand."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.pipelines.ensemble.fusion import fuse, normalise
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.weights import equal_weights, icir_weights

DAYS = pd.bdate_range("2024-01-02", periods=40, unit="ns")
NAMES = ["A", "B", "C", "D"]


def scores(values, days=DAYS):
    index = pd.MultiIndex.from_product([days[: len(values)], NAMES], names=["datetime", "instrument"])
    return pd.Series(np.asarray(values, dtype=float).ravel(), index=index)


def test_ranks_are_centred_and_ties_share():
    assert normalise(scores([[10, 30, 20, 20]]), "rank").tolist() == pytest.approx([-0.5, 0.5, 0.0, 0.0])


def test_z_scores_have_no_mean_and_a_constant_session_is_zero():
    normal = normalise(scores([[1, 2, 3, 4], [5, 5, 5, 5]]), "zscore")
    assert normal.tolist()[:4] == pytest.approx([-1.161895, -0.387298, 0.387298, 1.161895], abs=1e-6)
    assert normal.tolist()[4:] == [0.0] * 4


def test_fusion_is_the_weighted_mean_of_normalised_scores():
    fused = fuse({"x": scores([[1, 2, 3, 4]]), "y": scores([[4, 3, 2, 1]])}, pd.Series({"x": 0.75, "y": 0.25}), "rank")
    assert fused.tolist() == pytest.approx([-0.25, -1 / 12, 1 / 12, 0.25])


def test_an_instrument_that_a_member_lacks_is_left_out_unless_it_may_miss():
    whole, partial = scores([[1, 2, 3, 4]]), scores([[1, 2, 3, np.nan]])
    weights = pd.Series({"x": 0.5, "y": 0.5})
    assert fuse({"x": whole, "y": partial}, weights, "rank").index.get_level_values("instrument").tolist() == [
        "A",
        "B",
        "C",
    ]
    lenient = fuse({"x": whole, "y": partial}, weights, "rank", may_miss=1)
    assert lenient.loc[(DAYS[0], "D")] == pytest.approx(0.5)


def test_a_member_without_any_score_of_a_session_is_an_error_that_names_it():
    stale = scores([[1, 2, 3, 4]])
    fresh = scores([[1, 2, 3, 4], [1, 2, 3, 4]])
    with pytest.raises(StaleDataError, match="old has no scores for 2024-01-03"):
        fuse({"old": stale, "new": fresh}, pd.Series({"old": 0.5, "new": 0.5}), "rank")


def test_weights_follow_the_stability_of_the_rank_ic():
    random = np.random.default_rng(2)
    labels = scores(random.normal(size=(40, 4)))
    good = labels + 0.5 * random.normal(size=160)
    weak = labels + 3.0 * random.normal(size=160)
    wrong = -labels
    weights = icir_weights({"good": good, "weak": weak, "wrong": wrong}, labels)
    assert weights.sum() == pytest.approx(1.0)
    assert weights["good"] > weights["weak"] > weights["wrong"] == 0.0


def test_without_any_positive_model_weights_are_equal_and_it_is_said(caplog):
    labels = scores(np.random.default_rng(2).normal(size=(40, 4)))
    weights = icir_weights({"a": -labels, "b": -labels + 1e-9}, labels)
    assert weights.tolist() == [0.5, 0.5]
    assert "no model of" in caplog.text
    assert equal_weights(["a", "b", "c"]).tolist() == pytest.approx([1 / 3] * 3)


def test_an_unknown_normalisation_is_named():
    with pytest.raises(ConfigurationError, match="unknown normalisation 'softmax'"):
        normalise(scores([[1, 2, 3, 4]]), "softmax")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"default": "b", "combinations": {"a": {"models": ["m"]}}}, "default combination 'b'"),
        ({"default": "a", "combinations": {"a": {"models": ["m"], "enabled": False}}}, "default combination 'a'"),
        ({"default": "a", "combinations": {"a": {"models": ["m"], "weights": "manual"}}}, "manual weights"),
        (
            {"default": "a", "combinations": {"a": {"models": ["m"], "weights": "manual", "manual": {"m": -1.0}}}},
            "must not be negative",
        ),
    ],
)
def test_combinations_that_contradict_themselves_are_refused(block, words):
    with pytest.raises(ValueError, match=words):
        EnsembleParameters.model_validate(block)


def test_disabled_combinations_are_kept_and_ignored():
    block = {
        "default": "a",
        "combinations": {"a": {"models": ["m", "n"]}, "b": {"models": ["old"], "enabled": False}},
    }
    parameters = EnsembleParameters.model_validate(block)
    assert list(parameters.enabled) == ["a"]
    assert parameters.members == ["m", "n"]
