"""Plans: named, repeated only when nothing of them passed, replaced openly."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError, ConfigurationError
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.orders.desk import arming_event
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.orders.plans import record_plan, repeat_plan

BUYS = [("AAA", "buy", 30, 50.0, "best"), ("BBB", "buy", 20, 20.0, "second")]


@pytest.fixture
def desk(tmp_path):
    broker = rehearsal.new_broker(frozenset(), 7)
    clockwork = rehearsal.Clockwork(lambda: broker.now, broker.advance)
    desk = rehearsal.open_desk(tmp_path / "ledger.sqlite", broker, clockwork, holds_lease=False)
    recover(desk)
    desk.journal.append([arming_event(rehearsal.SESSION, rehearsal.ACCOUNT_NUMBER)])
    return desk


def plan(desk, rows=BUYS, scores_sha256="ab"):
    table = pd.DataFrame(rows, columns=["instrument", "side", "quantity", "reference_price", "reason"])
    source = {"scores": "all_icir", "scores_sha256": scores_sha256}
    desk.journal.append(record_plan(desk.journal.ledger.events(), table, rehearsal.DECIDED, rehearsal.SESSION, source))


def judged(desk, limits=None):
    desk.limits = limits or desk.limits
    verdicts = judge(desk, rehearsal.market_views(), 0)
    desk.journal.append(verdict_events(verdicts, "2025-01-03", {}))
    return [None if verdict.code is None else str(verdict.code) for verdict in verdicts]


def test_a_plan_that_was_denied_is_judged_again_under_new_names(desk):
    plan(desk)
    assert judged(desk, rehearsal.LIMITS.model_copy(update={"restricted": ["AAA", "BBB"]})) == ["RESTRICTED"] * 2
    desk.journal.append([repeat_plan(desk.journal.ledger.events(), rehearsal.SESSION)])
    assert desk.journal.ledger.events()[-1].payload["provenance"] == {"scores": "all_icir", "scores_sha256": "ab"}
    assert judged(desk, rehearsal.LIMITS) == [None, None]
    execute(desk, rehearsal.market_views(), 0)
    assert {name: str(order.state) for name, order in desk.journal.book.orders.items()} == {
        "chaos-20250103-AAA-buy-0": "denied",
        "chaos-20250103-BBB-buy-0": "denied",
        "chaos-20250103-AAA-buy-1": "filled",
        "chaos-20250103-BBB-buy-1": "filled",
    }
    assert desk.journal.account.positions["AAA"].quantity == Decimal(30)


def plans_of(desk):
    events = desk.journal.ledger.events()
    return [event.payload["provenance"]["scores_sha256"] for event in events if event.kind is EventKind.PLAN_RECORDED]


def test_same_orders_from_other_scores_are_a_plan_that_names_these_until_they_are_judged(desk):
    plan(desk)
    plan(desk)
    assert plans_of(desk) == ["ab"]
    plan(desk, scores_sha256="cd")
    plan(desk, scores_sha256="cd")
    assert plans_of(desk) == ["ab", "cd"]
    judged(desk)
    plan(desk, scores_sha256="ef")
    assert plans_of(desk) == ["ab", "cd"]


def test_the_denied_part_of_a_plan_is_repeated_when_the_rest_has_ended(desk):
    with pytest.raises(AccountError, match="planned no order for 2025-01-03"):
        repeat_plan(desk.journal.ledger.events(), rehearsal.SESSION)
    plan(desk)
    with pytest.raises(AccountError, match="no verdicts yet"):
        repeat_plan(desk.journal.ledger.events(), rehearsal.SESSION)
    judged(desk, rehearsal.LIMITS.model_copy(update={"restricted": ["AAA"]}))
    with pytest.raises(AccountError, match="chaos-20250103-BBB-buy-0 is about to be sent"):
        repeat_plan(desk.journal.ledger.events(), rehearsal.SESSION)
    execute(desk, rehearsal.market_views(), 0)
    desk.journal.append([repeat_plan(desk.journal.ledger.events(), rehearsal.SESSION)])
    assert judged(desk, rehearsal.LIMITS) == [None]
    execute(desk, rehearsal.market_views(), 0)
    assert {o.instrument: o.filled_quantity for o in desk.broker.all_orders()} == {"BBB": 20, "AAA": 30}
    with pytest.raises(AccountError, match="nothing to repeat"):
        repeat_plan(desk.journal.ledger.events(), rehearsal.SESSION)


def test_a_later_plan_takes_the_place_of_what_was_never_sent(desk):
    plan(desk)
    judged(desk)
    plan(desk, [("AAA", "buy", 10, 50.0, "less of it")])
    recover(desk)
    assert judged(desk) == [None]
    execute(desk, rehearsal.market_views(), 0)
    assert {o.instrument: o.filled_quantity for o in desk.broker.all_orders()} == {"AAA": Decimal(10)}
    ended = desk.journal.book.orders["chaos-20250103-BBB-buy-0"]
    assert (str(ended.state), ended.message) == ("expired", "a later plan has taken its place")


def test_orders_that_were_decided_for_another_price_are_not_sent(desk):
    table = pd.DataFrame(BUYS, columns=["instrument", "side", "quantity", "reference_price", "reason"])
    for price, revision in (("close", 0), ("open", 1)):
        recorded = record_plan(
            desk.journal.ledger.events(), table, rehearsal.DECIDED, rehearsal.SESSION, deal_price=price
        )
        assert [event.payload["revision"] for event in recorded] == [revision]
        desk.journal.append(recorded)
        if price != desk.deal_price:
            with pytest.raises(ConfigurationError, match=r"decided to execute at the close, but .* is open now"):
                execute(desk, rehearsal.market_views(), 0)
    assert judged(desk) == [None, None]
    execute(desk, rehearsal.market_views(), 0)
    assert desk.journal.account.positions["AAA"].quantity == Decimal(30)


def test_a_repeated_plan_keeps_its_price(desk):
    table = pd.DataFrame(BUYS, columns=["instrument", "side", "quantity", "reference_price", "reason"])
    events = desk.journal.ledger.events()
    desk.journal.append(record_plan(events, table, rehearsal.DECIDED, rehearsal.SESSION, deal_price="open"))
    judged(desk, rehearsal.LIMITS.model_copy(update={"restricted": ["AAA", "BBB"]}))
    desk.journal.append([repeat_plan(desk.journal.ledger.events(), rehearsal.SESSION)])
    assert desk.journal.account.plans[rehearsal.SESSION].deal_price == "open"
