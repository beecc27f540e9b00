"""Interest on cash and tax on dividends: by hand, and the same in every engine."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.combination_engine import CombinationSearch, run_combinations
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.session import Carry, apply_corporate_actions
from quant_pipeline.exchange.tables import positions_table
from quant_pipeline.market.clock import rate_per_session
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.random_market import random_market

# Thursday, Friday, Monday, Tuesday.
SESSIONS = pd.DatetimeIndex(["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"])
BARS = pd.DataFrame({"date": SESSIONS, "instrument": pd.Series(["A"] * 4, dtype="str"), "volume": 1_000_000.0}).assign(
    **dict.fromkeys(("open", "high", "low", "close"), 10.0)
)
ACTIONS = pd.DataFrame(
    {"date": SESSIONS[[2]], "instrument": pd.Series(["A"], dtype="str"), "kind": ["cash_dividend"], "value": [0.4]}
)
SCORES = pd.Series(
    [1.0], index=pd.MultiIndex.from_tuples([(SESSIONS[0], "A")], names=["datetime", "instrument"]), name="score"
)
HALF = StrategyRules(topk=1, n_drop=0, risk_degree=0.5)
# 3.65 % a year are a hundredth of a percent a day.
CARRY = MarketRules(cash_interest_rate=0.0365, dividend_tax_rate=0.15, risk_free_rate=0.03)


def test_an_account_by_hand():
    """Interest of 10,000 for a day, of 5,001 for a weekend; 500 shares get 0.40 less 15 %; 5,172.50 for a day."""
    market = TradingMarket.from_bars(BARS, ACTIONS, SESSIONS, CARRY)
    result = run_backtest(SCORES, market, HALF, CostRules(), 10_000)
    assert result.cash.tolist() == [10_000.00, 5_001.00, 5_172.50, 5_173.02]
    assert result.nav.tolist() == [10_000.00, 10_001.00, 10_172.50, 10_173.02]
    assert result.corporate_actions["amount"].tolist() == [170.0]


def test_the_event_engine_and_the_search_give_the_same_account():
    market = TradingMarket.from_bars(BARS, ACTIONS, SESSIONS, CARRY)
    result = run_backtest(SCORES, market, HALF, CostRules(), 10_000)
    events = run_events(RebalanceStrategy(market, HALF, CostRules()), market, BARS, CostRules(), 10_000, scores=SCORES)
    assert events.nav.tolist() == result.nav.tolist()
    search = CombinationSearch(market.score_matrix(SCORES)[np.newaxis], market, HALF, CostRules(), 10_000)
    figures = run_combinations(search, [(0,)]).figures.iloc[0]
    assert figures["final_value"] == 10_173.02
    excess = result.returns - rate_per_session(0.03)
    assert figures["sharpe"] == pytest.approx(excess.mean() / result.returns.std(ddof=1) * np.sqrt(252), rel=1e-9)


def test_the_daily_account_books_interest_and_tax_apart():
    positions = positions_table(["A"], [333], [1])
    actions = ACTIONS.assign(value=0.3333)
    closes = pd.Series({"A": 10.0})
    outcome = apply_corporate_actions(positions, Decimal("5001"), actions, closes, carry=Carry(0.0003, 0.15))
    # 333 × 0.3333 are 110.99; less 15 %, 0.283305 a share, 94.34.
    assert outcome.interest == Decimal("1.5")
    assert outcome.events[["amount", "tax"]].iloc[0].tolist() == [94.34, 16.65]
    assert outcome.cash == Decimal("5001") + Decimal("1.5") + Decimal("94.34")


def test_what_is_owed_earns_no_interest_and_nothing_is_credited_without_a_rate():
    positions = positions_table([], [], [])
    for cash, carry in ((Decimal(-100), Carry(0.01)), (Decimal(100), Carry())):
        outcome = apply_corporate_actions(positions, cash, ACTIONS.iloc[:0], pd.Series(dtype="float64"), carry=carry)
        assert (outcome.interest, outcome.cash) == (0, cash)


def test_defaults_change_nothing():
    assert (MarketRules().cash_interest_rate, MarketRules().dividend_tax_rate, MarketRules().risk_free_rate) == (
        0,
        0,
        0,
    )
    bars, actions, sessions, _ = random_market(5, n_sessions=60)
    arrays = TradingMarket.from_bars(bars, actions, sessions, MarketRules()).arrays
    assert not arrays.interest.any()
    assert (arrays.actions.paid == arrays.actions.numerator).all()


def test_prices_go_ex_by_the_gross_dividend():
    market = TradingMarket.from_bars(BARS, ACTIONS, SESSIONS, CARRY)
    assert market.arrays.actions.numerator.tolist() == [40_000_000]
    assert market.arrays.actions.paid.tolist() == [34_000_000]
