"""Orders of the event engine that a price limit, a lock or too little volume holds up."""

from quant_pipeline.backtest.event_engine.orders import EventOrder, OrderKind
from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.exchange.dated_rules import PriceLimit
from quant_pipeline.exchange.rules import CostRules, MarketRules
from tests.helpers.event_orders import (
    GAP,
    MINUTES,
    SESSIONS,
    TEN_PERCENT,
    limit,
    minutes_of,
    outcomes_of,
    prices_of,
    run,
    stop,
)


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


def test_auction_and_minutes_share_the_volume_of_the_session():
    """A tenth of 1,000 shares: once, not once in the auction and once more in the minutes."""
    orders = {
        (0, "close"): [EventOrder("A", 80), limit(300, 98)],
        (1, "open"): [EventOrder("A", 50, OrderKind.ON_CLOSE)],
    }
    result = run(orders, minutes=MINUTES, rules=MarketRules(max_participation=0.1), volume=1000)
    assert result.trades["quantity"].tolist() == [80, 20, 0, 0]
    assert set(result.trades["message"].iloc[2:]) == {"the allowed part of the session's volume is below one lot"}


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
