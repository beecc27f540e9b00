"""Two backtests side by side, by literal numbers."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.pipelines.backtest.comparison import (
    StoredBacktest,
    compare_backtests,
    overlap_of_holdings,
)
from quant_pipeline.pipelines.backtest.comparison_page import compose_comparison, describe_difference
from quant_pipeline.pipelines.backtest.facts import changed_parameters, differences, hash_of_parameters
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.browser import require_drawn

DAYS = pd.bdate_range("2024-01-01", periods=120)


def stored(name, returns, positions=(), days=DAYS):
    nav = 100.0 * np.cumprod(1 + np.asarray(returns))
    table = pd.DataFrame(
        {"date": days, "nav": nav, "cash": 5.0, "benchmark": 100.0 + np.arange(len(days)), "turnover": 0.1, "cost": 0.0}
    )
    held = pd.DataFrame(list(positions), columns=["date", "instrument", "value"])
    return StoredBacktest(name, table, held, {})


@pytest.fixture
def noise():
    return np.random.default_rng(3).normal(0.0, 0.01, len(DAYS))


def test_a_constant_lead_is_found_with_its_size(noise):
    found = compare_backtests(stored("ahead", noise + 0.001), stored("behind", noise))
    assert found.difference["mean"] == pytest.approx(0.252)
    assert found.difference["low"] == pytest.approx(0.252)
    assert describe_difference(("ahead", "behind"), found) == (
        "ahead returned 25.2% a year more than behind (daily means times 252, not compounded); the 95 % band of ahead "
        "less behind is +25.2% to +25.2%, so they differ by more than luck."
    )
    found = compare_backtests(stored("behind", noise), stored("ahead", noise + 0.001))
    assert describe_difference(("behind", "ahead"), found).startswith("behind returned 25.2% a year less than ahead (")


def test_a_difference_of_unrelated_noise_may_be_luck(noise):
    other = np.random.default_rng(4).normal(0.0, 0.01, len(DAYS))
    found = compare_backtests(stored("a", noise), stored("b", other))
    assert found.difference["low"] < 0 < found.difference["high"]
    assert "so it may be luck" in describe_difference(("a", "b"), found)


def test_equal_backtests_do_not_differ(noise):
    found = compare_backtests(stored("a", noise), stored("b", noise))
    assert found.difference == {"mean": 0.0, "low": 0.0, "high": 0.0, "t": 0.0}


def test_only_the_sessions_that_both_have_are_compared(noise):
    found = compare_backtests(stored("a", noise), stored("b", noise[60:], days=DAYS[60:]))
    assert (found.levels["date"].iloc[0], len(found.levels)) == (DAYS[60], 60)
    assert found.measures.loc["sessions"].tolist() == [59.0, 59.0]
    assert found.levels[["a", "b"]].iloc[0].nunique() == 1
    with pytest.raises(StaleDataError, match="'a' and 'c' have no sessions in common"):
        compare_backtests(stored("a", noise), stored("c", [0.0] * 3, days=pd.bdate_range("2020-01-01", periods=3)))


def test_too_few_sessions_have_no_band():
    days = DAYS[:5]
    found = compare_backtests(stored("a", [0.01] * 5, days=days), stored("b", [0.0, 0.02, 0.0, 0.0, 0.0], days=days))
    assert "over too few sessions to say more" in describe_difference(("a", "b"), found)


def test_what_is_held_alike_is_the_smaller_weight_of_each_name():
    first = pd.DataFrame({"date": DAYS[0], "instrument": ["AAA", "BBB"], "value": [75.0, 25.0]})
    second = pd.DataFrame({"date": DAYS[0], "instrument": ["AAA", "CCC"], "value": [40.0, 60.0]})
    found = overlap_of_holdings(first, second, pd.Index(DAYS))
    assert found.to_dict("records") == [{"date": DAYS[0], "overlap": 0.4}]
    assert overlap_of_holdings(first, second.iloc[:0], pd.Index(DAYS)).empty


def test_parameters_that_differ_are_named_with_both_values():
    own, other = (
        {"strategy": {"topk": 30, "n_drop": 3}},
        {"strategy": {"topk": 10, "n_drop": 3, "method": "buffer_zone"}},
    )
    assert differences(other, own) == ["strategy.method buffer_zone (not set)", "strategy.topk 10 (30)"]


def test_the_hash_follows_the_parameters_and_not_how_they_are_given():
    plain = {
        "strategy": {"topk": 5, "n_drop": 1},
        "backtest": {"engine": "array", "name": "wide"},
        "label": {"horizon": 1},
    }
    typed = {"strategy": StrategyRules(topk=5, n_drop=1), "backtest": {"engine": "array"}}
    assert hash_of_parameters(plain) == hash_of_parameters(typed)
    assert hash_of_parameters(typed) != hash_of_parameters({**typed, "strategy": StrategyRules(topk=6, n_drop=1)})


def test_the_page_shows_both_and_what_differs_in_a_browser_at_two_widths(noise, tmp_path):
    held = [(day, name, 50.0) for day in DAYS for name in ("AAA", "BBB")]
    found = compare_backtests(stored("own", noise, held), stored("wide", noise, held))
    changed = changed_parameters({"strategy": {"topk": 30}}, {"strategy": {"topk": 50}})
    page = compose_comparison(("own", "wide"), found, changed, "sim", "USD")
    for expected in ("own and wide", "strategy.topk", ">30<", ">50<", "Parameters that differ", "On average 100.0%"):
        assert expected in page, expected
    assert page == compose_comparison(("own", "wide"), found, changed, "sim", "USD")
    assert "All parameters that decide a backtest are equal." in compose_comparison(
        ("own", "wide"), found, [], "sim", "USD"
    )
    assert "Net asset value, both from the same start, USD" in page
    require_drawn(page, tmp_path / "comparison.html")
