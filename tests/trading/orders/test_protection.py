"""Stops of a session that goes on: the levels of the event engine, and the way of every order."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.trading.ledger.lots import Lot, Position
from quant_pipeline.trading.orders.desk import TradingState, trading_state_event
from quant_pipeline.trading.orders.protection import protect, touched_stops
from quant_pipeline.trading.orders.states import OrderState
from tests.helpers.trading_day_at_alpaca import DayAtAlpaca

DAY = pd.Timestamp("2025-01-02")
STOP = {"KEEP": "stopped: stop loss at 45.00, its cost is 50.00"}


def bars(**prices):
    return pd.DataFrame([(name, *row) for name, row in prices.items()],
                        columns=["instrument", "open", "high", "low", "close"])  # fmt: skip


def held(**costs):
    return {name: Position([Lot(DAY, Decimal(10), Decimal(cost))]) for name, cost in costs.items()}


@pytest.mark.parametrize(
    ("rules", "row", "reason"),
    [
        ({"stop_loss": 0.1}, (100, 101, 90, 95), "stopped: stop loss at 90.00, its cost is 100.00"),
        ({"stop_loss": 0.1}, (100, 101, 90.01, 95), None),
        ({"stop_loss": 0.1}, (85, 95, 84, 95), "stopped: stop loss at 85.00, its cost is 100.00"),
        ({"trailing_stop": 0.1}, (115, 119, 108, 110), "stopped: trailing stop at 108.00, its cost is 100.00"),
        # The high of the session itself may have come after its low.
        ({"trailing_stop": 0.1}, (115, 130, 109, 110), None),
        ({"take_profit": 0.2}, (115, 120, 114, 116), "stopped: take profit at 120.00, its cost is 100.00"),
        ({}, (1, 1, 1, 1), None),
    ],
)
def test_levels_are_those_of_the_event_engine(rules, row, reason):
    found = touched_stops(ProtectiveRules(**rules), held(A="1000"), {"A": 120.0}, bars(A=row))
    assert found == ({} if reason is None else {"A": reason})


def test_what_was_bought_today_or_is_not_held_has_no_stop():
    rules = ProtectiveRules(stop_loss=0.1)
    found = touched_stops(rules, held(A="1000", B="1000"), {"B": 120.0}, bars(A=(1, 1, 1, 1), C=(1, 1, 1, 1)))
    assert found == {}


@pytest.fixture
def executed(tmp_path):
    day = DayAtAlpaca(tmp_path, 0.01)
    with day.desk() as desk, day.dealing():
        day.plan(desk)
        day.execute(desk)
        yield day, desk


def market(price):
    views = rehearsal.market_views()
    return {**views, "KEEP": views["KEEP"]._replace(price=Decimal(price))}


def test_a_touched_stop_sells_the_holding_whole_and_once(executed):
    day, desk = executed
    day.exchange.prices["KEEP"] = Decimal(45)
    assert protect(desk, market(45), STOP) == ("KEEP",)
    (order,) = [o for o in desk.journal.book.orders.values() if o.order.reason.startswith("stopped")]
    assert (order.order.side, order.order.quantity, order.state) == ("sell", 40, OrderState.FILLED)
    assert "KEEP" not in desk.journal.account.positions
    assert protect(desk, market(45), STOP) == ()


def test_a_halted_account_sells_nothing_and_a_reducing_one_does(executed):
    day, desk = executed
    day.exchange.prices["KEEP"] = Decimal(45)
    for number, state in enumerate((TradingState.HALTED, TradingState.REDUCING)):
        book = desk.journal.book
        desk.journal.append([trading_state_event(desk.session, book.state_changes, state, "TEST", f"{number}")])
        assert protect(desk, market(45), STOP) == (() if state is TradingState.HALTED else ("KEEP",))


def test_while_orders_of_the_session_are_under_way_nothing_is_planned_over_them(tmp_path):
    day = DayAtAlpaca(tmp_path, 0.01)
    with day.desk() as desk:
        day.plan(desk)
        assert protect(desk, market(50), STOP) == ()
        assert len(desk.journal.account.plans[desk.session].orders) > 1
