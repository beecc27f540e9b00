"""What is said of an account before anything else."""

import pandas as pd
import pytest

from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.desk import arming_event, disarming_event, trading_state_event
from quant_pipeline.trading.orders.remarks import AccountRemarks, account_remarks, state_remark
from quant_pipeline.trading.orders.risk_view import TradingState

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


def test_an_armed_session_is_named_until_it_is_taken_back():
    armed = arming_event(SESSION, "PA1")
    assert account_remarks((armed,), SESSION).lines == (
        "the account is armed for 2025-01-03: real orders may be sent; `kedro account disarm` takes it back",
    )
    assert account_remarks((armed,), SESSION + pd.Timedelta(days=3)).lines == ()
    assert account_remarks((armed, disarming_event(SESSION, 1)), SESSION).lines == ()
    closed = Event(SESSION, EventKind.SESSION_CLOSED, "close", {"net_asset_value": "1", "cash": "1"})
    assert account_remarks((armed, closed), SESSION).lines == ()


def test_the_sides_that_a_state_denies():
    reducing, halted = changed(0, TradingState.REDUCING, "BREAK"), changed(1, TradingState.HALTED, "PERSON")
    assert account_remarks((), SESSION) == AccountRemarks()
    assert account_remarks((reducing,), SESSION).denied == ("buy",)
    assert account_remarks((reducing, halted), SESSION).denied == ("buy", "sell")
    told = account_remarks((reducing,), SESSION).denial
    assert told == "will be denied: the account is reducing until `kedro account resume`"


@pytest.mark.parametrize("filled_by", ["broker", "simulation"])
def test_a_halt_denies_the_orders_of_simulated_accounts_as_of_those_at_a_broker(filled_by):
    remarks = account_remarks((changed(0, TradingState.HALTED, "PERSON"),), SESSION, filled_by)
    assert "all orders are denied until `kedro account resume`" in remarks.lines[0]
    assert remarks.denied == ("buy", "sell")


@pytest.mark.parametrize(
    ("state", "words", "sides"),
    [
        (TradingState.HALTED, "executed by hand: leave them all alone until `kedro account resume`", ("buy", "sell")),
        (TradingState.REDUCING, "executed by hand: leave buys alone until `kedro account resume`", ("buy",)),
    ],
)
def test_who_executes_orders_by_hand_reads_which_to_leave_alone(state, words, sides):
    remarks = account_remarks((changed(0, state, "PERSON"),), SESSION, "statements")
    assert words in remarks.lines[0]
    assert remarks.denied == sides
    assert remarks.denial == f"leave it alone: the account is {state} until `kedro account resume`"


def test_rows_in_quarantine_are_counted_until_they_are_answered():
    stored = Event(SESSION, EventKind.ACTIVITY_QUARANTINED, "quarantine:1", {})
    answer = Event(SESSION, EventKind.QUARANTINE_RESOLVED, "answer:1", {"row": "quarantine:1"})
    assert account_remarks((stored,), SESSION).lines == (
        "1 activities wait in quarantine; `kedro account quarantine list` names them",
    )
    assert account_remarks((stored, answer), SESSION).lines == ()
