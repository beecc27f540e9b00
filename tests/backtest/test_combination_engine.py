import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.combination_engine import (
    CombinationSearch,
    all_combinations,
    fuse_equally,
    in_order,
    run_combinations,
    stream_combinations,
)
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.evaluation import performance
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import Schedule
from tests.helpers.engine_cases import CASES, GROUPS
from tests.helpers.random_market import random_market

N_MODELS = 5
COSTS = CostRules(buy_rate=0.0005, sell_rate=0.001, min_commission=1.0, half_spread=0.0003)
DAILY = StrategyRules(topk=6, n_drop=2)
BUFFERED = StrategyRules(method="buffer_zone", topk=6, buffer=4)
WEIGHTED = StrategyRules(
    method="target_weights", topk=5, buffer=2, position_weights="inverse_volatility", weight_sessions=10
)
UNDER_RULES = [CASES[name][0] for name in ("portfolio rules", "weights under rules")]
WEEKLY = StrategyRules(topk=6, n_drop=3, hold_threshold=2, schedule=Schedule(frequency="weekly", phase=3))


@pytest.fixture(scope="module")
def market() -> TradingMarket:
    bars, actions, sessions, _ = random_market(11, n_sessions=160)
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules(max_participation=0.5))
    return replace(market, classification=GROUPS)


@pytest.fixture(scope="module")
def scores(market) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=(N_MODELS, len(market.sessions), len(market.instruments))), 1)
    values[rng.random(values.shape) < 0.02] = np.nan
    values[:, 30] = np.nan
    return values


def search_of(scores, market, rules=DAILY, **fields) -> CombinationSearch:
    return CombinationSearch(scores, market, rules, COSTS, 200_000, **fields)


def single(scores, market, combination, rules):
    index = pd.MultiIndex.from_product([market.sessions, market.instruments], names=["datetime", "instrument"])
    fused = pd.Series(fuse_equally(scores, combination).ravel(), index=index)
    return run_backtest(fused, market, rules, COSTS, 200_000)


@pytest.mark.parametrize("rules", [DAILY, WEEKLY, BUFFERED, WEIGHTED, *UNDER_RULES])
def test_every_combination_equals_its_single_backtest_to_the_cent(scores, market, rules):
    results = run_combinations(search_of(scores, market, rules), all_combinations(N_MODELS))
    assert len(results.combinations) == 31
    for combination, figures in zip(results.combinations, results.figures.itertuples(), strict=True):
        alone = single(scores, market, combination, rules)
        assert figures.final_value == alone.nav.iloc[-1]
        assert figures.fees == pytest.approx(alone.fees.sum(), abs=1e-6)
        assert figures.slippage == pytest.approx(alone.slippage.sum(), abs=1e-6)
        returns = alone.returns
        assert figures.sharpe == pytest.approx(performance.sharpe_ratio(returns), rel=1e-9)
        assert figures.maximum_drawdown == pytest.approx(performance.max_drawdown(returns), rel=1e-9)
        assert figures.annualised_return == pytest.approx(performance.annualised_return(returns), rel=1e-9)
        assert figures.annualised_turnover == pytest.approx(alone.turnover.iloc[1:].mean() * 252, rel=1e-9)
        assert figures.mean_held == pytest.approx(alone.held.iloc[1:].mean())
    assert results.figures["final_value"].nunique() > 25


def test_threads_and_order_do_not_change_the_result(scores, market):
    combinations = all_combinations(N_MODELS) * 3
    search = search_of(scores, market)
    alone = run_combinations(search, combinations)
    shuffled = [tuple(reversed(combination)) for combination in reversed(combinations)]
    together = run_combinations(search, shuffled, n_threads=2)
    assert alone.combinations == together.combinations == all_combinations(N_MODELS)
    pd.testing.assert_frame_equal(alone.figures, together.figures, check_exact=True)


def test_blocks_stream_in_order_and_cover_everything(market):
    rng = np.random.default_rng(1)
    many = rng.normal(size=(8, len(market.sessions), len(market.instruments)))
    combinations = all_combinations(8)
    blocks = list(stream_combinations(search_of(many, market), combinations, n_threads=2))
    assert [block.first for block in blocks] == [0, 128]
    assert sum(len(block.figures) for block in blocks) == 255
    pick = combinations.index((1, 4, 6))
    value = blocks[pick // 128].figures[pick % 128, -1]
    assert value == single(many, market, (1, 4, 6), DAILY).nav.iloc[-1]


def test_memory_does_not_grow_with_the_number_of_combinations(market):
    many = np.random.default_rng(1).normal(size=(10, len(market.sessions), len(market.instruments)))
    search = search_of(many, market)

    def peak(combinations) -> int:
        tracemalloc.start()
        for _ in stream_combinations(search, combinations):
            pass
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    few, all_of_them = all_combinations(10)[:128], all_combinations(10)
    peak(few)
    # The list of combinations itself takes some 300 bytes each; curves would take 160 sessions × 8 bytes more.
    assert peak(all_of_them) - peak(few) < 500 * (len(all_of_them) - 128)


def test_periods_hold_the_sums_of_excess_returns(scores, market):
    periods = np.arange(len(market.sessions)) // 40
    benchmark = np.random.default_rng(2).normal(0, 0.01, len(market.sessions))
    search = search_of(scores, market, period_of_session=periods, benchmark_returns=benchmark)
    results = run_combinations(search, [(0, 2)])
    excess = single(scores, market, (0, 2), DAILY).returns.to_numpy() - benchmark[1:]
    assert len(excess) == 159
    for period in range(4):
        part = excess[periods[1:] == period]
        np.testing.assert_allclose(results.period_sums[0, period], [part.sum(), (part**2).sum()], rtol=1e-9)
    expected = performance.sharpe_ratio(pd.Series(excess))
    assert results.figures.loc[0, "excess_sharpe"] == pytest.approx(expected, rel=1e-9)


def test_planted_good_model_wins_and_a_noise_model_does_not(market):
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(3, len(market.sessions), len(market.instruments)))
    deal = market.arrays.deal_price.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = np.where((deal[2:] > 0) & (deal[1:-1] > 0), deal[2:] / deal[1:-1] - 1, 0.0)
    noise[1, :-2] = np.clip(known, -0.1, 0.1) * 50 + noise[1, :-2]
    results = run_combinations(search_of(noise, market), all_combinations(3))
    best = results.combinations[int(results.figures["sharpe"].idxmax())]
    assert 1 in best
    by_combination = dict(zip(results.combinations, results.figures["total_return"], strict=True))
    assert by_combination[(1,)] > by_combination[(0,)]
    assert by_combination[(1,)] > by_combination[(2,)]


def test_combinations_are_listed_in_lexicographic_order():
    assert all_combinations(3) == [(0,), (0, 1), (0, 1, 2), (0, 2), (1,), (1, 2), (2,)]
    assert all_combinations(3, largest=1) == [(0,), (1,), (2,)]
    assert len(all_combinations(20, largest=5)) == 21_699


@pytest.mark.parametrize("combinations", [[], [()], [(0, 0)], [(0, 9)], [(-1,)]])
def test_impossible_combinations_are_refused(combinations):
    with pytest.raises(StrategyError):
        in_order(combinations, 5)


def test_scores_on_other_axes_are_refused(scores, market):
    with pytest.raises(StrategyError, match="score_matrix"):
        search_of(scores[:, :-1], market)


def test_an_account_in_cash_has_no_ratio_above_a_risk_free_rate(market):
    nothing = np.full((1, len(market.sessions), len(market.instruments)), np.nan)
    above = TradingMarket(market.sessions, market.instruments, MarketRules(risk_free_rate=0.02), market.arrays)
    benchmark = np.full(len(market.sessions), 0.0003)
    figures = run_combinations(search_of(nothing, above, benchmark_returns=benchmark), [(0,)]).figures.iloc[0]
    assert figures["annualised_volatility"] == figures["total_return"] == 0.0
    assert np.isnan([figures["sharpe"], figures["excess_sharpe"]]).all()
