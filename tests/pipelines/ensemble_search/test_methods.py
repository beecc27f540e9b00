"""Which combinations are tried."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.pipelines.ensemble_search.methods import allowed_combinations
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from tests.helpers.toy_search import SESSIONS, toy

MODELS = {"good": 0.25, "fair": 0.12, "noise_a": 0.0, "noise_b": 0.0, "noise_c": 0.0, "noise_d": 0.0}


def tried(market, folder):
    market.backtest(folder)
    table = market.collect(folder)[0]
    return [tuple(name.split(" + ")) for name in table.loc[table["size"] > 0, "combination"]]


def test_every_combination_up_to_the_largest_size():
    names = list("abcdefghijkl")
    assert len(list(allowed_combinations(names, EnsembleSearchParameters(max_models=12)))) == 4_095
    assert len(list(allowed_combinations([*names, *"mnopqrst"], EnsembleSearchParameters(max_models=5)))) == 21_699


def test_a_combination_holds_one_member_of_a_family_at_most():
    search = EnsembleSearchParameters(max_models=3, families={"tree": ["a", "b"], "network": ["c", "d"]})
    found = list(allowed_combinations(list("abcde"), search))
    # (1 + 2 trees) × (1 + 2 networks) × (1 + 1 free) − 1
    assert len(found) == 17
    assert ("a", "c", "e") in found
    assert not any({"a", "b"} <= set(c) or {"c", "d"} <= set(c) for c in found)


def test_a_model_of_two_families_is_refused():
    with pytest.raises(ValueError, match="two families"):
        EnsembleSearchParameters(families={"x": ["a"], "y": ["a", "b"]})


def test_greedy_tries_few_and_grows_the_best(tmp_path):
    market = toy(MODELS).after(method="greedy", beam=2, max_models=3)
    found = tried(market, tmp_path)
    assert found[:6] == [(name,) for name in sorted(MODELS)]
    assert 6 < len(found) < 41
    assert ("fair", "good") in found
    assert all({"fair", "good"} & set(c) for c in found[6:])


def test_low_correlation_prefers_the_unlike_one_of_two_equals(tmp_path):
    market = toy(MODELS)
    market.predictions["good_twin"] = market.predictions["good"].assign(
        score=lambda table: table["score"] + 1e-3 * market.predictions["noise_a"]["score"]
    )
    found = tried(market.after(method="low_correlation", penalties=(2.0,), max_models=2), tmp_path)
    pairs = [set(c) for c in found if len(c) == 2]
    assert {"fair", "good"} in pairs or {"fair", "good_twin"} in pairs
    assert {"good", "good_twin"} not in pairs
    alike = tried(market.after(method="low_correlation", penalties=(0.0,), max_models=2), tmp_path)
    assert ("good", "good_twin") in alike


def test_auto_becomes_greedy_when_there_are_too_many(tmp_path):
    market = toy(MODELS).after(max_combinations=30, beam=1, max_models=6)
    assert len(tried(market, tmp_path)) <= 30
    with pytest.raises(ConfigurationError, match="more than 30 combinations"):
        tried(market.after(method="every"), tmp_path)


@pytest.mark.parametrize("method", ["greedy", "low_correlation"])
def test_a_guided_search_is_guided_by_nothing_after_the_first_training(method, tmp_path):
    # The first fold starts with session 100 and its embargo with session 95.
    market = toy(MODELS).after(method=method, beam=2, max_models=3)
    clean = tried(market, tmp_path / "clean")
    for table in market.predictions.values():
        later = table.index.get_level_values("datetime") >= SESSIONS[95]
        table.loc[later, "score"] *= -1
    poisoned = tried(market, tmp_path / "poisoned")
    assert clean == poisoned


def test_the_same_combination_is_tried_once(tmp_path):
    found = tried(toy(MODELS).after(method="low_correlation", max_models=4), tmp_path)
    assert len(found) == len(set(found))
    assert pd.Series([len(c) for c in found]).max() == 4
