"""Fault scenarios 01 to 8: requests that are lost, repeated and refused, and processes that are killed."""

from dataclasses import replace

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.chaos.suite import rehearse
from quant_pipeline.trading.orders.execution import judge
from quant_pipeline.trading.orders.plans import record_plan
from tests.helpers.trading_day import EVERY_ORDER, GOOD_DAY


@pytest.mark.parametrize("first", [31, 94])
def test_01_and_02_the_process_is_really_killed_at_a_step_twice_in_a_row(first):
    killed, violations = rehearse(frozenset({Fault.PARTIAL_FILLS}), (first, first // 2 + 3), 7)
    assert (killed, violations) == (2, [])


def test_03_a_request_is_lost_before_the_broker_saw_it(day):
    lived = day(Fault.LOST_REQUEST).live()
    assert lived.states() == GOOD_DAY
    assert len(lived.broker.received) > len(EVERY_ORDER)
    assert lived.at_broker() == EVERY_ORDER


def test_04_the_answer_is_lost_after_the_order_was_taken(day):
    lived = day(Fault.LOST_ANSWER).live()
    assert lived.states() == GOOD_DAY
    assert len(lived.broker.received) == len(EVERY_ORDER)


def test_05_an_accepted_order_cannot_be_looked_up_for_a_while(day):
    lived = day(Fault.SLOW_READS).live()
    assert lived.states() == GOOD_DAY
    sent = [request.client_order_id for request in lived.broker.received]
    assert len(sent) > len(set(sent)) == len(EVERY_ORDER)
    assert lived.at_broker() == EVERY_ORDER


def test_06_the_same_plan_is_run_twice(day):
    lived = day().live()
    events, sent = lived.desk.journal.ledger.events(), len(lived.broker.received)
    lived.open()
    lived.live()
    assert lived.desk.journal.ledger.events() == events
    assert len(lived.broker.received) == sent


def test_07_the_plan_changes_after_it_was_recorded(day):
    lived = day()
    lived.plan()
    lived.execute()
    orders = pd.DataFrame(
        [("AAA", "buy", 29, 50.0, "changed")], columns=["instrument", "side", "quantity", "reference_price", "reason"]
    )
    lived.desk.journal.append(
        record_plan(
            lived.desk.journal.ledger.events(), orders, rehearsal.DECIDED, rehearsal.SESSION, replaces_sent=True
        )
    )
    (verdict,) = judge(lived.desk, rehearsal.market_views(), 0)
    assert (verdict.code, verdict.order.client_order_id) == ("DUPLICATE_ORDER", "chaos-20250103-AAA-buy-1")
    recorded = lived.desk.journal.ledger.find(["order:chaos-20250103-AAA-buy-0"])
    event = recorded["order:chaos-20250103-AAA-buy-0"]
    changed = {**event.payload, "order": {**event.payload["order"], "quantity": 31}}
    with pytest.raises(AccountError, match="another content"):
        lived.desk.journal.append([replace(event, payload=changed)])


def test_08_a_definitive_refusal_is_not_repeated_and_stops_nothing_else(day):
    lived = day(Fault.REJECTS).live()
    assert lived.states() == {**GOOD_DAY, "BAD": "rejected"}
    assert lived.order("BAD").message == "42210000 asset is not tradable"
    assert [r.instrument for r in lived.broker.received].count("BAD") == 1
