"""What became of a plan: counts, reasons and the exit status, on days with faults."""

import pandas as pd

from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.outcome import outcome_of
from quant_pipeline.trading.orders.plans import repeat_plan
from quant_pipeline.trading.orders.risk_view import TradingState
from tests.helpers.trading_day import Day


def reasons(outcome):
    return {order.tracked.order.instrument: (str(order.state), order.reason) for order in outcome.failed}


def test_orders_are_counted_with_the_reasons_of_those_that_were_not_executed(tmp_path):
    outcome = outcome_of(Day(tmp_path, Fault.REJECTS).live().desk)
    assert outcome.counts == {"planned": 5, "sent": 4, "denied": 1, "filled": 3, "rejected": 1}
    assert reasons(outcome) == {
        "BAD": ("rejected", "42210000 asset is not tradable"),
        "BIG": ("denied", "ORDER_VALUE: 66.67% (8000.00) against 30% (3600.00)"),
    }
    assert outcome.status is ExitStatus.INCOMPLETE


def test_a_denied_order_that_was_planned_again_counts_once(tmp_path):
    desk = Day(tmp_path).live().desk
    desk.journal.append([repeat_plan(desk.journal.ledger.events(), desk.session)])
    outcome = outcome_of(desk)
    assert outcome.counts == {"planned": 4, "sent": 4, "filled": 4}
    assert outcome.status is ExitStatus.DONE


def test_who_cancelled_an_order_is_said(tmp_path):
    day = Day(tmp_path)
    day.plan()
    day.desk.journal.append(open_and_cancel(day.order("AAA"), is_from_here=True))
    day.desk.journal.append(open_and_cancel(day.order("BBB"), is_from_here=False))
    said = reasons(outcome_of(day.desk))
    assert said["AAA"] == ("canceled", "cancelled from here")
    assert said["BBB"] == ("canceled", "cancelled at the broker, not from here")


def open_and_cancel(tracked, is_from_here):
    name, session = tracked.order.client_order_id, tracked.session
    facts = {"client_order_id": name}
    requested = Event(session, EventKind.ORDER_CANCEL_REQUESTED, f"cancel:{name}", facts)
    return [
        Event(session, EventKind.ORDER_SUBMITTING, f"submitting:{name}", facts | {"at": "2025-01-03T14:31:00+00:00"}),
        Event(session, EventKind.ORDER_ACCEPTED, f"accepted:{name}", facts | {"broker_order_id": f"b-{name}"}),
        *([requested] if is_from_here else []),
        Event(session, EventKind.ORDER_ENDED, f"ended:{name}", facts | {"status": "canceled", "message": "canceled"}),
    ]


def test_an_order_that_sending_stopped_before_names_the_hours_of_the_broker(tmp_path):
    day = Day(tmp_path)
    day.plan()
    words = "nothing is sent on 2025-01-03: the broker says that its market is closed"
    facts = {"code": "EXCHANGE_HOURS", "message": words}
    day.desk.journal.append([Event(day.desk.session, EventKind.ALERT_RAISED, "alert:hours", facts)])
    outcome = outcome_of(day.desk)
    assert reasons(outcome)["AAA"] == ("intended", words)
    assert outcome.counts == {"planned": 5, "sent": 0, "denied": 1, "not sent": 4}


def test_a_state_that_is_not_active_is_for_the_operator_whatever_became_of_the_orders(tmp_path):
    desk = Day(tmp_path).live().desk
    desk.journal.append([repeat_plan(desk.journal.ledger.events(), desk.session)])
    event = trading_state_event(desk.session, desk.journal.book.state_changes, TradingState.REDUCING, "PERSON", "drill")
    desk.journal.append([event])
    outcome = outcome_of(desk)
    assert outcome.status is ExitStatus.ATTENTION
    assert "the account is reducing since 2025-01-03: drill (PERSON)" in outcome.remarks[0]


def test_a_kill_switch_that_the_ledger_does_not_know_is_named_first(tmp_path):
    desk = Day(tmp_path).live().desk
    desk.kill_switch.file.touch()
    outcome = outcome_of(desk)
    assert outcome.remarks[0].startswith(f"nothing is sent: the kill switch file {desk.kill_switch.file} exists")
    assert outcome.status is ExitStatus.ATTENTION


def test_orders_that_wait_for_the_open_are_as_planned(tmp_path):
    day = Day(tmp_path)
    day.plan()
    day.desk.now = lambda: pd.Timestamp("2025-01-03 12:00", tz="UTC")
    outcome = outcome_of(day.desk)
    assert outcome.waits_for == "the open of 2025-01-03 14:30 UTC"


def test_a_session_without_a_plan_has_its_own_status(tmp_path):
    day = Day(tmp_path)
    outcome = outcome_of(day.desk)
    assert (outcome.has_plan, outcome.orders, outcome.status) == (False, (), ExitStatus.NO_PLAN)
    assert outcome.session == rehearsal.SESSION
