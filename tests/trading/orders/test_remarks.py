"""The last lines of a run: what became of the orders, and what the account lets through."""

import pandas as pd

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.remarks import is_perfect, orders_remark, state_remark
from quant_pipeline.trading.orders.risk_view import TradingState
from tests.helpers.trading_day import Day

SESSION = pd.Timestamp("2025-01-03")


def changed(number, state, code):
    return trading_state_event(SESSION, number, state, code, "cash is 1 in the books and 2 at the broker")


def test_a_state_is_named_with_its_reason_and_what_lifts_it_until_it_is_lifted():
    assert state_remark(()) is None
    reducing, halted = changed(0, TradingState.REDUCING, "BREAK"), changed(1, TradingState.HALTED, "PERSON")
    assert state_remark((reducing,)) == (
        "the account is reducing since 2025-01-03: cash is 1 in the books and 2 at the broker (BREAK); buys are denied "
        "until `kedro account resume`"
    )
    assert "all orders are denied until" in state_remark((reducing, halted))
    assert state_remark((reducing, changed(1, TradingState.ACTIVE, "PERSON"))) is None


def test_orders_are_counted_with_the_reasons_of_those_that_were_not_executed(tmp_path):
    day = Day(tmp_path, Fault.REJECTS).live()
    book = day.desk.journal.book
    remark = orders_remark(book.of_session(rehearsal.SESSION), rehearsal.SESSION)
    assert remark.startswith("5 orders of 2025-01-03: 1 denied, 3 filled, 1 rejected. ")
    assert "buy BAD rejected: 42210000 asset is not tradable" in remark
    assert "buy BIG denied: ORDER_VALUE: 8000.00 against 3600.00" in remark
    assert not is_perfect(book, rehearsal.SESSION)


def test_a_session_without_a_plan_is_said_to_have_none():
    assert orders_remark((), SESSION) == "there was no order for 2025-01-03"
