import itertools
import math

import numpy as np
import pytest

from quant_pipeline.evaluation.attribution import CombinationValues

SESSIONS = np.array([126, 126])


def every_combination(models):
    return [c for size in range(1, len(models) + 1) for c in itertools.combinations(models, size)]


def values_of(worth, models, empty=0.0):
    """Two equal periods of half a year each, so that a year's value is the sum of both."""
    combinations = every_combination(models)
    rows = np.array([[worth(set(c)) / 2] * 2 for c in combinations])
    return CombinationValues(combinations, rows, np.array([empty / 2] * 2), SESSIONS)


def test_the_glove_game_has_its_textbook_values():
    # One left glove and two right gloves: a pair is worth 1. Shapley: 2/3 to the left one, 1/6 to each right one.
    table = values_of(lambda c: float("left" in c and len(c) >= 2), ["left", "right_a", "right_b"]).shapley()
    assert table["value"].to_dict() == pytest.approx({"left": 2 / 3, "right_a": 1 / 6, "right_b": 1 / 6})
    assert table["pairs"].tolist() == [4, 4, 4]


def test_values_of_any_game_add_up_and_equal_the_mean_over_all_orders():
    rng = np.random.default_rng(5)
    models = ["a", "b", "c", "d"]
    worth = {frozenset(c): float(rng.normal()) for c in every_combination(models)}
    worth[frozenset()] = 0.3
    table = values_of(lambda c: worth[frozenset(c)], models, empty=0.3).shapley()
    assert table["value"].sum() == pytest.approx(worth[frozenset(models)] - 0.3)
    total = dict.fromkeys(models, 0.0)
    for order in itertools.permutations(models):
        for index, model in enumerate(order):
            total[model] += worth[frozenset(order[: index + 1])] - worth[frozenset(order[:index])]
    assert table["value"].to_dict() == pytest.approx({m: v / math.factorial(4) for m, v in total.items()})


def test_a_model_that_changes_nothing_is_worth_nothing():
    table = values_of(lambda c: 0.1 * ("good" in c), ["good", "idle"]).shapley()
    assert table["value"].to_dict() == pytest.approx({"good": 0.1, "idle": 0.0})


def test_leave_one_out_compares_the_chosen_one_with_its_rest_and_admits_what_was_not_tried():
    combinations = [("a",), ("a", "b"), ("a", "b", "c")]
    values = CombinationValues(combinations, np.array([[0.1, 0.2], [0.2, 0.2], [0.1, 0.5]]), np.zeros(2), SESSIONS)
    table = values.leave_one_out(("a", "b", "c"))
    assert table.loc["c", "value"] == pytest.approx(0.2)
    assert table.loc["c", "standard_error"] == pytest.approx(np.std([-0.1, 0.3], ddof=1) * np.sqrt(2))
    assert table["pairs"].to_dict() == {"a": 0, "b": 0, "c": 1}
    assert np.isnan(table.loc["a", "value"])
