"""Weights of members, estimated from what was realised."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.market.clock import label_lag
from quant_pipeline.pipelines.ensemble.nodes import weigh_combinations
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.weighting_formulas import (
    dynamic_weights,
    equal_weights,
    rank_coefficients,
    stability_weights,
)
from quant_pipeline.pipelines.ensemble.weighting_registry import shrink
from quant_pipeline.pipelines.features.nodes import LabelParameters
from tests.helpers.two_members import DYNAMIC, LONG, informed, scores


def test_weights_follow_the_stability_of_the_rank_ic():
    random = np.random.default_rng(2)
    labels = scores(random.normal(size=(40, 4)))
    good = labels + 0.5 * random.normal(size=160)
    weak = labels + 3.0 * random.normal(size=160)
    wrong = -labels
    weights = stability_weights(rank_coefficients({"good": good, "weak": weak, "wrong": wrong}, labels))
    assert weights.sum() == pytest.approx(1.0)
    assert weights["good"] > weights["weak"] > weights["wrong"] == 0.0


def test_without_any_positive_model_weights_are_equal_and_it_is_said(caplog):
    labels = scores(np.random.default_rng(2).normal(size=(40, 4)))
    weights = stability_weights(rank_coefficients({"a": -labels, "b": -labels + 1e-9}, labels))
    assert weights.tolist() == [0.5, 0.5]
    assert "no model of" in caplog.text
    assert equal_weights(["a", "b", "c"]).tolist() == pytest.approx([1 / 3] * 3)


def test_dynamic_weights_follow_the_members_that_were_right_lately():
    labels, members = informed(LONG, 0.5, seed=1)
    weights = dynamic_weights(rank_coefficients(members, labels), LONG, LONG[60:], 2, DYNAMIC)
    assert weights.index.tolist() == LONG[60:200:10].tolist()
    assert weights.sum(axis=1).tolist() == pytest.approx([1.0] * 14)
    assert weights.loc[LONG[90], "early"] > 0.8
    assert weights.loc[LONG[150], "late"] > 0.8


@pytest.mark.parametrize("horizon", [1, 5])
def test_dynamic_weights_know_a_label_from_the_session_on_that_realises_it(horizon):
    # The label of s is the return from the fill of s+1 to the fill of s+1+horizon, known at the close of s+1+horizon.
    labels, members = informed(LONG, 0.5, seed=2)
    at, lag = 100, label_lag(horizon)

    def weights(labels):
        table = dynamic_weights(rank_coefficients(members, labels), LONG, LONG[at:], lag, DYNAMIC)
        return table.loc[LONG[at]]

    def poisoned(session):
        changed = labels.copy()
        changed.loc[LONG[session] :] *= -1
        return changed

    assert lag == horizon + 1
    pd.testing.assert_series_equal(weights(labels), weights(poisoned(at - lag + 1)), check_exact=True)
    assert (weights(labels) != weights(poisoned(at - lag))).all()


@pytest.mark.parametrize(("session", "is_seen"), [(58, False), (59, True), (98, True), (99, False)])
def test_dynamic_weights_look_at_the_realised_sessions_of_the_window_only(session, is_seen):
    # At session 100, with a label known two sessions later, a window of 40 holds sessions 59 to 98.
    labels, members = informed(LONG, 0.5, seed=3)
    members = {name: score + 0.4 * labels for name, score in members.items()}
    changed = labels.copy()
    changed.loc[LONG[session]] *= -1
    before, after = (
        dynamic_weights(rank_coefficients(members, values), LONG, LONG[100:], 2, DYNAMIC).loc[LONG[100]].tolist()
        for values in (labels, changed)
    )
    assert (before != after) == is_seen


def test_dynamic_weights_start_equal():
    labels, members = informed(LONG, 0.5, seed=3)
    table = dynamic_weights(rank_coefficients(members, labels), LONG, LONG[10:], 2, DYNAMIC)
    assert table.loc[LONG[20]].tolist() == [0.5, 0.5]
    assert table.loc[LONG[30]].tolist() != [0.5, 0.5]


def test_shrinkage_moves_towards_equal_weights():
    weights = pd.Series({"a": 0.8, "b": 0.2, "c": 0.0})
    assert shrink(weights, 0.0).tolist() == [0.8, 0.2, 0.0]
    assert shrink(weights, 0.5).tolist() == pytest.approx([0.4 + 1 / 6, 0.1 + 1 / 6, 1 / 6])
    assert shrink(weights, 1.0).tolist() == pytest.approx([1 / 3] * 3)


def test_every_member_is_weighed_by_the_label_that_it_states():
    """The slow model knows the returns of five sessions and nothing of those of one; the fast model the reverse."""
    random = np.random.default_rng(8)
    shape = (len(LONG), 4)
    one, five = scores(random.normal(size=shape), LONG), scores(random.normal(size=shape), LONG)
    noise = 0.8 * scores(random.normal(size=shape), LONG)
    stated = {"fast": "Ref($open, -2)/Ref($open, -1)-1", "slow": "Ref($open, -6)/Ref($open, -1)-1"}
    segment = np.where(one.index.get_level_values(0) < LONG[60], "valid", "test")
    tables = {
        f"{name}_predictions": pd.DataFrame({"score": known + noise, "segment": segment, "label": stated[name]})
        for name, known in (("fast", one), ("slow", five))
    }
    parameters = EnsembleParameters.model_validate(
        {"default": "c", "combinations": {"c": {"models": ["fast", "slow"], "member_weights": "icir"}}}
    )
    own = five.to_frame("label")
    own.attrs["expression"] = stated["slow"]
    given = one.to_frame("label"), pd.DataFrame({"date": LONG}), parameters, LabelParameters()
    weights = weigh_combinations(*given, **tables, horizon_5_labels=own)[0].set_index("model")["weight"]
    assert weights["slow"] == pytest.approx(0.5, abs=0.15)
    without = weigh_combinations(*given, **tables)[0].set_index("model")["weight"]
    assert without["slow"] < 0.1
