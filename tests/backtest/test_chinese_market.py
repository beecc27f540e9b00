"""Price limits and T+1 of the Chinese market, by hand, on every engine."""

import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.events import EventParameters, SessionPhase
from quant_pipeline.backtest.event_engine.orders import EventOrder
from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.common.exceptions import MarketDataError, StrategyError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.session import execute_orders
from quant_pipeline.exchange.tables import positions_table
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.engine_cases import DATED_LIMITS
from tests.helpers.random_market import random_market

CN = MarketRules.preset("CN")
NO_ACTIONS = pd.DataFrame(columns=["date", "instrument", "kind", "value"])
ONE = StrategyRules(topk=1, n_drop=1, risk_degree=1.0)


def bars_of(instrument, first_day, rows):
    """Bars of consecutive business days: open, high, low, close."""
    table = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    return table.assign(date=pd.bdate_range(first_day, periods=len(rows)), instrument=instrument, volume=1e6)


def market_of(instrument, first_day, rows, rules=CN):
    bars = bars_of(instrument, first_day, rows)
    return bars, TradingMarket.from_bars(bars, NO_ACTIONS, pd.DatetimeIndex(bars["date"]), rules)


def scores_of(market):
    index = pd.MultiIndex.from_product([market.sessions, market.instruments], names=["datetime", "instrument"])
    return pd.Series(1.0, index=index)


def both_engines(bars, market, costs, cash=20_000):
    daily = run_backtest(scores_of(market), market, ONE, costs, cash).trades
    strategy = RebalanceStrategy(market, ONE, costs)
    events = run_events(strategy, market, bars, costs, cash, EventParameters(), scores=scores_of(market)).trades
    columns = ["date", "side", "quantity", "price", "fee", "status"]
    pd.testing.assert_frame_equal(daily[columns], events[columns], check_dtype=False)
    return daily


@pytest.mark.parametrize("spelling", ["600000.SH", "sh600000", "sh.600000", "SH600000", "600000.XSHG"])
def test_spread_never_carries_a_buy_beyond_limit_up(spelling):
    # 10 % above 10.00 is 11.00; 10.99 with 0.2 % of spread would be 11.012.
    bars, market = market_of(spelling, "2024-01-02", [(10, 10, 10, 10), (10.99, 11.0, 10.9, 11.0)])
    bought = both_engines(bars, market, CostRules(half_spread=0.002)).iloc[0]
    assert (bought["price"], bought["quantity"], bought["status"]) == (11.0, 1800, "partially_filled")


def test_spread_never_carries_a_sale_below_limit_down():
    session = pd.DataFrame(
        {"open": [9.01], "close": [9.1], "volume": [1e6], "previous_close": [10.0]}, index=["SH600000"]
    )
    sale = pd.DataFrame({"instrument": ["SH600000"], "side": ["sell"], "quantity": [100]})
    rules = CN.at(pd.Timestamp("2024-01-03"))
    sold = execute_orders(
        sale, positions_table(["SH600000"], [100], [1]), 0, session, rules, CostRules(half_spread=0.002)
    )
    assert sold["price"].tolist() == [9.0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_trade_of_a_random_market_executes_beyond_its_dated_limits(seed):
    bars, actions, sessions, scores = random_market(seed, n_sessions=110)
    market = TradingMarket.from_bars(bars, actions, sessions, DATED_LIMITS)
    costs = CostRules(half_spread=0.01, root_impact=0.02)
    trades = run_backtest(scores, market, StrategyRules(topk=8, n_drop=4), costs, 1_000_000).trades
    executed = trades[trades["quantity"] > 0]
    rows, columns = (
        market.sessions.get_indexer(executed["date"]),
        market.instruments.get_indexer(executed["instrument"]),
    )
    prices = (executed["price"] * 10_000).round().to_numpy()
    lowest, highest = market.arrays.lowest[rows, columns], market.arrays.highest[rows, columns]
    assert ((lowest <= prices) & (prices <= highest)).all()
    # Limits stop some of them: 1 % of spread and up to 2 % of impact stand against limits of 2, 3 and 5 %.
    assert (prices == highest).sum() >= 5
    assert (prices == lowest).sum() >= 5


@pytest.mark.parametrize(("first_day", "status"), [("2020-08-20", "rejected"), ("2020-08-21", "filled")])
def test_chinext_is_blocked_at_ten_percent_until_its_limit_became_twenty(first_day, status):
    # The second session is 2020-08-21, the last of ten percent, or 2020-08-24, the first of twenty.
    bars, market = market_of("300750.SZ", first_day, [(10, 10, 10, 10), (11, 11, 11, 11)])
    assert both_engines(bars, market, CostRules(), 1_100)["status"].tolist() == [status]


def test_a_sale_pays_the_stamp_duty_of_its_session():
    halved = market_of("000001.SZ", "2023-08-23", [(10, 10, 10, 10)] * 5)[1]
    costs = CostRules.preset("CN").model_copy(update={"buy_rate": 0.0, "sell_rate": 0.0, "min_commission": 0.0})
    orders = {halved.sessions[0]: 200, halved.sessions[1]: -100, halved.sessions[3]: -100}

    class Script:
        def react(self, view):
            if view.kind is SessionPhase.CLOSE and view.session in orders:
                return [EventOrder("000001.SZ", orders[view.session])]
            return []

    bars = bars_of("000001.SZ", "2023-08-23", [(10, 10, 10, 10)] * 5)
    trades = run_events(Script(), halved, bars, costs.model_copy(update={"half_spread": 0.0}), 10_000).trades
    # 2,000 bought pay 0.02; 1,000 sold pay 1.01 on Friday the 25th and 0.51 from Monday the 28th on.
    assert trades[["date", "fee"]].to_numpy().tolist() == [
        [pd.Timestamp("2023-08-24"), 0.02],
        [pd.Timestamp("2023-08-25"), 1.01],
        [pd.Timestamp("2023-08-29"), 0.51],
    ]


@pytest.mark.parametrize(
    ("instrument", "day", "message"),
    [
        ("AAPL", "2024-01-02", "'AAPL' is no code of a Chinese share"),
        ("510300.SH", "2024-01-02", "no share in CNY"),
        ("688001.SH", "2019-07-18", "no limit of 688001.SH in force on 2019-07-18"),
    ],
)
def test_a_market_whose_limit_is_unknown_is_refused(instrument, day, message):
    with pytest.raises(MarketDataError, match=message):
        market_of(instrument, day, [(10, 10, 10, 10)] * 2)


def test_earlier_bars_outside_the_sessions_need_no_limit():
    bars = bars_of("688001.SH", "2019-07-18", [(10, 10, 10, 10)] * 5)
    later = TradingMarket.from_bars(bars, NO_ACTIONS, pd.DatetimeIndex(bars["date"][2:]), CN)
    assert later.arrays.highest[1:].tolist() == [[120_000], [120_000]]


def test_rules_with_dates_are_refused_where_the_session_is_unknown():
    session = pd.DataFrame({"open": [9.01], "close": [9.1], "previous_close": [10.0]}, index=["SH600000"])
    orders = pd.DataFrame({"instrument": ["SH600000"], "side": ["buy"], "quantity": [100]})
    with pytest.raises(StrategyError, match=r"market_rules\.at\(session\)"):
        execute_orders(orders, positions_table([], [], []), 2_000, session, CN, CostRules())
    undated = CN.at(pd.Timestamp("2024-01-02"))
    with pytest.raises(StrategyError, match=r"cost_rules\.at\(session\)"):
        execute_orders(orders, positions_table([], [], []), 2_000, session, undated, CostRules.preset("CN"))


class BuyAtTheFirstMinute:
    """Buys once, at the end of the first minute of the second session."""

    placed = False

    def react(self, view):
        if view.kind is SessionPhase.MINUTE and not self.placed:
            self.placed = True
            return [EventOrder("SH600000", 100)]
        return []


def minutes_of(session, prices):
    """One minute bar per price, flat, from the opening on."""
    times = session + pd.Timedelta(hours=9, minutes=31) + pd.to_timedelta(range(len(prices)), unit="min")
    table = pd.DataFrame({"time": times, "instrument": "SH600000", "volume": 1e4})
    return table.assign(**dict.fromkeys(("open", "high", "low", "close"), prices))


def test_a_stop_of_shares_bought_today_is_refused_once_and_sells_tomorrow():
    rows = [(10, 10, 10, 10), (10, 10, 9.1, 9.1), (9.1, 9.1, 9.1, 9.1)]
    bars, market = market_of("SH600000", "2024-01-02", rows)
    fall = minutes_of(market.sessions[1], [10.0, 10.0] + [9.1] * 58)
    stop = EventParameters(protective=ProtectiveRules(stop_loss=0.05))
    trades = run_events(BuyAtTheFirstMinute(), market, bars, CostRules(), 2_000, stop, minutes=fall).trades
    assert trades[["date", "side", "quantity", "price", "status"]].fillna(0.0).to_numpy().tolist() == [
        [market.sessions[1], "buy", 100, 10.0, "filled"],
        [market.sessions[1], "sell", 0, 0.0, "rejected"],
        [market.sessions[2], "sell", 100, 9.1, "filled"],
    ]


def test_a_stop_at_limit_down_is_refused_once_a_session():
    rows = [(10, 10, 10, 10), (10, 10, 10, 10), (9, 9, 9, 9), (9, 9, 8.9, 8.9)]
    bars, market = market_of("SH600000", "2024-01-02", rows)
    minutes = pd.concat([minutes_of(market.sessions[1], [10.0] * 3), minutes_of(market.sessions[2], [9.0] * 60)])
    stop = EventParameters(protective=ProtectiveRules(stop_loss=0.05))
    trades = run_events(BuyAtTheFirstMinute(), market, bars, CostRules(), 2_000, stop, minutes=minutes).trades
    assert trades[["date", "side", "quantity", "status"]].to_numpy().tolist() == [
        [market.sessions[1], "buy", 100, "filled"],
        [market.sessions[2], "sell", 0, "rejected"],
        [market.sessions[3], "sell", 100, "filled"],
    ]
