"""One clock for label, engines and account: knowing the return after the execution earns the same everywhere."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.combination_engine import CombinationSearch, run_combinations
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.labels import label_expression
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import EXECUTION_LAG, execution_session
from quant_pipeline.strategy.rebalance import rebalance
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.orders.plans import record_plan

CALENDAR = TradingCalendar.of("XNYS", "2023-01-03", "2023-03-31")
SESSIONS, NAMES = CALENDAR.sessions, [f"I{number}" for number in range(8)]
ACTIONS = pd.DataFrame({"date": pd.DatetimeIndex([]), "instrument": pd.Series(dtype="str"), "kind": [], "value": []})
RULES, FREE, CASH = StrategyRules(topk=1, n_drop=1, risk_degree=1.0), CostRules(), 10_000_000
PRICES = ("open", "close")
KNOWS = {"t+1 to t+2": True, "t to t+1": False}


@cache
def panels():
    """Opens and closes, sessions × instruments, in whole cents: random walks, and a gap of one percent between them."""
    random, shape = np.random.default_rng(8), (len(SESSIONS), len(NAMES))
    opens = 100 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=0))
    closes = opens * np.exp(random.normal(0, 0.01, shape))
    return {
        name: pd.DataFrame(np.round(table, 2), SESSIONS, NAMES)
        for name, table in zip(PRICES, (opens, closes), strict=True)
    }


def bars():
    opens, closes = (panels()[name].stack() for name in PRICES)
    table = pd.DataFrame({"open": opens, "close": closes})
    table = table.assign(high=table.max(axis=1), low=table.min(axis=1), volume=1e9, vwap=table.mean(axis=1))
    table = table.rename_axis(["date", "instrument"]).reset_index().astype({"instrument": "str"})
    return table.sort_values(["instrument", "date"], ignore_index=True)


def known_return(deal_price, knows):
    """What the oracle knows at the close of ``t``, written without the clock."""
    price = panels()[deal_price]
    return price.shift(-2) / price.shift(-1) - 1 if KNOWS[knows] else price.shift(-1) / price - 1


def scores_of(table):
    return table.stack().rename_axis(["datetime", "instrument"]).rename("score")


def run_account(table, market_rules):
    """Let the simulated account decide after every close, one session at a time."""
    market, events = bars(), ()
    for session in SESSIONS:
        known = market[market["date"] <= session]
        days = SESSIONS[session >= SESSIONS]
        events += book_sessions(events, "oracle", CASH, Exchange(known, ACTIONS, days, market_rules, FREE))
        scores = table.loc[session].dropna()
        if scores.empty or session == SESSIONS[-1]:
            continue
        state = fold(events)
        closes = panels()["close"].loc[session]
        orders = rebalance(scores, state.positions_table(), closes, closes > 0, state.cash, RULES, market_rules, FREE)
        orders = orders[orders["side"].isin(["sell", "buy"]) & (orders["quantity"] > 0)]
        events += record_plan(events, orders, session, execution_session(CALENDAR, session))
    closes = [float(value) for _, value, _ in fold(events).closes]
    fills = [
        (event.session, event.payload["instrument"], event.payload["side"])
        for event in events
        if event.kind is EventKind.FILL
    ]
    return pd.Series(closes, SESSIONS), fills


@cache
def outcomes(deal_price, knows):
    """Net asset values and fills of every engine and of the account."""
    table, rules = known_return(deal_price, knows), MarketRules(deal_price=deal_price)
    market = TradingMarket.from_bars(bars(), ACTIONS, SESSIONS, rules)
    array = run_backtest(scores_of(table), market, RULES, FREE, CASH)
    strategy = RebalanceStrategy(market, RULES, FREE)
    event = run_events(strategy, market, bars(), FREE, CASH, scores=scores_of(table))
    search = CombinationSearch(table.to_numpy()[np.newaxis], market, RULES, FREE, CASH)
    combination = run_combinations(search, [(0,)]).figures["final_value"].iloc[0]
    values, fills = run_account(table, rules)
    return array, event, combination, values, fills


def fills_of(result):
    return list(result.trades[["date", "instrument", "side"]].itertuples(index=False, name=None))


def test_the_lag_is_the_order_of_steps_of_the_engines():
    assert EXECUTION_LAG == 1


@pytest.mark.parametrize("deal_price", PRICES)
def test_the_label_is_what_the_oracle_of_the_execution_knows(deal_price):
    expression = {"label": label_expression(deal_price, 1)}
    label = compute_factors(bars(), expression, SESSIONS, allow_future=True)["label"].unstack()
    np.testing.assert_allclose(label, known_return(deal_price, "t+1 to t+2"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("deal_price", PRICES)
@pytest.mark.parametrize("knows", KNOWS)
def test_every_engine_and_the_account_trade_the_same_on_the_same_days(deal_price, knows):
    array, event, combination, values, fills = outcomes(deal_price, knows)
    assert len(fills) > 60
    assert fills_of(array) == fills_of(event) == fills
    pd.testing.assert_series_equal(event.nav, array.nav, check_exact=True)
    assert values.tolist() == array.nav.tolist()
    assert combination == array.nav.iloc[-1]


@pytest.mark.parametrize("deal_price", PRICES)
@pytest.mark.parametrize("knows", KNOWS)
def test_every_buy_is_of_what_was_best_at_the_close_before(deal_price, knows):
    """The best of ``t`` is bought in ``t + 1``, and earns what the label of ``t`` says until it is sold."""
    table, fills = known_return(deal_price, knows), outcomes(deal_price, knows)[-1]
    best = table.dropna().idxmax(axis=1)
    bought = {session: instrument for session, instrument, side in fills if side == "buy"}
    assert all(best[SESSIONS[SESSIONS.get_loc(session) - 1]] == name for session, name in bought.items())


@pytest.mark.parametrize("deal_price", PRICES)
def test_the_return_after_the_execution_earns_and_the_return_before_it_earns_nothing(deal_price):
    label = known_return(deal_price, "t+1 to t+2").dropna()
    for knows, (least, most) in {"t+1 to t+2": (3, 10), "t to t+1": (0.5, 2)}.items():
        choice = known_return(deal_price, knows).loc[label.index].idxmax(axis=1)
        earned = np.prod([1 + label.loc[session, name] for session, name in choice.items()])
        growth = outcomes(deal_price, knows)[3].iloc[-1] / CASH
        assert least < growth < most
        # The last position is valued at the close instead of being sold.
        assert growth == pytest.approx(earned, rel=0.15)
