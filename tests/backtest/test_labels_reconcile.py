"""Labels and backtest tell one story: a portfolio that is bought and held earns the mean of its labels."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.factors.labels import compute_labels
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.random_market import random_market
from tests.helpers.real_bars import real_bars
from tests.helpers.representatives import representatives

DAYS = pd.bdate_range("2024-01-01", periods=9, unit="ns")
PRICES = ("open", "high", "low", "close")
CASH = 1_000_000_000
SAFE = "~SAFE"
"""An instrument whose price never moves: what is sold is kept in it."""


def held(bars, actions, sessions, names, decision, horizon, deal_price):
    """Buy equally much of each name by the decision of a session, sell what is left `horizon` sessions later.

    Returns what the backtest earned on what it invested, and the part of each name in it.
    """
    days = sessions[decision - 1 : decision + horizon + 3]
    safe = pd.DataFrame({"date": days, "instrument": SAFE, "volume": 1e9} | dict.fromkeys(PRICES, 100.0))
    traded = pd.concat([bars[bars["date"].isin(days)], safe]).astype({"instrument": "str"})
    traded = traded.sort_values(["instrument", "date"], ignore_index=True)
    acted = actions[actions["date"].isin(days)]
    market = TradingMarket.from_bars(traded, acted, days, MarketRules(deal_price=deal_price))
    choice = [(sessions[decision], name, 1.0) for name in names] + [(sessions[decision + horizon], SAFE, 1.0)]
    scores = pd.DataFrame(choice, columns=["datetime", "instrument", "score"])
    scores = scores.set_index(["datetime", "instrument"])["score"]
    rules = StrategyRules(topk=len(names), n_drop=0, risk_degree=0.9)
    result = run_backtest(scores, market, rules, CostRules(), CASH)
    bought = result.trades[(result.trades["side"] == "buy") & (result.trades["instrument"] != SAFE)]
    assert set(bought["instrument"]) == set(names)
    invested = (bought["quantity"] * bought["price"]).groupby(bought["instrument"]).sum()
    assert set(result.positions.loc[result.positions["date"] == days[-1], "instrument"]) <= {SAFE}
    return (result.nav.iloc[-1] - CASH) / invested.sum(), invested / invested.sum()


def labels_of(bars, actions, sessions, horizon, deal_price):
    panel = compute_labels(adjust_bars(bars, actions), actions, sessions, deal_price, {"label": horizon})
    return panel["label"]


def by_hand(opens, acted):
    rows = [
        (day, name, price)
        for name, prices in opens.items()
        for day, price in zip(DAYS, prices, strict=False)
        if price is not None
    ]
    table = pd.DataFrame(rows, columns=["date", "instrument", "open"]).astype({"instrument": "str"})
    table = table.assign(high=table["open"], low=table["open"], close=table["open"], volume=1e9)
    actions = pd.DataFrame(acted, columns=["date", "instrument", "kind", "value"])
    return table.sort_values(["instrument", "date"], ignore_index=True), actions


OPENS = {
    "GROWS": [50.0, 50.0, 50.0, 55.0, 60.0, 60.0, 60.0, 60.0, 60.0],
    "BANKRUPT": [50.0, 50.0, 50.0, 20.0],
    "TAKEN": [50.0, 50.0, 50.0, 61.0],
    "SPLITS": [50.0, 50.0, 50.0, 25.0, 20.0, 20.0, 20.0, 20.0, 20.0],
    "PAYS": [50.0, 50.0, 50.0, 50.0, 48.0, 48.0, 48.0, 48.0, 48.0],
    "STOPS": [50.0, 50.0, 50.0, 40.0],
    "HALTS": [50.0, 50.0, 50.0, None, 45.0, 45.0, 45.0, 45.0, 45.0],
}
ACTED = [
    (DAYS[4], "BANKRUPT", "delisting", 5.0),
    (DAYS[4], "TAKEN", "delisting", 62.0),
    (DAYS[3], "SPLITS", "split", 2.0),
    (DAYS[4], "PAYS", "cash_dividend", 2.0),
    # Bars that just stop, under a rule that pays half of the last close.
    (DAYS[5], "STOPS", "delisting", 20.0),
]
BY_HORIZON = {
    # Bought on the third session at 50. The strategy orders no sale of what is suspended when it decides, so HALTS can
    # only be sold after three sessions.
    2: {"GROWS": 0.2, "BANKRUPT": -0.9, "TAKEN": 0.24, "SPLITS": -0.2, "PAYS": 0.0},
    3: {"GROWS": 0.2, "BANKRUPT": -0.9, "TAKEN": 0.24, "SPLITS": -0.2, "PAYS": 0.0, "STOPS": -0.6, "HALTS": -0.1},
}


@pytest.mark.parametrize("deal_price", ["open", "close"])
@pytest.mark.parametrize(("horizon", "expected"), BY_HORIZON.items())
def test_an_equal_weight_portfolio_by_hand_earns_the_mean_of_its_labels(horizon, expected, deal_price):
    bars, actions = by_hand(OPENS, ACTED)
    labels = labels_of(bars, actions, DAYS, horizon, deal_price).loc[DAYS[1]]
    assert labels[list(expected)].to_dict() == pytest.approx(expected, abs=1e-6)
    earned, weights = held(bars, actions, DAYS, list(expected), 1, horizon, deal_price)
    assert weights.to_numpy() == pytest.approx(1 / len(expected), abs=1e-6)
    assert earned == pytest.approx(np.mean(list(expected.values())), abs=1e-6)


def test_the_labels_of_one_session_add_up_to_the_life_of_a_bankruptcy():
    """Held from session to session: the product of the labels is what is left, 5 of 50."""
    bars, actions = by_hand(OPENS, ACTED)
    labels = labels_of(bars, actions, DAYS, 1, "open")
    assert (1 + labels.xs("BANKRUPT", level=1)).prod() == pytest.approx(0.1, abs=1e-6)
    assert (1 + labels.xs("TAKEN", level=1)).prod() == pytest.approx(1.24, abs=1e-6)


def dividends_reinvested(bars, actions, sessions, decision, horizon, deal_price, weights):
    """How far a label may lie from what was received: it reinvests a dividend at the close of its ex-date."""
    paid = actions[(actions["kind"] == "cash_dividend") & actions["instrument"].isin(weights.index)]
    paid = paid[paid["date"].isin(sessions[decision + 2 : decision + horizon + 2])]
    priced = bars[bars["instrument"].isin(weights.index)].pivot(index="date", columns="instrument")
    off = 0.0
    for row in paid.itertuples():
        span = priced[deal_price][row.instrument].loc[row.date : sessions[decision + 1 + horizon]]
        close = priced["close"][row.instrument].loc[row.date :].iloc[0]
        off += weights[row.instrument] * row.value / close * (span / close - 1).abs().max() * 1.5
    return off


def reconcile(bars, actions, sessions, deal_price, horizon, every):
    """Hold a portfolio of all that has a label, again and again; return how often, and how many ends were in it."""
    labels = labels_of(bars, actions, sessions, horizon, deal_price)
    traded = bars.set_index(["date", "instrument"]).index
    ends = actions[actions["kind"] == "delisting"]
    count = ended = 0
    for decision in range(5, len(sessions) - horizon - 3, every):
        day = sessions[decision]
        end = ends.loc[ends["date"].isin(sessions[decision + 2 : decision + horizon + 2]), "instrument"]
        leaves = sessions[decision + horizon]
        names = [
            name
            for name in labels.loc[day].dropna().index
            # The strategy orders neither purchase nor sale of what is suspended when it decides.
            if (day, name) in traded and ((leaves, name) in traded or name in set(end))
        ]
        earned, weights = held(bars, actions, sessions, names, decision, horizon, deal_price)
        tolerance = 2e-6 + dividends_reinvested(bars, actions, sessions, decision, horizon, deal_price, weights)
        assert earned == pytest.approx((labels.loc[day][weights.index] * weights).sum(), abs=tolerance), day
        ended += end.isin(names).sum()
        count += 1
    return count, ended


@pytest.mark.parametrize(
    ("deal_price", "horizon"),
    representatives([("open", 1), ("close", 1), ("open", 5), ("close", 5)], gate=[("open", 1), ("close", 5)]),
)
def test_a_held_portfolio_of_a_random_market_earns_its_labels_through_every_end(deal_price, horizon):
    bars, actions, sessions, _ = random_market(11, n_sessions=100, n_instruments=40)
    count, ended = reconcile(bars, actions, sessions, deal_price, horizon, every=horizon)
    assert count > 17
    assert ended >= 6


@pytest.mark.parametrize(
    ("deal_price", "horizon"), representatives([("open", 1), ("close", 1), ("close", 5)], gate=[("close", 5)])
)
def test_a_held_portfolio_of_real_stocks_earns_its_labels_through_bankruptcies_and_takeovers(
    real_market, deal_price, horizon
):
    """Real bars, splits and dividends; every fifth stock ends early, by a bankruptcy, a takeover or a silent stop."""
    bars, actions, sessions = real_bars(real_market, "2014-01-02", "2014-12-31", 30)
    endings = []
    for number, name in enumerate(sorted(bars["instrument"].unique())[::5]):
        last = sessions[30 + 20 * number]
        close = bars.loc[(bars["instrument"] == name) & (bars["date"] == last), "close"].iloc[0]
        endings.append((sessions[31 + 20 * number], name, "delisting", round(close * (0.0, 1.25, 0.5)[number % 3], 2)))
        bars = bars[~((bars["instrument"] == name) & (bars["date"] > last))]
        actions = actions[~((actions["instrument"] == name) & (actions["date"] > last))]
    actions = pd.concat([actions, pd.DataFrame(endings, columns=actions.columns)], ignore_index=True)
    bars = bars.reset_index(drop=True)
    count, ended = reconcile(bars[bars["date"] <= sessions[150]], actions, sessions[:151], deal_price, horizon, every=2)
    assert count > 60
    assert ended >= 6 * (horizon // 2 + 1)
