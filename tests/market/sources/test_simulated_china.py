"""The embedded Chinese market: deterministic, and within the limits of the exchange rules on every day."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.datasets.market import Market
from quant_pipeline.exchange.market import TradingMarket, bar_matrices
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.chinese_codes import chinese_code
from quant_pipeline.market.sources.simulated_china import SimulatedChinaParameters, generate_chinese_market

LAST = "2025-12-31"


def treated(market):
    """Put a share of a main board, which trades all the time, under special treatment for a year."""
    names = market.instruments.query("delisted.isna() and listed == listed.min()")["instrument"]
    code = next(chinese_code(name) for name in names if chinese_code(name)[:4] in ("SH60", "SZ00"))
    return {"prefix": code, "limit": 0.05, "since": "2021-04-30", "until": "2022-05-06"}


@pytest.fixture(scope="module")
def special():
    return treated(generate_chinese_market())


@pytest.fixture(scope="module")
def market(special):
    return Market("china", LAST, {"simulated": {"special_treatment": [special]}}).load()


@pytest.fixture(scope="module")
def trading(market, special):
    rules = MarketRules.preset("CN").model_copy(update={"special_limits": MarketRules.model_validate(
        {"price_limits": [{"prefix": "", "limit": None}], "special_limits": [special]}).special_limits})  # fmt: skip
    sessions = pd.DatetimeIndex(np.sort(market.bars["date"].unique()))
    built = TradingMarket.from_bars(market.bars, market.corporate_actions, sessions, rules)
    return built, bar_matrices(market.bars, sessions, built.instruments)


def test_no_price_lies_beyond_the_limit_of_its_board_and_day(trading):
    built, bars = trading
    traded = built.arrays.has_bar
    for name in ("open", "high", "low", "close"):
        beyond = traded & ((bars[name] < built.arrays.lowest) | (bars[name] > built.arrays.highest))
        assert np.argwhere(beyond).tolist() == [], name


def test_limits_are_reached_and_some_sessions_trade_at_nothing_else(trading):
    built, bars = trading
    traded, limited = built.arrays.has_bar, built.arrays.highest < np.iinfo(np.int64).max
    up = traded & limited & (bars["close"] == built.arrays.highest)
    down = traded & limited & (bars["close"] == built.arrays.lowest)
    assert up.sum() > 200
    assert down.sum() > 200
    assert (up & (bars["low"] == bars["high"])).sum() > 50


def test_special_treatment_is_named_while_it_lasts_and_narrows_the_moves(market, trading, special):
    built, bars = trading
    column = [chinese_code(name) for name in built.instruments].index(special["prefix"])
    inside = (built.sessions >= special["since"]) & (built.sessions < special["until"])
    moves = np.diff(bars["close"][:, column]) / np.maximum(bars["close"][:-1, column], 1)
    assert np.abs(moves[inside[1:] & (bars["close"][1:, column] > 0) & (bars["close"][:-1, column] > 0)]).max() < 0.0506
    during = Market("china", "2021-12-31", {"simulated": {"special_treatment": [special]}}).load()
    named = {chinese_code(row.instrument): row.name for row in during.instruments.itertuples(index=False)}
    assert named[special["prefix"]].startswith("ST")
    assert not market.instruments["name"].str.startswith("ST").any()


def test_boards_calendar_and_lots_are_those_of_china(market):
    codes = market.instruments["instrument"].map(chinese_code)
    assert set(codes.str[:4]) == {"SH60", "SH68", "SZ00", "SZ30"}
    star = market.instruments[codes.str.startswith("SH68")]
    assert star["listed"].min() >= pd.Timestamp("2019-07-22")
    days = set(market.bars["date"])
    # The week of the Spring Festival of 2024, which New York traded.
    assert not days & set(pd.date_range("2024-02-12", "2024-02-16"))
    assert (market.bars["volume"] % 100 == 0).all()
    assert market.instruments["name"].str.fullmatch(r"[\u4e00-\u9fff]{4}").all()


def test_shares_are_suspended_for_days_and_go_on_from_where_they_stood(market):
    bars = market.bars.sort_values(["instrument", "date"])
    sessions = pd.DatetimeIndex(np.sort(bars["date"].unique()))
    places = pd.Series(sessions.get_indexer(bars["date"]), index=bars.index)
    missed = places.groupby(bars["instrument"]).diff() - 1
    assert (missed > 3).sum() > 30
    move = bars["close"].groupby(bars["instrument"]).pct_change()
    # Nothing was lost or gained meanwhile: bonus issues aside, the first move after it is one of a single session.
    assert move[missed > 3].abs().max() < 0.21


def test_the_same_seed_gives_the_same_market_and_another_seed_another():
    small = SimulatedChinaParameters(n_instruments=6, start="2023-01-03", end="2023-12-29")
    first, second = generate_chinese_market(small), generate_chinese_market(small)
    pd.testing.assert_frame_equal(first.bars, second.bars, check_exact=True)
    other = generate_chinese_market(small.model_copy(update={"seed": 6}))
    assert not np.array_equal(first.benchmark["close"], other.benchmark["close"])


def test_a_period_of_special_treatment_has_a_first_day():
    with pytest.raises(ValueError, match="since"):
        SimulatedChinaParameters.model_validate({"special_treatment": [{"prefix": "SH600000", "limit": 0.05}]})
