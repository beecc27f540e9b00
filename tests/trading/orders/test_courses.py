"""What is said of an order: no reason says that something was bought where nothing was."""

import pandas as pd

from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.courses import PLANNED, OrderCourses, explained
from tests.helpers.trading_day import Day

DAY = pd.Timestamp("2025-01-03")
WANTED = Order("t-20250103-AAA-buy-0", "AAA", "buy", 10, "50", "bought: rank 1 of 2")
FACTS = {"client_order_id": WANTED.client_order_id, "instrument": "AAA", "side": "buy", "requested": "10"}
CLOSED = Event(DAY, EventKind.SESSION_CLOSED, "close", {})


def course_of(*events):
    return OrderCourses.of(AccountOrders.of(()), events).course(WANTED, DAY)


def test_a_plan_whose_session_is_to_come_has_the_reason_of_its_decision():
    assert course_of() == (PLANNED, 0.0, None, "", "bought: rank 1 of 2")


def test_what_a_simulation_could_not_execute_was_not_bought():
    ended = {**FACTS, "status": "not executed", "message": "it is halted"}
    course = course_of(Event(DAY, EventKind.ORDER_ENDED, "ended", ended), CLOSED)
    assert course[:4] == ("not executed", 0.0, None, "it is halted")
    assert course.reason == "not executed: it is halted; it was to be bought: rank 1 of 2"
    assert explained(course.reason, course.message) == course.reason


def test_a_plan_whose_session_is_over_without_a_word_was_not_bought():
    course = course_of(CLOSED)
    assert course.state == PLANNED
    assert course.reason == f"not executed: {course.message}; it was to be bought: rank 1 of 2"


def test_a_broker_account_says_which_orders_were_not_sent_and_which_not_executed(tmp_path):
    day = Day(tmp_path, Fault.REJECTS).live()
    courses = OrderCourses.of(day.desk.journal.book, day.desk.journal.ledger.events())
    denied, rejected, filled = (
        (courses.course(order, DAY), order.reason)
        for order in (day.order(name).order for name in ("BIG", "BAD", "AAA"))
    )
    assert denied[0].reason == (
        f"not sent: ORDER_VALUE: 66.67% (8000.00) against 30% (3600.00); it was to be {denied[1]}"
    )
    assert rejected[0].reason == f"not executed: 42210000 asset is not tradable; it was to be {rejected[1]}"
    assert filled[0].reason == filled[1]


def test_a_message_that_the_reason_does_not_hold_is_added():
    assert explained("bought: rank 1 of 2", "expired") == "bought: rank 1 of 2; expired"
    assert explained("bought: rank 1 of 2", "") == "bought: rank 1 of 2"
