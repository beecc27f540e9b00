"""A bar without volume fills no order: by hand, in the array engine, the event engine, the broker and the search."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.combination_engine import CombinationSearch, run_combinations
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.tables import positions_table
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.brokers.simulated.bookkeeping import execute_session
from tests.helpers.daily_loop import assert_replay_equals
from tests.helpers.engine_cases import CASES
from tests.helpers.event_orders import BOUGHT, minutes_of, outcomes_of, run, stop
from tests.helpers.random_market import random_market
from tests.helpers.representatives import representatives

DAYS = pd.bdate_range("2024-01-02", periods=6, unit="ns")
NO_ACTIONS = pd.DataFrame(columns=["date", "instrument", "kind", "value"])
FREE, ONE, RULES = CostRules(), StrategyRules(topk=1, n_drop=1, risk_degree=1.0), MarketRules()
PRICES = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


def bars_of(volumes, prices=PRICES):
    table = pd.DataFrame({"date": DAYS, "instrument": "A", "open": prices})
    return table.assign(high=prices, low=prices, close=prices, volume=np.asarray(volumes, dtype="float64"))


def scores_of(market, values):
    index = pd.MultiIndex.from_product([market.sessions, market.instruments], names=["datetime", "instrument"])
    return pd.Series(values, index=index, dtype="float64")


def engines(bars, rules=RULES, scores=(1.0,) * 6):
    """Run the array engine, the event engine and the search; they agree, and the trades are returned."""
    market = TradingMarket.from_bars(bars, NO_ACTIONS, DAYS, rules)
    given = scores_of(market, list(scores))
    daily = run_backtest(given, market, ONE, FREE, 1_000)
    events = run_events(RebalanceStrategy(market, ONE, FREE), market, bars, FREE, 1_000, scores=given)
    search = CombinationSearch(np.asarray(scores, dtype="float64").reshape(1, 6, 1), market, ONE, FREE, 1_000)
    figures = run_combinations(search, [(0,)]).figures
    assert daily.nav.tolist() == events.nav.tolist()
    assert figures["final_value"].tolist() == [daily.nav.iloc[-1]]
    columns = ["date", "side", "quantity", "price", "status"]
    pd.testing.assert_frame_equal(daily.trades[columns], events.trades[columns], check_dtype=False)
    return daily.trades[columns].fillna(0.0).to_numpy().tolist(), daily.nav.tolist()


def test_a_purchase_expires_in_it_and_nothing_is_decided_on_it():
    trades, values = engines(bars_of([1e6, 0, 1e6, 1e6, 1e6, 1e6]))
    # Decided on day 0, expired on day 1; day 1 is no basis of a decision, so the next one is that of day 2.
    assert trades == [[DAYS[1], "buy", 0, 0.0, "expired"], [DAYS[3], "buy", 76, 13.0, "partially_filled"]]
    assert values == [1000, 1000, 1000, 1000, 1076, 1152]


@pytest.mark.parametrize("deal_price", ["open", "close", "vwap"])
def test_no_execution_price_is_taken_from_it(deal_price):
    trades, _ = engines(bars_of([1e6, 0, 1e6, 1e6, 1e6, 1e6]), MarketRules(deal_price=deal_price))
    assert trades == [[DAYS[1], "buy", 0, 0.0, "expired"], [DAYS[3], "buy", 76, 13.0, "partially_filled"]]


def test_a_holding_is_valued_at_it_and_leaves_at_the_next_trade():
    scores = [1.0, 1.0, np.nan, np.nan, np.nan, np.nan]
    # Wanted out after day 2, which has no volume, as day 3: decided on day 4, sold on day 5.
    bars = bars_of([1e6, 1e6, 0, 0, 1e6, 1e6])
    two = pd.concat([bars, bars.assign(instrument="B", volume=1e6)], ignore_index=True)
    market = TradingMarket.from_bars(two, NO_ACTIONS, DAYS, MarketRules())
    given = scores_of(market, np.column_stack([scores, [0.1] * 6]).ravel())
    result = run_backtest(given, market, ONE, FREE, 1_000)
    of_a = result.trades[result.trades["instrument"] == "A"]
    assert of_a[["date", "side", "quantity", "price"]].to_numpy().tolist() == [
        [DAYS[1], "buy", 90, 11.0],
        [DAYS[5], "sell", 90, 15.0],
    ]
    # 10 in cash and 90 shares, at 12 and 13 without a trade.
    assert result.nav.tolist()[:4] == [1000, 1000, 1090, 1180]


def test_a_stop_is_not_reached_by_a_bar_without_volume():
    fall = [(100, 101, 99, 100), (100, 100, 100, 100), (50, 50, 50, 50)]
    rules = ProtectiveRules(stop_loss=0.1)
    quiet = run(BOUGHT, rows=fall, costs=FREE, volume=[1e6, 1e6, 0], protective=rules)
    assert [row[1] for row in outcomes_of(quiet)] == ["filled"]
    traded = run(BOUGHT, rows=fall, costs=FREE, volume=[1e6, 1e6, 1e6], protective=rules)
    assert [row[1:] for row in outcomes_of(traded)] == [["filled", 100.0], ["filled", 50.0]]


def test_a_minute_without_volume_fills_nothing_and_the_next_one_does():
    minutes = minutes_of((95, 95, 90, 95), (95, 95, 90, 95), (95, 95, 90, 95))
    minutes["volume"] = [1000, 0, 1000]
    orders = {(0, "close"): BOUGHT[0, "close"], (1, "minute", 1): [stop(-100, 94)]}
    sold = run(orders, minutes=minutes, costs=FREE).trades.iloc[1]
    assert (sold["status"], sold["time"].strftime("%H:%M")) == ("filled", "09:33")


@pytest.mark.parametrize(("volume", "status", "quantity"), [(0.0, "expired", 0), (1e6, "filled", 50)])
def test_the_simulated_broker_fills_nothing_in_it(volume, status, quantity):
    bars = bars_of([1e6, volume, 1e6, 1e6, 1e6, 1e6])
    market = TradingMarket.from_bars(bars, NO_ACTIONS, DAYS, MarketRules())
    orders = pd.DataFrame({"instrument": ["A"], "side": ["buy"], "quantity": [50]})
    session = bars[bars["date"] == DAYS[1]]
    nothing = positions_table([], [], [])
    _, fills = execute_session(nothing, Decimal(1_000), orders, DAYS[1], session, NO_ACTIONS, market, FREE)
    assert fills[["quantity", "status"]].to_numpy().tolist() == [[quantity, status]]


def without_volume(bars, seed):
    """Take the volume of every tenth bar."""
    quiet = np.random.default_rng(seed).random(len(bars)) < 0.1
    return bars.assign(volume=bars["volume"].mask(quiet, 0.0)), quiet


@pytest.mark.parametrize(
    "case", representatives(["us", "poor, all costs", "weights by score"], {"poor, all costs", "weights by score"})
)
def test_replay_and_engines_agree_where_every_tenth_bar_has_no_volume(case):
    bars, actions, sessions, scores = random_market(5, n_sessions=90)
    bars, quiet = without_volume(bars, 1)
    rules, market_rules, costs, cash = CASES[case]
    assert_replay_equals(bars, actions, sessions, scores, rules, market_rules, costs, cash)
    market = TradingMarket.from_bars(bars, actions, sessions, market_rules)
    trades = run_backtest(scores, market, rules, costs, cash).trades
    executed = trades.loc[trades["quantity"] > 0, ["date", "instrument"]]
    assert len(executed.merge(bars.loc[quiet, ["date", "instrument"]])) == 0
    expired = trades.loc[trades["status"] == "expired", ["date", "instrument"]]
    assert len(expired.merge(bars.loc[quiet, ["date", "instrument"]])) > 3
