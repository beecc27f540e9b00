"""Objectives of the trees, and what stops their growth."""

import numpy as np
import pytest
from scipy import stats

from quant_pipeline.models.algorithms.lightgbm import LightGBMHyper
from quant_pipeline.models.gbdt import fit_trees, grade, load_trees

SMALL = {"min_data_in_leaf": 20, "lambda_l2": 1.0, "threads": 1, "rounds": 40, "patience": 10}


@pytest.mark.parametrize("objective", ["regression", "regression_l1", "huber", "lambdarank", "rank_xendcg"])
def test_every_objective_orders_by_the_planted_factor(objective, samples, later_rows):
    model = fit_trees(samples["train"], samples["valid"], LightGBMHyper(objective=objective, **SMALL), seed=1)
    # The ranking objectives care for the best of a session more than for the rest.
    least = 0.7 if "rank" in objective else 0.9
    assert stats.spearmanr(model.predict(later_rows), later_rows.values[:, 0])[0] > least


def test_importance_is_in_the_unit_of_the_score_and_names_the_planted_factor(samples):
    model = fit_trees(samples["train"], samples["valid"], LightGBMHyper(**SMALL), seed=1)
    importance = model.importance.set_index("factor")["importance"]
    spread = np.abs(model.predict(samples["valid"]) - model.predict(samples["valid"]).mean()).mean()
    assert importance["signal"] == pytest.approx(spread, rel=0.15)
    assert importance[["noise_a", "noise_b"]].max() < importance["signal"] / 5


def test_training_can_stop_on_the_rank_ic(samples):
    hyper = LightGBMHyper(stop_on="rank_ic", **SMALL)
    model = fit_trees(samples["train"], samples["valid"], hyper, seed=1)
    curve = model.curve[model.curve["metric"] == "valid_rank_ic"].set_index("step")["value"]
    assert model.booster.num_trees() == curve.idxmax()
    assert len(curve) == min(curve.idxmax() + 10, 40)


def test_labels_of_a_session_are_divided_into_grades_of_equal_size(samples):
    grades = grade(samples["train"], 4)
    of_first_session = grades[samples["train"].sessions == 0]
    assert np.unique(of_first_session, return_counts=True)[1].tolist() == [5, 5, 5, 5]
    labels = samples["train"].labels[samples["train"].sessions == 0]
    assert labels[of_first_session == 3].min() > labels[of_first_session == 2].max()


def test_a_continuation_keeps_the_trees_that_are_there(samples):
    hyper = LightGBMHyper(**{**SMALL, "rounds": 5})
    first = fit_trees(samples["train"], samples["valid"], hyper, seed=1)
    second = fit_trees(samples["train"], samples["valid"], hyper, seed=1, previous=first)
    assert second.booster.num_trees() == 10
    kept = second.booster.predict(samples["valid"].values, num_iteration=5)
    np.testing.assert_array_equal(kept, first.predict(samples["valid"]))
    again = load_trees(second.weights())
    np.testing.assert_array_equal(again.predict(samples["valid"]), second.predict(samples["valid"]))
