"""The nodes of a run share one market, and never one that was built from other bars or other rules."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.exchange import shared_market
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.exchange.shared_market import market_of, market_until
from tests.helpers.random_market import random_market

RULES = MarketRules()


@pytest.fixture
def given():
    bars, actions, sessions = random_market(seed=7, n_sessions=40, n_instruments=6)[:3]
    return bars, actions, sessions


def test_equal_copies_of_the_bars_give_the_market_that_is_there(given):
    bars, actions, sessions = given
    market = market_of(bars, actions, sessions, RULES)
    assert market_of(bars.copy(), actions.copy(), sessions.copy(), MarketRules()) is market
    alone = TradingMarket.from_bars(bars, actions, sessions, RULES)
    assert market.instruments.equals(alone.instruments)
    for name in ("deal_price", "mark", "volume", "has_bar", "buy_blocked", "sell_blocked", "lowest", "highest"):
        assert np.array_equal(getattr(market.arrays, name), getattr(alone.arrays, name)), name


def test_whatever_differs_gives_another_market(given):
    bars, actions, sessions = given
    market = market_of(bars, actions, sessions, RULES)
    price = bars.copy()
    price.loc[price.index[5], "open"] += 0.01
    renamed = bars.assign(instrument=bars["instrument"].replace(bars["instrument"].iloc[0], "ZZZZ"))
    known = actions[actions["instrument"].isin(renamed["instrument"])]
    split = pd.DataFrame(
        {"date": [sessions[3]], "instrument": [bars["instrument"].iloc[1]], "kind": ["split"], "value": [3.0]}
    )
    others = [
        (price, actions, sessions, RULES),
        (renamed, known, sessions, RULES),
        (bars, pd.concat([actions, split], ignore_index=True), sessions, RULES),
        (bars, actions, sessions[1:], RULES),
        (bars, actions, sessions, MarketRules(deal_price="close")),
    ]
    for other in others:
        assert market_of(*other) is not market
        market = market_of(*given, RULES)


def test_the_same_memory_is_not_read_through_and_what_is_written_to_it_gives_another_market(monkeypatch):
    bars, actions, sessions = random_market(seed=8, n_sessions=250, n_instruments=6)[:3]
    market, read = market_of(bars, actions, sessions, RULES), []
    with monkeypatch.context() as patched:
        patched.setattr(shared_market._Sink, "write", lambda _, content: read.append(content) or len(content))
        assert market_of(bars.copy(deep=False), actions.copy(deep=False), sessions, RULES) is market
    assert read == []
    copy = bars.copy(deep=False)
    copy.loc[copy.index[0], "open"] += 1.0
    assert market_of(copy, actions, sessions, RULES) is not market
    market = market_of(bars, actions, sessions, RULES)
    before = market.arrays.deal_price.copy()
    bars.loc[bars.index[0], "open"] += 1.0
    changed = market_of(bars, actions, sessions, RULES)
    assert not np.array_equal(changed.arrays.deal_price, before)


def test_tables_that_are_too_large_to_hold_are_recognised_by_their_content(given, monkeypatch):
    bars, actions, sessions = given
    monkeypatch.setattr(shared_market, "MOST_HELD", 0)
    market = market_of(bars, actions, sessions, RULES)
    assert market_of(bars, actions, sessions, RULES) is market
    assert market_of(bars.assign(open=bars["open"] + 1), actions, sessions, RULES) is not market


def test_the_market_of_a_run_is_built_once(given, monkeypatch):
    bars, actions, sessions = given
    bars = bars.assign(volume=bars["volume"] + 1)
    built = []
    from_bars = TradingMarket.from_bars
    monkeypatch.setattr(TradingMarket, "from_bars", lambda *question: built.append(question) or from_bars(*question))
    for _ in range(5):
        market_of(bars.copy(), actions, sessions, RULES)
    assert len(built) == 1


@pytest.mark.parametrize("rules", [RULES, MarketRules.preset("CN")])
def test_a_market_until_a_session_is_the_one_that_is_built_from_what_was_known(rules):
    bars, actions, sessions = random_market(seed=11, n_sessions=120, n_instruments=9)[:3]
    if rules.price_limits:
        codes = {name: f"SH6000{number:02d}" for number, name in enumerate(sorted(bars["instrument"].unique()))}
        bars, actions = (table.assign(instrument=table["instrument"].map(codes)) for table in (bars, actions))
    # An instrument that is listed near the end: two bars, of which the first has no close.
    late = bars.groupby("instrument").tail(1).iloc[[0, 0]].assign(date=sessions[[100, 110]], close=[np.nan, 5.0])
    late["instrument"] = late["instrument"].str[:-1] + "9"
    bars = pd.concat([bars, late], ignore_index=True)
    market = market_of(bars, actions, sessions, rules)
    for row in (0, 3, 60, 99, 100, 105, 110, 119):
        session = sessions[row]
        known = bars[bars["date"] <= session], actions[actions["date"] <= session], sessions[: row + 1]
        assert_same(market_until(session, market, bars), TradingMarket.from_bars(*known, rules))


def assert_same(market, alone):
    assert market.sessions.equals(alone.sessions)
    assert market.instruments.equals(alone.instruments)
    assert market.rules == alone.rules
    for name in alone.arrays._fields:
        if name != "actions":
            np.testing.assert_array_equal(getattr(market.arrays, name), getattr(alone.arrays, name), err_msg=name)
    for name in alone.arrays.actions._fields:
        found, wanted = getattr(market.arrays.actions, name), getattr(alone.arrays.actions, name)
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        assert found.dtype == wanted.dtype
