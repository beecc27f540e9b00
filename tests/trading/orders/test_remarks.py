"""What is said of an account before anything else."""

import pandas as pd

from quant_pipeline.trading.orders.desk import arming_event, disarming_event, trading_state_event
from quant_pipeline.trading.orders.remarks import account_remarks, denial_remark, denied_sides, state_remark
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
    assert account_remarks((armed,), SESSION) == (
        "the account is armed for 2025-01-03: real orders may leave; `kedro account disarm` takes it back",
    )
    assert account_remarks((armed,), SESSION + pd.Timedelta(days=3)) == ()
    assert account_remarks((armed, disarming_event(SESSION, 1)), SESSION) == ()


def test_the_sides_that_a_state_denies():
    reducing, halted = changed(0, TradingState.REDUCING, "BREAK"), changed(1, TradingState.HALTED, "PERSON")
    assert (denied_sides(()), denial_remark(())) == ((), "")
    assert denied_sides((reducing,)) == ("buy",)
    assert denied_sides((reducing, halted)) == ("buy", "sell")
    assert denial_remark((reducing,)) == "will be denied: the account is reducing until `kedro account resume`"
