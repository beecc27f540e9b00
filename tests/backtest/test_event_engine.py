"""Events, orders and protective rules on markets small enough to follow by hand."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.events import EventParameters, SessionPhase
from quant_pipeline.backtest.event_engine.orders import CancelOrders, EventOrder, OrderKind
from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules

SESSIONS = pd.bdate_range("2024-01-02", periods=4)
FREE = CostRules()
ACTION_COLUMNS = ["date", "instrument", "kind", "value"]


class Script:
    """Places the orders written down for an event of a session, and remembers what it saw."""

    def __init__(self, orders: dict) -> None:
        self.orders = orders
        self.seen = []

    def react(self, view):
        number = SESSIONS.get_loc(view.session)
        self.seen.append((number, view.kind.value, view.prices.get("A"), float(view.cash)))
        return self.orders.pop((number, view.kind.value), [])


def bars_of(rows, instrument="A", volume=1e6):
    table = pd.DataFrame(rows, columns=["open", "high", "low", "close"]).assign(
        date=SESSIONS[: len(rows)], instrument=instrument, volume=volume
    )
    return table.dropna()


QUIET = [(10, 11, 9, 10), (10, 12, 8, 11), (11, 13, 10, 12), (12, 14, 11, 13)]


def run(orders, rows=QUIET, rules=None, costs=FREE, actions=(), minutes=None, volume=1e6, cash=10_000, **parameters):
    bars = rows if isinstance(rows, pd.DataFrame) else bars_of(rows, volume=volume)
    table = pd.DataFrame(list(actions), columns=ACTION_COLUMNS)
    market = TradingMarket.from_bars(bars, table, SESSIONS, rules or MarketRules())
    script = orders if hasattr(orders, "react") else Script(orders)
    return run_events(script, market, bars, costs, cash, EventParameters(**parameters), minutes=minutes), script


def trades_of(result):
    return result.trades[["date", "side", "quantity", "price", "status"]].to_numpy().tolist()


def test_events_come_in_order_with_the_prices_delivered_so_far():
    _, script = run({})
    kinds = [kind for number, kind, _, _ in script.seen if number == 1]
    assert kinds == ["open", "bar", "close"]
    prices = {kind: price for number, kind, price, _ in script.seen if number == 1}
    assert prices == {"open": 10.0, "bar": 11.0, "close": 11.0}


def test_market_order_placed_at_the_close_executes_at_the_next_open():
    result, _ = run({(0, "close"): [EventOrder("A", 100)]})
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 10.0, "filled"]]
    assert result.nav.tolist() == [10_000, 10_100, 10_200, 10_300]
    assert result.trades["decided"].tolist() == [SESSIONS[0]]
    assert result.trades["time"].tolist() == [SESSIONS[1] + pd.Timedelta(hours=9, minutes=30)]


def test_market_order_placed_at_the_open_executes_at_the_close_when_there_are_no_minutes():
    result, _ = run({(1, "open"): [EventOrder("A", 100)]})
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 11.0, "filled"]]


def test_on_open_and_on_close_orders_wait_for_their_auction():
    orders = {(0, "close"): [EventOrder("A", 100, OrderKind.ON_CLOSE), EventOrder("A", 10, OrderKind.ON_OPEN)]}
    result, _ = run(orders)
    assert trades_of(result) == [[SESSIONS[1], "buy", 10, 10.0, "filled"], [SESSIONS[1], "buy", 100, 11.0, "filled"]]


def test_limit_buy_executes_at_its_limit_and_at_the_open_when_that_is_better():
    result, _ = run({(0, "close"): [EventOrder("A", 100, OrderKind.LIMIT, 9.0)]})
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 9.0, "filled"]]
    result, _ = run({(0, "close"): [EventOrder("A", 100, OrderKind.LIMIT, 10.5)]})
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 10.0, "filled"]]


def test_limit_order_that_is_not_reached_expires_or_waits():
    result, _ = run({(0, "close"): [EventOrder("A", 100, OrderKind.LIMIT, 7.0)]})
    assert trades_of(result)[0][3:] == [pytest.approx(np.nan, nan_ok=True), "expired"]
    assert result.trades["message"].tolist() == ["its price was not reached"]
    waiting = EventOrder("A", -100, OrderKind.LIMIT, 13.5, until_cancelled=True)
    result, _ = run({(0, "close"): [EventOrder("A", 100), waiting]})
    assert trades_of(result)[1] == [SESSIONS[3], "sell", 100, 13.5, "filled"]


def test_limit_that_arrives_after_the_open_needs_the_close_and_does_not_profit_from_the_open():
    # The low of 8 may have come before it; the close of 11 has come after it.
    order = {(0, "close"): [EventOrder("A", 100, OrderKind.LIMIT, 10.5)]}
    result, _ = run(dict(order), latency_seconds=18 * 3600)
    assert result.trades["status"].tolist() == ["expired"]
    result, _ = run({(0, "close"): [EventOrder("A", 100, OrderKind.LIMIT, 11.5)]}, latency_seconds=18 * 3600)
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 11.5, "filled"]]
    high = {(0, "close"): [EventOrder("A", 100, OrderKind.LIMIT, 99.0)]}
    result, _ = run(high, latency_seconds=18 * 3600)
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 12.0, "filled"]]


def test_cancelled_orders_are_forgotten():
    orders = {
        (0, "close"): [EventOrder("A", 100), EventOrder("A", -100, OrderKind.LIMIT, 13.5, until_cancelled=True)],
        (2, "open"): [CancelOrders("A")],
    }
    result, _ = run(orders)
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 10.0, "filled"]]


def test_two_orders_of_a_session_share_the_volume_they_may_take():
    orders = {(0, "close"): [EventOrder("A", 30), EventOrder("A", 30, OrderKind.ON_CLOSE)]}
    result, _ = run(orders, rules=MarketRules(max_participation=0.1), volume=400)
    assert [row[2:] for row in trades_of(result)] == [[30, 10.0, "filled"], [10, 11.0, "partially_filled"]]


def test_limit_order_is_not_moved_by_the_spread_but_a_stop_is():
    costs = CostRules(half_spread=0.01)
    result, _ = run({(0, "close"): [EventOrder("A", 100, OrderKind.LIMIT, 9.0)]}, costs=costs)
    assert result.trades["price"].tolist() == [9.0]
    result, _ = run({(0, "close"): [EventOrder("A", 100, OrderKind.STOP, 11.0)]}, costs=costs)
    assert result.trades["price"].tolist() == [11.11]


def test_stop_sale_executes_at_the_stop_and_at_the_open_below_it():
    buy, stop = EventOrder("A", 100), EventOrder("A", -100, OrderKind.STOP, 9.5, until_cancelled=True)
    result, _ = run({(0, "close"): [buy, stop]})
    assert trades_of(result)[1] == [SESSIONS[1], "sell", 100, 9.5, "filled"]
    gap = [(10, 11, 9.8, 10), (10, 12, 9.8, 11), (8, 9, 7, 8), (8, 9, 7, 8)]
    result, _ = run({(0, "close"): [buy, stop]}, gap)
    assert trades_of(result)[1] == [SESSIONS[2], "sell", 100, 8.0, "filled"]


def test_stop_buy_executes_when_the_price_rises_to_it():
    result, _ = run({(0, "close"): [EventOrder("A", 100, OrderKind.STOP, 11.5)]})
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 11.5, "filled"]]


def test_stop_loss_sells_the_holding_and_the_gap_is_the_traders_loss():
    falling = [(10, 10, 10, 10), (10, 10, 9.5, 10), (10, 10, 8.5, 9), (9, 9, 9, 9)]
    rules = ProtectiveRules(stop_loss=0.1)
    result, _ = run({(0, "close"): [EventOrder("A", 100)]}, falling, protective=rules)
    assert trades_of(result)[1] == [SESSIONS[2], "sell", 100, 9.0, "filled"]
    assert result.trades["reason"].iloc[1] == "stop loss"
    falling[2] = (8, 9, 8, 9)
    result, _ = run({(0, "close"): [EventOrder("A", 100)]}, falling, protective=rules)
    assert trades_of(result)[1] == [SESSIONS[2], "sell", 100, 8.0, "filled"]


def test_trailing_stop_follows_the_highs_of_earlier_bars_only():
    # The high of 20 and the low of 16 of one bar have no order: the stop of that bar hangs on the high before, 11.
    rising = [(10, 10, 10, 10), (10, 11, 10, 11), (11, 20, 10, 19), (19, 19, 15, 15)]
    result, _ = run({(0, "close"): [EventOrder("A", 100)]}, rising, protective=ProtectiveRules(trailing_stop=0.2))
    assert trades_of(result)[1] == [SESSIONS[3], "sell", 100, 16.0, "filled"]
    assert result.trades["reason"].iloc[1] == "trailing stop"


def test_take_profit_sells_at_its_level_and_a_stop_in_the_same_bar_comes_first():
    buy = {(0, "close"): [EventOrder("A", 100)]}
    result, _ = run(dict(buy), protective=ProtectiveRules(take_profit=0.15))
    assert trades_of(result)[1] == [SESSIONS[1], "sell", 100, 11.5, "filled"]
    result, _ = run(dict(buy), protective=ProtectiveRules(take_profit=0.15, stop_loss=0.15))
    assert trades_of(result)[1] == [SESSIONS[1], "sell", 100, 8.5, "filled"]


def test_split_scales_holdings_orders_and_levels():
    split = [(10, 10, 10, 10), (10, 10, 10, 10), (5, 5, 4.4, 4.5), (4, 4.5, 4, 4)]
    stop = EventOrder("A", -100, OrderKind.STOP, 8.2, until_cancelled=True)
    actions = [(SESSIONS[2], "A", "split", 2.0)]
    result, _ = run({(0, "close"): [EventOrder("A", 100), stop]}, split, actions=actions)
    assert trades_of(result)[1] == [SESSIONS[3], "sell", 200, 4.0, "filled"]
    protected, _ = run(
        {(0, "close"): [EventOrder("A", 100)]}, split, actions=actions, protective=ProtectiveRules(stop_loss=0.1)
    )
    assert trades_of(protected)[1] == [SESSIONS[2], "sell", 200, 4.5, "filled"]
    assert result.corporate_actions[["kind", "quantity_after"]].to_numpy().tolist() == [["split", 200]]


def test_delisting_pays_and_its_orders_expire():
    gone = [(10, 10, 10, 10), (10, 10, 10, 10), (np.nan,) * 4, (np.nan,) * 4]
    stop = EventOrder("A", -100, OrderKind.STOP, 8.0, until_cancelled=True)
    actions = [(SESSIONS[2], "A", "delisting", 7.0)]
    result, _ = run({(0, "close"): [EventOrder("A", 100), stop]}, gone, actions=actions)
    assert result.nav.tolist() == [10_000, 10_000, 9_700, 9_700]
    assert len(result.trades) == 1


def test_latency_makes_an_order_miss_the_open():
    late = {(0, "close"): [EventOrder("A", 100)]}
    seventeen_hours_and_a_half = 17.5 * 3600
    result, _ = run(dict(late), latency_seconds=seventeen_hours_and_a_half)
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 10.0, "filled"]]
    result, _ = run(dict(late), latency_seconds=seventeen_hours_and_a_half + 1)
    assert trades_of(result) == [[SESSIONS[1], "buy", 100, 11.0, "filled"]]


def test_max_participation_fills_a_waiting_order_over_the_sessions():
    order = EventOrder("A", 100, OrderKind.LIMIT, 12.5, until_cancelled=True)
    result, _ = run({(0, "close"): [order]}, rules=MarketRules(max_participation=0.1), volume=400)
    assert [row[2] for row in trades_of(result)] == [40, 40, 20]
    assert result.positions["quantity"].tolist() == [40, 80, 100]


def test_shares_bought_today_are_locked_in_a_market_that_settles_tomorrow():
    orders = {
        (0, "close"): [EventOrder("A", 100)],
        (1, "open"): [EventOrder("A", -100, OrderKind.ON_CLOSE)],
        (1, "close"): [EventOrder("A", -100)],
    }
    rules = MarketRules(sell_same_session=False)
    result, _ = run(dict(orders), rules=rules)
    assert [row[1:] for row in trades_of(result)][0::2] == [["buy", 100, 10.0, "filled"], ["sell", 100, 11.0, "filled"]]
    assert result.trades["status"].tolist() == ["filled", "rejected", "filled"]
    free, _ = run(dict(orders))
    assert free.trades["status"].tolist() == ["filled", "filled", "rejected"]


def minutes_of(*rows):
    table = pd.DataFrame(rows, columns=["time", "open", "high", "low", "close", "volume"])
    times = [SESSIONS[1] + pd.Timedelta(time) for time in table["time"]]
    return table.assign(time=times, instrument="A")


MINUTES = minutes_of(
    ("09:31:00", 10, 10.5, 9.9, 10.2, 1000),
    ("09:32:00", 10.3, 10.4, 10.0, 10.1, 1000),
    ("09:33:00", 9.7, 9.8, 8.0, 8.5, 1000),
)


class BuysInTheFirstMinute:
    """Buys once, on the first minute it is shown."""

    def __init__(self):
        self.views = []

    def react(self, view):
        if view.kind is not SessionPhase.MINUTE:
            return []
        self.views.append((view.time.strftime("%H:%M"), view.prices["A"], len(view.minutes(99))))
        return [EventOrder("A", 10)] if len(self.views) == 1 else []


def test_an_order_of_one_minute_executes_at_the_open_of_the_next():
    result, script = run(BuysInTheFirstMinute(), minutes=MINUTES)
    assert script.views == [("09:31", 10.2, 1), ("09:32", 10.1, 2), ("09:33", 8.5, 3)]
    assert result.trades[["price", "time"]].to_numpy().tolist() == [[10.3, SESSIONS[1] + pd.Timedelta("09:32:00")]]


def test_a_minute_of_latency_loses_a_minute():
    result, _ = run(BuysInTheFirstMinute(), minutes=MINUTES, latency_seconds=1)
    assert result.trades["price"].tolist() == [9.7]


def test_stop_loss_works_within_the_minutes():
    result, _ = run(BuysInTheFirstMinute(), minutes=MINUTES, protective=ProtectiveRules(stop_loss=0.1))
    assert trades_of(result)[1] == [SESSIONS[1], "sell", 10, 9.27, "filled"]


def test_minutes_share_the_volume():
    orders = {(1, "open"): [EventOrder("A", 250)]}
    result, _ = run(orders, minutes=MINUTES, rules=MarketRules(max_participation=0.1))
    assert [row[2:4] for row in trades_of(result)] == [[100, 10.3], [100, 9.7], [50, 11.0]]


@pytest.mark.parametrize(
    ("minutes", "message"),
    [
        (MINUTES.assign(time=MINUTES["time"] + pd.Timedelta(days=365)), "no session"),
        (MINUTES.assign(instrument="Z"), "Z, which has no daily bars"),
        (pd.concat([MINUTES, MINUTES]), "two minute bars"),
        (MINUTES.drop(columns="volume"), "'volume'"),
        (MINUTES.assign(low=MINUTES["low"].where(MINUTES["low"] > 9)), "A at 2024-01-03 09:33:00 lacks a price"),
        (MINUTES.assign(volume=np.nan), "A at 2024-01-03 09:31:00 lacks a price or a volume"),
    ],
)
def test_minutes_that_do_not_fit_the_market_are_refused(minutes, message):
    with pytest.raises(StrategyError, match=message):
        run({}, minutes=minutes)


@pytest.mark.parametrize("fields", [{"shares": 0}, {"shares": 1, "kind": OrderKind.LIMIT}, {"shares": 1, "price": 2.0}])
def test_senseless_orders_are_refused(fields):
    with pytest.raises(StrategyError):
        EventOrder("A", **fields)


def test_an_order_of_an_unknown_instrument_is_refused():
    with pytest.raises(StrategyError, match="no bars"):
        run({(0, "close"): [EventOrder("Z", 1)]})
