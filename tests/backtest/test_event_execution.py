"""When orders of the event engine execute, and at which price: never at one that their sender knew."""

import datetime

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.orders import CancelOrders, EventOrder, OrderKind
from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.dated_rules import PriceLimit
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from tests.helpers.event_orders import (
    AROUND_98,
    BAR_COLUMNS,
    BOUGHT,
    GAP,
    MINUTES,
    SESSIONS,
    limit,
    minutes_of,
    prices_of,
    run,
    stop,
)


@pytest.mark.parametrize(
    ("order", "latency_seconds", "price"),
    [
        # The open of 98 is known. Of the prices after it only 95 to 103 and the close of 102 are.
        (EventOrder("A", 10), 0, 102.102),
        (limit(10, 200), 0, 103.103),
        (limit(10, 200), 30, 103.103),
        (limit(10, 103.05), 0, 103.05),
        (limit(10, 97), 0, 97.0),
        (limit(10, 97), 30, np.nan),
        (limit(10, 102), 30, 102.0),
        (stop(10, 97), 0, 103.103),
        (stop(10, 100), 0, 100.1),
        (stop(10, 100), 30, 103.103),
    ],
)
def test_an_order_of_the_opening_event_does_not_execute_at_the_open_it_has_seen(order, latency_seconds, price):
    result = run({(1, "open"): [order]}, latency_seconds=latency_seconds)
    assert prices_of(result) == pytest.approx([price], nan_ok=True)


def test_a_limit_at_the_open_which_stays_the_low_is_not_reached_by_it():
    rising = [GAP[0], (98, 103, 98, 102), GAP[2]]
    assert run({(1, "open"): [limit(10, 98)]}, rising).trades["status"].tolist() == ["expired"]
    assert prices_of(run({(0, "close"): [limit(10, 98)]}, rising)) == [98.0]


@pytest.mark.parametrize(
    ("limit_price", "price"), [(200, 98.098), (98.05, 98.05), (98, 98.0), (97, 97.0), (94, np.nan)]
)
def test_a_limit_beyond_the_market_pays_the_spread_as_far_as_it_allows(limit_price, price):
    """Sent the evening before; a market order of that evening pays 98.098."""
    result = run({(0, "close"): [limit(10, limit_price)]})
    assert prices_of(result) == pytest.approx([price], nan_ok=True)
    assert prices_of(run({(0, "close"): [EventOrder("A", 10)]})) == [98.098]


def test_a_limit_beyond_the_market_pays_the_impact_too():
    costs = CostRules(half_spread=0.001, root_impact=0.02)
    bought = {(0, "close"): [EventOrder("A", 100)]}
    sold = {(1, "close"): [limit(-100, 50)], **bought}
    market_order = {(1, "close"): [EventOrder("A", -100)], **bought}
    assert prices_of(run({(0, "close"): [limit(100, 200)]}, costs=costs, volume=10_000)) == [98.294]
    assert prices_of(run(sold, costs=costs, volume=10_000)) == prices_of(run(market_order, costs=costs, volume=10_000))
    assert prices_of(run(sold, costs=costs, volume=10_000)) == [98.294, 101.694]


def test_a_stop_that_arrives_late_gets_the_worst_price_of_the_bar():
    """Sent at the open of 102, arrives at 10:30; what came after it lies between 90 and 105."""
    rows = [(100, 100, 100, 100), (102, 105, 90, 104), (104, 104, 104, 104)]
    orders = {(0, "close"): [EventOrder("A", 10)], (1, "open"): [stop(-10, 103)]}
    assert prices_of(run(orders, rows, latency_seconds=3600))[1] == pytest.approx(89.91)
    below = {**orders, (1, "open"): [stop(-10, 95)]}
    assert prices_of(run(below, rows, latency_seconds=3600))[1] == pytest.approx(89.91)
    assert prices_of(run(below, rows))[1] == pytest.approx(94.905)


def test_an_order_that_the_open_executes_cannot_be_taken_back_after_it():
    orders = {(0, "close"): [limit(10, 99), limit(10, 97)], (1, "open"): [CancelOrders("A")]}
    result = run(orders)
    assert result.trades[["quantity", "price", "time"]].to_numpy().tolist() == [
        [10, 98.098, SESSIONS[1] + pd.Timedelta(hours=9, minutes=30)]
    ]


def test_a_gap_below_a_protective_stop_sells_before_the_open_is_shown():
    gap = [(100, 100, 100, 100), (100, 100, 100, 100), (80, 120, 80, 120)]
    orders = {(0, "close"): [EventOrder("A", 10)], (2, "open"): [EventOrder("A", -10)]}
    result = run(orders, gap, costs=CostRules(), protective=ProtectiveRules(stop_loss=0.1))
    assert prices_of(result)[1] == 80
    assert result.trades["reason"].tolist()[1] == "stop loss"
    assert result.trades["status"].tolist() == ["filled", "filled", "rejected"]


def test_the_first_minute_begins_with_the_open_that_was_seen():
    assert prices_of(run({(1, "open"): [EventOrder("A", 10)]}, minutes=MINUTES)) == [97.097]
    assert prices_of(run({(1, "open"): [limit(10, 200)]}, minutes=MINUTES)) == [99.099]
    assert prices_of(run({(1, "open"): [stop(10, 90)]}, minutes=MINUTES)) == [99.099]
    assert prices_of(run({(0, "close"): [limit(10, 200)]}, minutes=MINUTES)) == [98.098]


def test_a_first_minute_that_comes_late_is_still_the_open_that_was_seen():
    late = MINUTES.assign(time=MINUTES["time"] + pd.Timedelta(hours=1))
    assert prices_of(run({(1, "open"): [limit(10, 200)]}, minutes=late)) == [99.099]
    assert prices_of(run({(1, "open"): [EventOrder("A", 10)]}, minutes=late)) == [97.097]


def test_a_resting_limit_gets_its_price_where_a_later_minute_opens_beyond_it():
    falling = minutes_of((98, 99, 97, 98), (95, 96, 94, 95), (95, 95, 95, 95))
    assert prices_of(run({(0, "close"): [limit(10, 96)]}, minutes=falling)) == [96.0]
    # Sent as the first minute ends, it meets the open of the second as its first price.
    assert prices_of(run({(1, "minute", 1): [limit(10, 96)]}, minutes=falling)) == [95.095]


def test_what_arrives_within_a_minute_waits_for_the_next():
    """Perhaps no price of the first minute came after the arrival; a stop gets no better one than it had."""
    late = {"latency_seconds": 45, "minutes": minutes_of((98, 99, 95, 96), (97, 100, 96, 100), (101, 103, 101, 102))}
    assert prices_of(run({(1, "open"): [limit(10, 96)]}, **late)) == [96.0]
    assert prices_of(run({(1, "open"): [limit(10, 95)]}, **late)) == pytest.approx([np.nan], nan_ok=True)
    assert prices_of(run({(1, "open"): [stop(10, 97)]}, **late)) == [99.099]
    rising = {**late, "minutes": minutes_of((98, 98, 98, 98), (99, 100, 99, 100))}
    assert prices_of(run({(1, "open"): [stop(10, 97)]}, **rising)) == [99.099]
    # In the last minute it is the close.
    assert prices_of(run({(1, "minute", 1): [stop(10, 97)]}, **rising)) == [102.102]


@pytest.mark.parametrize(
    ("event", "latency_seconds", "bought", "sold"),
    [
        ((1, "open"), 0, 99.099, 96.903),
        ((1, "open"), 30, 99.099, 96.903),
        ((1, "minute", 2), 0, 98.098, 97.902),
        ((1, "minute", 2), 30, 99.099, 96.903),
    ],
)
def test_a_limit_far_beyond_the_market_pays_a_price_of_the_market(event, latency_seconds, bought, sold):
    """The worst price of the minute in which it arrives or the open of the next, and the spread."""
    late = {"minutes": AROUND_98, "latency_seconds": latency_seconds}
    buy = run({event: [limit(10, 200)]}, **late).trades.iloc[0]
    assert buy["price"] == bought
    assert buy["market_price"] == round(bought / 1.001, 4)
    assert prices_of(run({**BOUGHT, event: [limit(-10, 1)]}, **late))[1] == sold


def test_a_limit_beyond_the_market_takes_the_first_price_after_minutes_without_a_trade():
    quiet = AROUND_98.drop(index=[2, 3])
    assert prices_of(run({(1, "minute", 2): [limit(10, 200)]}, minutes=quiet)) == [98.098]


def test_a_limit_beyond_the_market_that_lacked_volume_takes_the_next_price():
    still = AROUND_98.assign(volume=[100, 100, 0, 100, 100, 100, 100])
    rules = MarketRules(max_participation=0.1)
    assert prices_of(run({(1, "minute", 2): [limit(10, 200)]}, minutes=still, rules=rules)) == [98.098]
    assert prices_of(run({(1, "minute", 2): [limit(30, 200)]}, minutes=AROUND_98, rules=rules)) == [98.098] * 3


def test_the_rest_of_a_limit_that_the_market_came_to_keeps_its_price():
    falling = minutes_of((98, 99, 97, 97), (95, 95, 95, 95), (94, 94, 94, 94), (93, 93, 93, 93), volume=100)
    rules = MarketRules(max_participation=0.1)
    assert prices_of(run({(0, "close"): [limit(30, 97)]}, minutes=falling, rules=rules)) == [97.0] * 3


def test_a_limit_far_beyond_the_market_is_not_rejected_at_the_price_limit():
    rules = MarketRules(price_limits=(PriceLimit(prefix="", limit=0.1),))
    order = {(1, "open"): [limit(10, 200)]}
    assert prices_of(run(order, minutes=AROUND_98, rules=rules, latency_seconds=30)) == [99.099]


def test_the_close_of_a_session_reaches_a_limit_and_a_stop_that_no_minute_did():
    """The minutes end at 98, the close is 102."""
    order = {(1, "minute", 2): [stop(10, 101)]}
    assert prices_of(run(order, minutes=AROUND_98)) == [102.102]
    assert prices_of(run({**BOUGHT, (1, "minute", 2): [limit(-10, 101)]}, minutes=AROUND_98)) == [98.098, 101.0]


@pytest.mark.parametrize("kind", [OrderKind.MARKET, OrderKind.ON_CLOSE])
def test_an_order_of_the_last_minute_is_too_late_for_the_close(kind):
    result = run({(1, "minute", 3): [EventOrder("A", 10, kind)]}, minutes=MINUTES)
    assert result.trades["message"].tolist() == ["it arrived after the last price that could execute it"]
    in_time = run({(1, "minute", 2): [EventOrder("A", 10, OrderKind.ON_CLOSE)]}, minutes=MINUTES)
    assert prices_of(in_time) == [102.102]


def test_an_order_that_arrives_after_the_open_has_no_part_in_the_average_price_of_the_session():
    """The session's average price is 100; who comes at 10:30 gets its close."""
    order = {(0, "close"): [EventOrder("A", 10)]}
    rules = MarketRules(deal_price="vwap")
    until_open, until_half_past_ten = 17.5 * 3600, 18.5 * 3600
    assert prices_of(run(order, rules=rules, latency_seconds=until_open)) == [100.1]
    assert prices_of(run(order, rules=rules, latency_seconds=until_half_past_ten)) == [102.102]


def test_an_on_open_order_of_a_running_session_waits_for_the_next_open():
    result = run({(1, "open"): [EventOrder("A", 10, OrderKind.ON_OPEN)]})
    assert result.trades[["date", "price"]].to_numpy().tolist() == [[SESSIONS[2], 102.102]]


def test_a_minute_outside_of_the_session_is_refused():
    early = MINUTES.assign(time=MINUTES["time"] - pd.Timedelta(minutes=1))
    with pytest.raises(StrategyError, match="ends at 2024-01-03 09:30:00, outside of the session"):
        run({}, minutes=early)
    assert run({}, minutes=early, open_time=datetime.time(9, 29)).trades.empty


def test_the_last_price_of_a_halted_name_goes_ex_before_the_session_begins():
    seen = []

    class Looks:
        def react(self, view):
            seen.append((view.kind.value, view.prices["A"]))
            return []

    bars = pd.DataFrame([(SESSIONS[0], "A", 50, 50, 50, 50, 1e6)], columns=BAR_COLUMNS)
    actions = pd.DataFrame(
        [(SESSIONS[1], "A", "split", 2.0), (SESSIONS[2], "A", "cash_dividend", 5.0)],
        columns=["date", "instrument", "kind", "value"],
    )
    market = TradingMarket.from_bars(bars, actions, SESSIONS, MarketRules())
    run_events(Looks(), market, bars, CostRules(), 1000)
    assert seen[3:] == [(kind, price) for price in (25.0, 20.0) for kind in ("open", "bar", "close")]
