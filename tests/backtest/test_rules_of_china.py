"""What the documents of the exchanges say, by literal examples, equal in every engine and at the simulated broker.

The documents are named in `quant_pipeline.market.chinese_boards` and at the tests.
"""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.events import SessionPhase
from quant_pipeline.backtest.event_engine.orders import EventOrder
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.quotes import limit_prices
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.session import execute_orders
from quant_pipeline.exchange.tables import positions_table
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.brokers.simulated.bookkeeping import execute_session

CN, FREE = MarketRules.preset("CN"), CostRules()
NO_ACTIONS = pd.DataFrame(columns=["date", "instrument", "kind", "value"])
ONE = StrategyRules(topk=1, n_drop=1, risk_degree=1.0)
LOT_MESSAGE = "the exchange takes no order of this size; see `market_rules.lot` and `lots`"


def sessions_from(first, count):
    calendar = TradingCalendar.of("XSHG", first, pd.Timestamp(first) + pd.Timedelta(days=60))
    days = calendar.sessions
    return days[days >= pd.Timestamp(first)][:count].as_unit("ns")


def bars_of(instrument, days, opens, closes=None):
    table = pd.DataFrame({"date": days, "instrument": instrument, "open": opens, "close": closes or opens})
    table["high"], table["low"] = table[["open", "close"]].max(axis=1), table[["open", "close"]].min(axis=1)
    return table.assign(volume=1e6).astype({"open": float, "close": float, "high": float, "low": float})


def buy(instrument, opens, closes=None, cash=10_000, first="2024-01-02", rules=CN):
    """Buy for all cash what was decided in the session before the last: the same at the array and the event engine,
    and at the broker with what they asked for. Return quantity, price and status; None where nothing was asked for.
    """
    days = sessions_from(first, len(opens))
    bars = bars_of(instrument, days, opens, closes)
    market = TradingMarket.from_bars(bars, NO_ACTIONS, days, rules)
    scores = pd.Series(
        1.0, index=pd.MultiIndex.from_product([days[-2:-1], [instrument]], names=["datetime", "instrument"])
    )
    daily = run_backtest(scores, market, ONE, FREE, cash).trades
    events = run_events(RebalanceStrategy(market, ONE, FREE), market, bars, FREE, cash, scores=scores).trades
    columns = ["date", "side", "quantity", "price", "status"]
    pd.testing.assert_frame_equal(daily[columns], events[columns], check_dtype=False)
    if daily.empty:
        return None
    (row,) = daily.to_dict("records")
    orders = pd.DataFrame({"instrument": [instrument], "side": ["buy"], "quantity": [row["requested"]]})
    nothing, session = positions_table([], [], []), bars[bars["date"] == days[-1]]
    _, fills = execute_session(nothing, Decimal(cash), orders, days[-1], session, NO_ACTIONS, market, FREE)
    (booked,) = fills.fillna(0.0).to_dict("records")
    price = 0.0 if pd.isna(row["price"]) else row["price"]
    assert (booked["quantity"], booked["price"], booked["status"]) == (row["quantity"], price, row["status"])
    return row["quantity"], price, row["status"]


@pytest.mark.parametrize(
    ("instrument", "cash", "bought"),
    [
        # 上海证券交易所交易规则 3.3.9: buys are 100 shares or a multiple.
        ("600000.SH", 2_070, 200),
        ("000001.SZ", 990, None),
        ("300750.SZ", 2_990, 200),
        # 科创板股票交易特别规定 第十条: at least 200 shares, and above them in steps of one.
        ("688001.SH", 1_990, None),
        ("688001.SH", 2_000, 200),
        ("688001.SH", 2_070, 207),
        # 北京证券交易所交易规则 3.3.9: at least 100 shares, and above them in steps of one.
        ("830799.BJ", 990, None),
        ("830799.BJ", 1_070, 107),
    ],
)
def test_buys_have_the_sizes_of_their_board(instrument, cash, bought):
    outcome = buy(instrument, [10.0, 10.0, 10.0], cash=cash)
    assert outcome == (None if bought is None else (bought, 10.0, "filled"))


ORDERS = [
    # Held, side, shares, executed. An odd lot is what a holding has beyond whole lots: it leaves in one piece.
    ("600000.SH", 230, "buy", 150, 0),
    ("600000.SH", 230, "buy", 100, 100),
    ("600000.SH", 230, "sell", 50, 0),
    ("600000.SH", 230, "sell", 30, 30),
    ("600000.SH", 230, "sell", 130, 130),
    ("600000.SH", 230, "sell", 200, 200),
    ("600000.SH", 230, "sell", 230, 230),
    ("600000.SH", 30, "sell", 30, 30),
    ("600000.SH", 30, "sell", 10, 0),
    ("688001.SH", 460, "buy", 150, 0),
    ("688001.SH", 460, "buy", 201, 201),
    ("688001.SH", 460, "sell", 150, 0),
    ("688001.SH", 460, "sell", 201, 201),
    ("688001.SH", 460, "sell", 460, 460),
    ("688001.SH", 150, "sell", 100, 0),
    ("688001.SH", 150, "sell", 150, 150),
]


@pytest.mark.parametrize(("instrument", "held", "side", "shares", "executed"), ORDERS)
def test_an_order_of_another_size_is_rejected(instrument, held, side, shares, executed):
    bars = pd.DataFrame({"open": [10.0], "close": [10.0], "volume": [1e6], "previous_close": [10.0]}, [instrument])
    orders = pd.DataFrame({"instrument": [instrument], "side": [side], "quantity": [shares]})
    positions, rules = positions_table([instrument], [held], [1]), CN.at(pd.Timestamp("2024-01-02"))
    (fill,) = execute_orders(orders, positions, 5_000, bars, rules, FREE).to_dict("records")
    status, message = ("filled", "") if executed else ("rejected", LOT_MESSAGE)
    assert (fill["quantity"], fill["status"], fill["message"]) == (executed, status, message)


class Script:
    """Sends orders at the closes of sessions: number of the session to shares."""

    def __init__(self, instrument, market, orders):
        self.instrument, self.sessions, self.orders = instrument, market.sessions, orders

    def react(self, view):
        shares = self.orders.get(self.sessions.get_loc(view.session)) if view.kind is SessionPhase.CLOSE else None
        return [EventOrder(self.instrument, shares)] if shares else []


@pytest.mark.parametrize(("instrument", "held", "side", "shares", "executed"), ORDERS)
def test_the_event_engine_rejects_the_same_sizes(instrument, held, side, shares, executed):
    days = sessions_from("2024-01-02", 5)
    bars = bars_of(instrument, days, [10.0] * 5)
    # An odd holding comes from a bonus issue: of 200 shares in the third session, whose close is not adjusted here.
    bonus = pd.DataFrame(
        {"date": [days[2]], "instrument": instrument, "kind": "split", "value": [held / (400 if held > 400 else 200)]}
    )
    market = TradingMarket.from_bars(bars, bonus, days, CN.model_copy(update={"price_limits": ()}))
    orders = {0: 400 if held > 400 else 200, 2: shares if side == "buy" else -shares}
    trades = run_events(Script(instrument, market, orders), market, bars, FREE, 100_000).trades
    assert trades["quantity"].tolist() == [orders[0], executed]
    assert trades["status"].iloc[1] == ("filled" if executed else "rejected")


@pytest.mark.parametrize(
    ("instrument", "listed", "free"),
    [
        # 深圳证券交易所创业板交易特别规定: five sessions of what is listed since 2020-08-24; before, the first.
        ("300888.SZ", "2020-08-18", 1),
        ("300999.SZ", "2020-08-24", 5),
        # 科创板股票交易特别规定 第五条.
        ("688001.SH", "2024-01-04", 5),
        # 上海证券交易所交易规则 (2023) 3.3.15, since the first share under registration.
        ("603001.SH", "2023-04-04", 1),
        ("601065.SH", "2023-04-10", 5),
        ("001286.SZ", "2023-04-10", 5),
        # 北京证券交易所交易规则 3.3.12: the first session.
        ("830799.BJ", "2021-11-16", 1),
    ],
)
def test_a_listing_has_no_limit_in_its_first_sessions(instrument, listed, free):
    days = sessions_from(pd.Timestamp(listed) - pd.Timedelta(days=12), 25)
    later = days[days >= pd.Timestamp(listed)]
    # It rises by half a day, the whole time; another share, of an older board, shows that the records begin before.
    opens = [round(10 * 1.5**place, 2) for place in range(len(later))]
    bars = pd.concat([bars_of(instrument, later, opens), bars_of("600000.SH", days, [10.0] * len(days))])
    market = TradingMarket.from_bars(bars, NO_ACTIONS, days, CN)
    column = market.instruments.get_loc(instrument)
    blocked = market.arrays.buy_blocked[days.get_indexer(later), column]
    assert blocked.tolist() == [place >= free for place in range(len(later))]
    for place in range(1, 7):
        t = days.get_loc(later[place])
        orders = pd.DataFrame({"instrument": [instrument], "side": ["buy"], "quantity": [200]})
        session = bars[bars["date"] == later[place]]
        nothing = positions_table([], [], [])
        _, fills = execute_session(nothing, Decimal(100_000), orders, days[t], session, NO_ACTIONS, market, FREE)
        script = Script(instrument, market, {t - 1: 200})
        events = run_events(script, market, bars, FREE, 100_000).trades
        expected = ["rejected" if place >= free else "filled"]
        assert fills["status"].tolist() == events["status"].tolist() == expected


def test_a_share_whose_listing_is_not_in_the_records_has_its_limit_from_their_first_session_on():
    assert buy("688001.SH", [10.0, 12.0]) == (0, 0.0, "rejected")


@pytest.mark.parametrize(
    ("price", "opens", "closes", "outcome"),
    [
        ("open", [10, 10, 10.5], [10, 10, 11], (900, 10.5, "filled")),
        ("open", [10, 10, 11], [10, 10, 10.5], (0, 0.0, "rejected")),
        ("close", [10, 10, 11], [10, 10, 10.5], (900, 10.5, "filled")),
        ("close", [10, 10, 10.5], [10, 10, 11], (0, 0.0, "rejected")),
    ],
)
def test_a_limit_is_judged_at_the_price_of_the_execution(price, opens, closes, outcome):
    rules = CN.model_copy(update={"deal_price": price})
    quantity, executed, status = buy("600000.SH", opens, closes, rules=rules)
    # A decision at 10.00 wants 1,000 shares; 10,000 pays for 900 at 10.50.
    assert (quantity, executed, status.replace("partially_", "")) == outcome


@pytest.mark.parametrize(
    ("day", "opens", "status"),
    [
        # 上海证券交易所交易规则 (2023) 4.4.6, 深圳 4.5.5: 5 %; the rules of 2026: 10 % from 2026-07-06 on.
        ("2026-07-01", [10, 10, 10.5], "rejected"),
        ("2026-07-02", [10, 10, 10.5], "filled"),
        ("2026-07-02", [10, 10, 11], "rejected"),
    ],
)
def test_special_treatment_moves_by_five_percent_until_july_2026(day, opens, status):
    from quant_pipeline.exchange.chinese_rules import special_treatment_limits

    periods = pd.DataFrame({"instrument": ["sh600001"], "since": ["2025-05-06"], "until": [None]})
    rules = CN.model_copy(update={"special_limits": special_treatment_limits(periods)})
    assert buy("600001.SH", opens, first=day, rules=rules)[2].replace("partially_", "") == status


def test_cash_of_a_sale_buys_in_the_same_session_and_bought_shares_wait_for_the_next():
    """Trading rules of both exchanges, chapter 3: cash of a sale is there at once, bought shares wait for delivery."""
    names = ["600000.SH", "600016.SH"]
    bars = pd.DataFrame({"open": 10.0, "close": 10.0, "volume": 1e6, "previous_close": 10.0}, index=names)
    orders = pd.DataFrame({"instrument": names, "side": ["sell", "buy"], "quantity": [100, 100]})
    rules = CN.at(pd.Timestamp("2024-01-02"))
    fills = execute_orders(orders, positions_table(names[:1], [100], [1]), 0, bars, rules, FREE)
    assert fills[["instrument", "quantity", "status"]].to_numpy().tolist() == [
        ["600000.SH", 100, "filled"],
        ["600016.SH", 100, "filled"],
    ]
    assert not CN.sell_same_session


def test_a_suspended_share_is_neither_bought_nor_valued_at_anything_but_its_last_close():
    days = sessions_from("2024-01-02", 4)
    bars = bars_of("600000.SH", days.delete(2), [10.0, 10.0, 11.0])
    market = TradingMarket.from_bars(bars, NO_ACTIONS, days, CN)
    trades = run_events(Script("600000.SH", market, {1: 200}), market, bars, FREE, 10_000).trades
    assert trades[["date", "status"]].to_numpy().tolist() == [[days[2], "expired"]]
    assert market.arrays.mark[:, 0].tolist() == [100_000, 100_000, 100_000, 110_000]
    # The limit after a suspension refers to the last close before it.
    assert market.arrays.highest[3, 0] == 110_000


@pytest.mark.parametrize(("split", "first_open", "limit"), [(None, 11.0, 110_000), (2.0, 5.5, 55_000)])
@pytest.mark.parametrize("begin", [3, 5])
def test_limits_of_the_first_sessions_refer_to_the_closes_before_them(begin, split, first_open, limit):
    """A backtest may begin in a suspension, or on the day after a close that it does not trade on."""
    days = sessions_from("2024-01-02", 8)
    trading = days.delete([3, 4])
    bars = bars_of("600000.SH", trading, [10.0] * 3 + [first_open] * 3)
    actions = NO_ACTIONS
    if split:
        actions = pd.DataFrame({"date": days[[4]], "instrument": "600000.SH", "kind": "split", "value": [split]})
    market = TradingMarket.from_bars(bars, actions, days[begin:], CN, days[:begin])
    assert market.arrays.highest[5 - begin, 0] == market.history.arrays.highest[5, 0] == limit
    assert market.arrays.buy_blocked[:, 0].tolist() == market.history.arrays.buy_blocked[begin:, 0].tolist()
    if begin < 5:
        events = run_events(Script("600000.SH", market, {4 - begin: 200}), market, bars, FREE, 100_000).trades
        orders = pd.DataFrame({"instrument": ["600000.SH"], "side": ["buy"], "quantity": [200]})
        session, nothing = bars[bars["date"] == days[5]], positions_table([], [], [])
        # The simulated broker has the market of all sessions.
        whole = TradingMarket.from_bars(bars, actions, days, CN)
        _, fills = execute_session(nothing, Decimal(100_000), orders, days[5], session, NO_ACTIONS, whole, FREE)
        assert events["status"].tolist() == fills["status"].tolist() == ["rejected"]


def test_the_market_of_an_account_knows_the_closes_before_its_first_session():
    days = sessions_from("2024-01-02", 6)
    bars = bars_of("600000.SH", days.delete([2, 3]), [9.0, 10.0, 11.0, 11.0])
    gone = bars_of("600016.SH", days[:2], [5.0, 5.0])
    names = pd.DataFrame({"instrument": ["600000.SH"], "sector": ["Banks"]})
    tables = MarketTables(pd.concat([bars, gone]), NO_ACTIONS, pd.DataFrame({"date": days}), pd.DataFrame(), names)
    market = tables.market_of(days[3:], TradingRules(ONE, CN, FREE, AccountParameters(name="a")))
    assert market.instruments.tolist() == ["600000.SH"]
    assert market.arrays.highest[:, 0].tolist() == [110_000, 110_000, 121_000]
    assert market.arrays.mark[:, 0].tolist() == [0, 110_000, 110_000]


@pytest.mark.parametrize(
    ("close", "limit", "lowest", "highest"),
    [
        # 深圳证券交易所交易规则, chapter 3: rounded half up to a fen; a step from the close at least, never below one.
        ("4.35", 0.1, "3.92", "4.79"),
        ("10.05", 0.1, "9.05", "11.06"),
        ("10.15", 0.05, "9.64", "10.66"),
        ("9.99", 0.2, "7.99", "11.99"),
        ("7.77", 0.3, "5.44", "10.10"),
        ("0.09", 0.05, "0.08", "0.10"),
        ("0.04", 0.1, "0.03", "0.05"),
        ("0.01", 0.1, "0.01", "0.02"),
    ],
)
def test_limits_are_whole_fen_and_at_least_one_away(close, limit, lowest, highest):
    given = np.array([round(Decimal(close) * 10_000)]), np.array([round(limit * 10_000)])
    found = [int(each[0]) for each in limit_prices(*given, CN)]
    assert found == [int(Decimal(lowest) * 10_000), int(Decimal(highest) * 10_000)]
