"""No order of the event engine executes at a price that its sender knew, or better than the first price after it."""

import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.events import EventParameters, SessionPhase
from quant_pipeline.backtest.event_engine.orders import CancelOrders, EventOrder, OrderKind
from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.dated_rules import PriceLimit
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules

SESSIONS = pd.bdate_range("2024-01-02", periods=3)
BAR_COLUMNS = ["date", "instrument", "open", "high", "low", "close", "volume"]
SPREAD = CostRules(half_spread=0.001)
GAP = [(100, 101, 99, 100), (98, 103, 95, 102), (102, 103, 101, 102)]


class Sends:
    """Sends the orders written down for an event: its session, its kind, and of minutes the number."""

    def __init__(self, orders: dict) -> None:
        self.orders = orders
        self.minutes = 0

    def react(self, view):
        self.minutes = self.minutes + 1 if view.kind is SessionPhase.MINUTE else 0
        event = SESSIONS.get_loc(view.session), view.kind.value
        return self.orders.get((*event, self.minutes) if self.minutes else event, [])


def run(orders, rows=GAP, minutes=None, costs=SPREAD, rules=None, volume=1e6, actions=(), **parameters):
    bars = pd.DataFrame(
        [(day, "A", *row, volume) for day, row in zip(SESSIONS, rows, strict=False)], columns=BAR_COLUMNS
    )
    table = pd.DataFrame(list(actions), columns=["date", "instrument", "kind", "value"])
    market = TradingMarket.from_bars(bars.dropna(), table, SESSIONS, rules or MarketRules())
    times = EventParameters(**parameters)
    return run_events(Sends(orders), market, bars.dropna(), costs, 1_000_000, times, minutes=minutes)


def prices_of(result):
    return result.trades["price"].tolist()


def limit(shares, price, **fields):
    return EventOrder("A", shares, OrderKind.LIMIT, price, **fields)


def stop(shares, price, **fields):
    return EventOrder("A", shares, OrderKind.STOP, price, **fields)


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


def minutes_of(*rows, session=1, volume=1000):
    table = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    ends = [SESSIONS[session] + pd.Timedelta(hours=9, minutes=31 + number) for number in range(len(rows))]
    return table.assign(time=ends, instrument="A", volume=volume)


MINUTES = minutes_of((98, 99, 95, 96), (97, 100, 96, 100), (101, 103, 101, 102))


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


AROUND_98 = minutes_of(*[(98, 99, 97, 98)] * 7, volume=100)
BOUGHT = {(0, "close"): [EventOrder("A", 100)]}


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


TEN_PERCENT = MarketRules(price_limits=(PriceLimit(prefix="", limit=0.1),))


def outcomes_of(result):
    return result.trades[["date", "status", "price"]].fillna(0.0).to_numpy().tolist()


def test_a_stop_at_the_lower_price_limit_stays_and_sells_when_the_price_leaves_it():
    """From 100 at least 90.00. Locked there for a session, the stop sells at the first open above the limit."""
    order = {
        (0, "open"): [EventOrder("A", 10, OrderKind.ON_CLOSE)],
        (0, "close"): [stop(-10, 95, until_cancelled=True)],
    }
    locked = [(100, 100, 100, 100), (90, 90, 90, 90), (89, 92, 88, 91)]
    assert outcomes_of(run(order, locked, rules=TEN_PERCENT)) == [
        [SESSIONS[0], "filled", 100.1],
        [SESSIONS[1], "rejected", 0.0],
        [SESSIONS[2], "filled", 88.911],
    ]
    opened = [(100, 100, 100, 100), (90, 99, 90, 98), (98, 98, 98, 98)]
    assert outcomes_of(run(order, opened, rules=TEN_PERCENT)) == [
        [SESSIONS[0], "filled", 100.1],
        [SESSIONS[1], "rejected", 0.0],
        [SESSIONS[1], "filled", 90.0],
    ]


def test_a_protective_stop_at_the_lower_price_limit_sells_when_the_price_leaves_it():
    order = {(0, "open"): [EventOrder("A", 10, OrderKind.ON_CLOSE)]}
    rows = [(100, 100, 100, 100), (90, 99, 90, 98), (98, 98, 98, 98)]
    result = run(order, rows, rules=TEN_PERCENT, protective=ProtectiveRules(stop_loss=0.05))
    assert outcomes_of(result)[1:] == [[SESSIONS[1], "rejected", 0.0], [SESSIONS[1], "filled", 90.0]]


def test_a_stop_at_the_lower_price_limit_sells_in_the_first_minute_that_opens_above_it():
    order = {
        (0, "open"): [EventOrder("A", 10, OrderKind.ON_CLOSE)],
        (0, "close"): [stop(-10, 95, until_cancelled=True)],
    }
    rows = [(100, 100, 100, 100), (90, 93, 90, 93), (93, 93, 93, 93)]
    rising = minutes_of((90, 90, 90, 90), (90, 90, 90, 90), (92, 93, 92, 93))
    result = run(order, rows, rising, rules=TEN_PERCENT)
    assert outcomes_of(result)[1:] == [[SESSIONS[1], "rejected", 0.0], [SESSIONS[1], "filled", 91.908]]


def test_a_limit_to_buy_at_the_upper_price_limit_executes_when_the_price_falls_from_it():
    falls = [(100, 100, 100, 100), (110, 110, 104, 105), (105, 105, 105, 105)]
    stays = [falls[0], (110, 110, 110, 110), (110, 111, 105, 105)]
    order = {(0, "close"): [limit(10, 110)]}
    assert outcomes_of(run(order, falls, rules=TEN_PERCENT)) == [
        [SESSIONS[1], "rejected", 0.0],
        [SESSIONS[1], "filled", 110.0],
    ]
    assert outcomes_of(run(order, stays, rules=TEN_PERCENT)) == [[SESSIONS[1], "rejected", 0.0]]
    kept = {(0, "close"): [limit(10, 110, until_cancelled=True)]}
    assert outcomes_of(run(kept, stays, rules=TEN_PERCENT)) == [
        [SESSIONS[1], "rejected", 0.0],
        [SESSIONS[2], "filled", 110.0],
    ]


def test_a_stop_of_locked_shares_sells_what_is_free_and_the_rest_in_the_next_session():
    rules = MarketRules(sell_same_session=False)
    order = {
        (0, "open"): [EventOrder("A", 60, OrderKind.ON_CLOSE)],
        (0, "close"): [EventOrder("A", 40), stop(-100, 96, until_cancelled=True)],
    }
    rows = [(100, 100, 100, 100), (98, 98, 95, 95), (94, 94, 94, 94)]
    result = run(order, rows, costs=CostRules(), rules=rules)
    assert result.trades[["date", "status", "quantity", "price"]].fillna(0.0).to_numpy().tolist()[2:] == [
        [SESSIONS[1], "partially_filled", 60, 96.0],
        [SESSIONS[1], "rejected", 0, 0.0],
        [SESSIONS[2], "filled", 40, 94.0],
    ]


def test_the_rest_of_a_stop_that_met_little_volume_takes_the_next_prices():
    """A stop at 97, reached in the first minute, is a market order from then on, also above 97."""
    table = minutes_of((98, 99, 95, 96), (99, 100, 99, 100), (101, 103, 101, 102), volume=50)
    orders = {(0, "close"): [EventOrder("A", 12)], (1, "open"): [stop(-12, 97)]}
    result = run(orders, minutes=table, rules=MarketRules(max_participation=0.1))
    assert result.trades[["quantity", "price"]].to_numpy().tolist() == [
        [12, 98.098],
        [5, 96.903],
        [5, 98.901],
        [2, 100.899],
    ]


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


def test_auction_and_minutes_share_the_volume_of_the_session():
    """A tenth of 1,000 shares: once, not once in the auction and once more in the minutes."""
    orders = {
        (0, "close"): [EventOrder("A", 80), limit(300, 98)],
        (1, "open"): [EventOrder("A", 50, OrderKind.ON_CLOSE)],
    }
    result = run(orders, minutes=MINUTES, rules=MarketRules(max_participation=0.1), volume=1000)
    assert result.trades["quantity"].tolist() == [80, 20, 0, 0]
    assert set(result.trades["message"].iloc[2:]) == {"the allowed part of the session's volume is below one lot"}


def test_a_minute_outside_of_the_session_is_refused():
    early = MINUTES.assign(time=MINUTES["time"] - pd.Timedelta(minutes=1))
    with pytest.raises(StrategyError, match="ends at 2024-01-03 09:30:00, outside of the session"):
        run({}, minutes=early)
    assert run({}, minutes=early, open_time=datetime.time(9, 29)).trades.empty


def test_a_stop_of_locked_shares_is_rejected_once_a_session_and_sells_in_the_next():
    falling = minutes_of(*[(98, 98, 80, 80)] * 5)
    rules = MarketRules(sell_same_session=False)
    rows = [GAP[0], (98, 98, 80, 80), (79, 80, 78, 79)]
    protective = ProtectiveRules(stop_loss=0.1)
    result = run({(0, "close"): [EventOrder("A", 10)]}, rows, falling, CostRules(), rules, protective=protective)
    assert result.trades[["date", "status"]].to_numpy().tolist() == [
        [SESSIONS[1], "filled"],
        [SESSIONS[1], "rejected"],
        [SESSIONS[2], "filled"],
    ]


def test_costs_move_no_execution_beyond_the_price_limit_of_the_session():
    """From 100 at most 110.00: an order at 109.95 with a spread of 0.22 executes at 110.00."""
    rows = [(100, 100, 100, 100), (109.95, 110, 109, 110), (110, 110, 110, 110)]
    rules = MarketRules(price_limits=(PriceLimit(prefix="", limit=0.1),))
    costs = CostRules(half_spread=0.002)
    assert prices_of(run({(0, "close"): [EventOrder("A", 10)]}, rows, costs=costs, rules=rules)) == [110.0]


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


# --- Properties: prices step by one, so a level is never jumped over within a session. ---


class Print(NamedTuple):
    """A price, and seconds after the open at which it was made."""

    second: int
    price: int


N_MINUTES = 5
CLOSE = 60 * N_MINUTES
PRINTS_OF_A_MINUTE = 4


def opening_of(session):
    return session + pd.Timedelta(hours=9, minutes=30)


@st.composite
def walks(draw, step=1):
    """Prices of a session that opens anywhere and then moves by at most `step`: the open, the minutes, the close."""
    n = N_MINUTES * PRINTS_OF_A_MINUTE
    steps = draw(st.lists(st.integers(-step, step), min_size=n, max_size=n))
    prices = np.cumsum([draw(st.integers(95, 105)), *steps])
    seconds = [0] + [
        60 * minute + 10 * (place + 1) for minute in range(N_MINUTES) for place in range(PRINTS_OF_A_MINUTE)
    ]
    return [Print(*pair) for pair in zip([*seconds[:-1], CLOSE], prices.tolist(), strict=True)]


def bar_of(prints):
    prices = [made.price for made in prints]
    return prices[0], max(prices), min(prices), prices[-1]


def minutes_of_walk(walk, session):
    """Bars of the minutes; the close is made after the last of them."""
    rows = [[made for made in walk if 60 * m <= made.second < 60 * (m + 1)] for m in range(N_MINUTES)]
    return minutes_of(*[bar_of(prints) for prints in rows], session=session)


class Sent(NamedTuple):
    """An order and the event at which it is sent."""

    order: EventOrder
    event: tuple
    second: int


@st.composite
def sent_orders(draw, with_minutes):
    """One order of any kind for the last session, sent after the close before or at an event of the session."""
    kinds = [OrderKind.MARKET, OrderKind.LIMIT, OrderKind.LIMIT, OrderKind.STOP, OrderKind.STOP, OrderKind.ON_CLOSE]
    kind = draw(st.sampled_from(kinds))
    waits = kind in (OrderKind.LIMIT, OrderKind.STOP)
    shares = draw(st.sampled_from([-10, 10]))
    order = EventOrder("A", shares, kind, float(draw(st.integers(90, 110))) if waits else None)
    minute = draw(st.sampled_from([-1, 0, 0, *range(1, N_MINUTES + 1)] if with_minutes else [-1, 0, 0]))
    event = (1, "close") if minute < 0 else (2, "open") if minute == 0 else (2, "minute", minute)
    return Sent(order, event, -1 if minute < 0 else 60 * minute)


def execute(walks_of_sessions, sent, latency_seconds, with_minutes):
    """Run the order on a holding of 1,000 shares and return its row of the trades."""
    rows = [bar_of(walk) for walk in walks_of_sessions]
    minutes = minutes_of_walk(walks_of_sessions[2], session=2) if with_minutes else None
    orders = {(0, "close"): [EventOrder("A", 1000)]}
    orders[sent.event] = [sent.order]
    # For an order of the evening, latency counts from the open on.
    overnight = 0 if sent.second >= 0 else 24 * 3600 - CLOSE
    hours = {"close_time": datetime.time(9, 30 + N_MINUTES), "latency_seconds": overnight + latency_seconds}
    trades = run(orders, rows, minutes, **hours).trades
    return trades[trades["requested"] == 10].iloc[0]


def prices_after(walk, sent, latency_seconds):
    """List the prices made after an order was sent and when it has arrived."""
    arrives = max(sent.second, 0) + latency_seconds
    return [made.price for made in walk if made.second > sent.second and made.second >= arrives]


def fair_execution(walk, sent, latency_seconds):
    """Execute an order by every single price: what it really gets, NaN for nothing, before the spread is rounded."""
    order = sent.order
    later = prices_after(walk, sent, latency_seconds)
    sign = 1 if order.shares > 0 else -1
    is_limit = order.kind is OrderKind.LIMIT
    reached = [p for p in later if (p - order.price) * sign * (1 if is_limit else -1) <= 0]
    if not reached:
        return np.nan
    comes_to_it = reached[0] != later[0]
    # At the open of a session everything executes at its price, resting or not.
    price = order.price if comes_to_it else reached[0]
    with_spread = price * (1 + sign * 0.001)
    return sign * min(sign * with_spread, sign * order.price) if is_limit else with_spread


def is_beyond(order, price):
    """Whether a price has reached a stop."""
    sign = 1 if order.shares > 0 else -1
    return order.kind is OrderKind.STOP and (price - order.price) * sign >= 0


LATENCIES = st.sampled_from([0, 0, 0, 0, 1, 15, 45, 60, 100, 200])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), with_minutes=st.booleans(), latency_seconds=LATENCIES)
def test_no_limit_or_stop_gets_more_than_the_prices_after_its_arrival_allow(data, with_minutes, latency_seconds):
    days = [data.draw(walks()) for _ in SESSIONS]
    sent = data.draw(sent_orders(with_minutes))
    assume(sent.order.waits_for_price)
    got = execute(days, sent, latency_seconds, with_minutes)["price"]
    fair = fair_execution(days[2], sent, latency_seconds)
    sign = 1 if sent.order.shares > 0 else -1
    if sent.order.kind is OrderKind.LIMIT:
        # It never executes where it really would not have, nor beyond its limit.
        assert np.isnan(got) or sign * got >= sign * fair - 1e-9
        assert np.isnan(got) or sign * got <= sign * sent.order.price
    else:
        # It always executes where it really would have; in doubt it does, at a price that is no better.
        assert np.isnan(fair) or sign * got >= sign * fair - 1e-9


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    with_minutes=st.booleans(),
    latency_seconds=LATENCIES,
    step=st.sampled_from([1, 4]),
    level=st.sampled_from([1, 95, 97, 99, 100, 101, 103, 105, 200]),
    shares=st.sampled_from([-10, 10]),
)
def test_a_limit_pays_between_the_fair_price_and_the_worst_price_around_its_arrival(
    data, with_minutes, latency_seconds, step, level, shares
):
    """Also where its limit is far beyond the market, and where prices jump past it: the spread included."""
    days = [data.draw(walks(step)) for _ in SESSIONS]
    sent = data.draw(sent_orders(with_minutes))._replace(order=limit(shares, float(level)))
    got = execute(days, sent, latency_seconds, with_minutes)["price"]
    assume(not np.isnan(got))
    sign = 1 if shares > 0 else -1
    assert sign * got >= sign * fair_execution(days[2], sent, latency_seconds) - 1e-9
    arrived_in = (max(sent.second, 0) + latency_seconds) // 60 * 60 if with_minutes else 0
    around = [made.price * (1 + sign * 0.001) for made in days[2] if made.second >= arrived_in]
    assert sign * got <= max(sign * price for price in around) + 1e-4


@settings(max_examples=100, deadline=None)
@given(data=st.data(), with_minutes=st.booleans(), latency_seconds=LATENCIES)
def test_market_orders_execute_at_a_price_made_after_their_arrival(data, with_minutes, latency_seconds):
    days = [data.draw(walks()) for _ in SESSIONS]
    sent = data.draw(sent_orders(with_minutes))
    assume(not sent.order.waits_for_price)
    got = execute(days, sent, latency_seconds, with_minutes)["price"]
    sign = 1 if sent.order.shares > 0 else -1
    later = prices_after(days[2], sent, latency_seconds)
    assert np.isnan(got) or round(got, 4) in {round(price * (1 + sign * 0.001), 4) for price in later}


@settings(max_examples=100, deadline=None)
@given(data=st.data(), with_minutes=st.booleans(), latency_seconds=LATENCIES, noise=st.integers(0, 2**32 - 1))
def test_no_execution_depends_on_prices_that_the_sender_had(data, with_minutes, latency_seconds, noise):
    days = [data.draw(walks()) for _ in SESSIONS]
    sent = data.draw(sent_orders(with_minutes))
    rng = np.random.default_rng(noise)
    # As the one price of its bar that tops the others, the open would change what the bar says of these.
    opened = days[2][0].price
    days[2][1:3] = days[2][1]._replace(price=opened - 1), days[2][2]._replace(price=opened + 1)
    first_minute = [m.price for m in days[2][1:] if m.second < (60 if with_minutes else CLOSE + 1)]
    low, high = min(first_minute), max(first_minute)

    def poisoned(day, walk):
        if day == 2 and sent.second < 0:
            return walk
        changed = [
            made._replace(price=int(rng.integers(50, 200))) if day < 2 or made.second < sent.second else made
            for made in walk
        ]
        if day == 2:
            # What the open says of a stop, that it is beyond the market or not, its sender knew and may count.
            alike = [p for p in range(low + 1, high) if is_beyond(sent.order, p) == is_beyond(sent.order, opened)]
            changed[0] = changed[0]._replace(price=int(rng.choice(alike)))
        return changed

    other = [poisoned(day, walk) for day, walk in enumerate(days)]
    columns = ["date", "quantity", "price", "status", "message"]
    before = execute(days, sent, latency_seconds, with_minutes)[columns]
    after = execute(other, sent, latency_seconds, with_minutes)[columns]
    pd.testing.assert_series_equal(before, after, check_names=False)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), with_minutes=st.booleans())
def test_all_orders_of_a_session_together_take_no_more_than_their_part_of_its_volume(data, with_minutes):
    days = [data.draw(walks()) for _ in SESSIONS]
    several = data.draw(st.lists(sent_orders(with_minutes), min_size=2, max_size=6))
    orders: dict = {}
    for sent in several:
        bought = EventOrder("A", 30 * abs(sent.order.shares), sent.order.kind, sent.order.price)
        orders.setdefault(sent.event, []).append(bought)
    minutes = minutes_of_walk(days[2], session=2).assign(volume=200) if with_minutes else None
    rules = MarketRules(max_participation=0.1)
    close_time = datetime.time(9, 30 + N_MINUTES)
    result = run(orders, [bar_of(walk) for walk in days], minutes, rules=rules, volume=2000, close_time=close_time)
    assert result.trades.groupby("date")["quantity"].sum().max() <= 200
