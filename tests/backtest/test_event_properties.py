"""No order of the event engine gets a price that its sender knew, or a better one than the first price after it.

Prices step by one, so a level is never jumped over within a session.
"""

import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quant_pipeline.backtest.event_engine.orders import EventOrder, OrderKind
from quant_pipeline.exchange.rules import MarketRules
from tests.helpers.event_orders import SESSIONS, limit, minutes_of, run
from tests.helpers.properties import examples


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
        60 * minute + 10 * (index + 1) for minute in range(N_MINUTES) for index in range(PRINTS_OF_A_MINUTE)
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


@settings(max_examples=examples(150))
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


@settings(max_examples=examples(150))
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


@settings(max_examples=examples(100))
@given(data=st.data(), with_minutes=st.booleans(), latency_seconds=LATENCIES)
def test_market_orders_execute_at_a_price_made_after_their_arrival(data, with_minutes, latency_seconds):
    days = [data.draw(walks()) for _ in SESSIONS]
    sent = data.draw(sent_orders(with_minutes))
    assume(not sent.order.waits_for_price)
    got = execute(days, sent, latency_seconds, with_minutes)["price"]
    sign = 1 if sent.order.shares > 0 else -1
    later = prices_after(days[2], sent, latency_seconds)
    assert np.isnan(got) or round(got, 4) in {round(price * (1 + sign * 0.001), 4) for price in later}


@settings(max_examples=examples(100))
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


@settings(max_examples=examples(60))
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
