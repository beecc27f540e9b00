"""Volatilities: what they are, and that a market with a history knows them from its first session on."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest import weight_multipliers as module
from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.combination_engine import CombinationSearch, run_combinations
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.backtest.weight_multipliers import (
    daily_returns,
    newest_preferences,
    over_windows,
    preferences,
    sessions_looked_back_over,
)
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.random_market import random_market

CALM = StrategyRules(method="target_weights", topk=5, position_weights="inverse_volatility", weight_sessions=20)
COSTS = CostRules.preset("US")
CUT = 60


@pytest.fixture(scope="module")
def parts():
    return random_market(21, n_sessions=120)


@pytest.fixture(scope="module")
def whole(parts):
    bars, actions, sessions, _ = parts
    return TradingMarket.from_bars(bars, actions, sessions, MarketRules())


@pytest.fixture(scope="module")
def traded(parts):
    """Return the market of the last sessions: with those before as history, and without."""
    bars, actions, sessions, _ = parts
    earlier = sessions_looked_back_over(CALM, sessions, sessions[CUT])
    assert len(earlier) == CUT
    return [TradingMarket.from_bars(bars, actions, sessions[CUT:], MarketRules(), known) for known in (earlier, None)]


def test_volatility_is_the_deviation_of_the_last_returns(whole):
    returns = pd.DataFrame(daily_returns(whole.arrays))
    expected = returns.rolling(20).std().replace(0.0, np.nan).to_numpy()
    measured = preferences(whole, CALM)
    assert np.isfinite(measured).mean() > 0.5
    np.testing.assert_allclose(measured, 1 / expected, rtol=1e-9)


def test_few_windows_at_once_have_the_bits_of_all(whole, monkeypatch):
    expected = preferences(whole, CALM)
    for cells in (1, 20 * 24 * 7):
        monkeypatch.setattr(module, "_CELLS_AT_ONCE", cells)
        np.testing.assert_array_equal(preferences(replace(whole), CALM), expected)


def test_backtests_of_a_market_share_its_preferences_until_the_strategy_or_the_market_is_another(whole):
    calm, even = preferences(whole, CALM), preferences(replace(whole), StrategyRules())
    assert preferences(whole, CALM.model_copy(update={"topk": 3})) is calm
    assert preferences(replace(whole), CALM) is not calm
    assert even.min() == even.max() == 1
    longer = preferences(whole, CALM.model_copy(update={"weight_sessions": 30}))
    assert np.isnan(longer[:30]).all()
    assert np.isfinite(calm[20:30]).any()
    np.testing.assert_array_equal(preferences(whole, StrategyRules()), even)
    gone = replace(whole)
    factors = weakref.ref(preferences(gone, CALM))
    assert factors() is not None
    del gone
    gc.collect()
    assert factors() is None


def test_the_newest_row_by_itself_has_the_bits_of_all(whole, traded):
    for market in (whole, *traded):
        for rules in (CALM, StrategyRules(), CALM.model_copy(update={"weight_sessions": 500})):
            np.testing.assert_array_equal(newest_preferences(market, rules), preferences(market, rules)[-1])


def test_only_weights_by_volatility_look_back(parts):
    sessions = parts[2]
    equal = CALM.model_copy(update={"position_weights": "equal"})
    assert len(sessions_looked_back_over(equal, sessions, sessions[CUT])) == 0
    assert sessions_looked_back_over(CALM, sessions, sessions[CUT]).equals(sessions[:CUT])


def test_a_history_gives_the_first_session_the_volatilities_of_the_whole_market(whole, traded):
    with_history, without = traded
    np.testing.assert_array_equal(preferences(with_history, CALM), preferences(whole, CALM)[CUT:])
    assert np.isfinite(preferences(with_history, CALM)[0]).sum() > 10
    assert np.isnan(preferences(without, CALM)[:20]).all()


def test_every_engine_trades_from_the_first_session_on_as_if_it_had_waited(parts, whole, traded):
    bars, _, sessions, scores = parts
    scores = scores[scores.index.get_level_values("datetime") >= sessions[CUT]]
    waited = run_backtest(scores, whole, CALM, COSTS, 100_000)
    with_history, without = traded
    result = run_backtest(scores, with_history, CALM, COSTS, 100_000)
    pd.testing.assert_series_equal(result.nav, waited.nav.iloc[CUT:], check_exact=True, check_freq=False)
    assert result.trades["date"].min() == sessions[CUT + 1]
    strategy = RebalanceStrategy(with_history, CALM, COSTS)
    events = run_events(strategy, with_history, bars, COSTS, 100_000, scores=scores)
    pd.testing.assert_series_equal(events.nav, result.nav, check_exact=True)
    search = CombinationSearch(with_history.score_matrix(scores)[np.newaxis], with_history, CALM, COSTS, 100_000)
    assert run_combinations(search, [(0,)]).figures["final_value"].iloc[0] == result.nav.iloc[-1]
    assert (run_backtest(scores, without, CALM, COSTS, 100_000).nav.iloc[:20] == 100_000).all()


def test_a_weighting_sees_the_returns_up_to_its_session_and_none_after_it():
    returns = np.arange(10.0)[:, np.newaxis] * [1.0, 10.0]
    factors = over_windows(returns, 3, lambda windows: windows[..., -1] - windows[..., 0])
    assert np.isnan(factors[:2]).all()
    assert factors[2:].tolist() == [[2.0, 20.0]] * 8


def test_a_weighting_that_returns_another_shape_is_refused():
    with pytest.raises(StrategyError, match="one factor per session and instrument"):
        over_windows(np.zeros((10, 2)), 3, lambda windows: windows.mean(axis=0))
