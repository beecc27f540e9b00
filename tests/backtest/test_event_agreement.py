"""The event engine runs the daily strategy to the same trades and the same value as the array engine."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.engine_cases import CASES, GROUPS
from tests.helpers.random_market import random_market, random_scores
from tests.helpers.real_bars import real_bars
from tests.helpers.representatives import representatives

# The daily loop, too, is held against the array engine, in the cases that this leaves out.
GATE = ("cn", "poor, all costs", "weekly", "buffer zone", "weights by score", "orphans kept", "weights under rules")
PATIENT = StrategyRules(topk=25, n_drop=1), MarketRules.preset("US"), CostRules.preset("US"), 1_000_000


def assert_engines_agree(bars, actions, sessions, scores, rules, market_rules, costs, cash):
    market = replace(TradingMarket.from_bars(bars, actions, sessions, market_rules), classification=GROUPS)
    expected = run_backtest(scores, market, rules, costs, cash)
    result = run_events(RebalanceStrategy(market, rules, costs), market, bars, costs, cash, scores=scores)
    for name in ("nav", "cash", "fees", "slippage", "turnover", "held"):
        pd.testing.assert_series_equal(getattr(result, name), getattr(expected, name), check_exact=True)
    # The reason of the array engine is a code, that of the event engine is the sentence of the daily orders.
    trades = expected.trades.drop(columns="reason")
    pd.testing.assert_frame_equal(result.trades[trades.columns], trades, check_exact=True)
    pd.testing.assert_frame_equal(result.positions, expected.positions, check_exact=True)
    pd.testing.assert_frame_equal(result.corporate_actions, expected.corporate_actions, check_exact=True)
    assert len(expected.trades) > 20
    assert expected.nav.nunique() > 50
    return expected


@pytest.mark.parametrize("case", representatives(CASES, GATE))
def test_engines_agree_on_a_market_where_everything_goes_wrong(case):
    bars, actions, sessions, scores = random_market(31 + list(CASES).index(case), n_sessions=120)
    assert_engines_agree(bars, actions, sessions, scores, *CASES[case])


def test_engines_agree_on_the_simulated_market_with_delistings():
    parameters = SimulatedMarketParameters(n_instruments=40, end="2015-12-31", ended_per_year=0.3, halt_rate=0.01)
    market = generate_market(parameters)
    scores = random_scores(np.random.default_rng(3), market.bars, market.sessions)
    result = assert_engines_agree(market.bars, market.corporate_actions, market.sessions, scores, *PATIENT)
    assert (result.corporate_actions["kind"] == "delisting").sum() > 3


def test_engines_agree_on_the_real_market(real_market):
    bars, actions, sessions = real_bars(real_market, "2014-01-01", "2015-12-31", 60)
    scores = random_scores(np.random.default_rng(4), bars, sessions)
    result = assert_engines_agree(bars, actions, sessions, scores, *PATIENT)
    assert set(result.corporate_actions["kind"]) == {"split", "cash_dividend"}
