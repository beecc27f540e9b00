"""What was backtested is remembered by content."""

from dataclasses import replace

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.pipelines.ensemble_search import trials
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.toy_search import toy

MODELS = {"good": 0.2, "noise_a": 0.0, "noise_b": 0.0, "noise_c": 0.0}


def test_an_interrupted_search_goes_on_and_equals_a_fresh_one(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "_CHUNK", 4)
    market = toy(MODELS)
    fresh, resumed = tmp_path / "fresh", tmp_path / "resumed"
    whole = market.backtest(fresh)
    assert whole > 6
    market.backtest(resumed, most_chunks=3)
    with pytest.raises(StaleDataError, match="combinations have not been backtested"):
        market.collect(resumed)
    assert market.backtest(resumed) == whole - 3
    for one, other in zip(market.collect(fresh), market.collect(resumed), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_repeated_search_backtests_nothing(tmp_path):
    market = toy(MODELS)
    assert market.backtest(tmp_path) > 0
    assert market.backtest(tmp_path) == 0


def test_a_further_model_leaves_the_others_valid(tmp_path):
    toy({key: MODELS[key] for key in list(MODELS)[:3]}).backtest(tmp_path)
    chunks = set(tmp_path.rglob("*.parquet"))
    toy(MODELS).backtest(tmp_path)
    added = pd.concat([pd.read_parquet(file) for file in set(tmp_path.rglob("*.parquet")) - chunks])
    # Of the 15 combinations of four models, the 7 of the first three are known.
    assert len(added) == 8


@pytest.mark.parametrize("change", ["rules", "scores", "prices", "benchmark", "cash"])
def test_whatever_a_result_follows_from_makes_it_new(change, tmp_path):
    market = toy(MODELS)
    market.backtest(tmp_path)
    if change == "rules":
        market = replace(market, strategy=StrategyRules(topk=8, n_drop=3))
    elif change == "scores":
        market.predictions["good"]["score"] *= -1
    elif change == "prices":
        market.bars.loc[0, "close"] += 0.01
    elif change == "benchmark":
        market.benchmark.loc[3, "total_return_close"] *= 1.01
    elif change == "cash":
        rules = market.rules()
        other = rules[4].model_copy(update={"initial_cash": 999_999.0})
        market = type("Richer", (type(market),), {"rules": lambda self: (*rules[:4], other, rules[5])})(
            **{name: getattr(market, name) for name in market.__dataclass_fields__}
        )
    assert market.backtest(tmp_path) > 0


def test_analysis_only_backtests_nothing_and_says_what_is_missing(tmp_path):
    market = toy(MODELS)
    judged = market.after(analysis_only=True)
    assert judged.backtest(tmp_path) == 0
    with pytest.raises(StaleDataError, match="without `analysis_only`"):
        judged.collect(tmp_path)
    market.backtest(tmp_path)
    pd.testing.assert_frame_equal(judged.collect(tmp_path)[0], market.collect(tmp_path)[0], check_exact=True)
