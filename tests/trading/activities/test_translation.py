"""What a broker reports, as events."""

from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.trading.activities.quarantine import open_rows
from quant_pipeline.trading.activities.translation import Translator
from quant_pipeline.trading.broker_records import (
    Amendment,
    CashActivity,
    CashKind,
    FillActivity,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind

FRIDAY, MONDAY = pd.Timestamp("2025-01-03"), pd.Timestamp("2025-01-06")
OPENED = [
    Event(FRIDAY, EventKind.ACCOUNT_OPENED, "open", {"account": "acc", "cash": "1000"}),
    Event(FRIDAY, EventKind.TRANSFER, "opening:OLD", {"instrument": "OLD", "quantity": "10", "cost": "100"}),
]


def translate(*activities, known=()):
    stored = {event.key: event for event in known}
    monday_on_weekends = lambda date: date if date.weekday() < 5 else MONDAY  # noqa: E731
    find = lambda keys: {key: stored[key] for key in keys if key in stored}  # noqa: E731
    account = fold([*OPENED, *(event for event in known if event not in OPENED)])
    return Translator(lambda _: None, find, monday_on_weekends, account).events(activities)


def after(*activities):
    return fold([*OPENED, *translate(*activities)])


@pytest.mark.parametrize(
    ("kind", "amount", "booked"),
    [
        (CashKind.DIVIDEND, 5, EventKind.CASH_DIVIDEND),
        (CashKind.FEE, -1, EventKind.FEE),
        (CashKind.INTEREST, 2, EventKind.INTEREST),
        (CashKind.TAX, -3, EventKind.TAX),
        (CashKind.TRANSFER, 500, EventKind.DEPOSIT),
        (CashKind.TRANSFER, -500, EventKind.WITHDRAWAL),
        (CashKind.OTHER, -7, EventKind.OTHER_CASH),
    ],
)
def test_cash_moves_as_the_broker_says(kind, amount, booked):
    (event,) = translate(CashActivity("1", FRIDAY, kind, Decimal(amount)))
    assert (event.kind, event.key) == (booked, "cash:1")
    assert after(CashActivity("1", FRIDAY, kind, Decimal(amount))).cash == 1000 + amount


def test_cash_of_a_weekend_is_booked_in_the_next_session():
    (event,) = translate(CashActivity("1", pd.Timestamp("2025-01-04"), CashKind.TRANSFER, Decimal(5)))
    assert (event.session, event.payload["date"]) == (MONDAY, "2025-01-04")


def test_cash_that_is_taken_back_or_corrected_books_the_difference():
    first = CashActivity("1", FRIDAY, CashKind.DIVIDEND, Decimal(5), "OLD")
    booked = translate(first)
    back = CashActivity(
        "2", FRIDAY, CashKind.DIVIDEND, Decimal(5), "OLD", amendment=Amendment.CANCELLATION, supersedes="1"
    )
    right = CashActivity(
        "3", FRIDAY, CashKind.DIVIDEND, Decimal(8), "OLD", amendment=Amendment.CORRECTION, supersedes="1"
    )
    assert translate(back, known=booked)[0].payload["amount"] == "-5"
    assert translate(right, known=booked)[0].payload["amount"] == "3"


def test_what_is_reported_twice_or_known_is_left_out():
    fact = CashActivity("1", FRIDAY, CashKind.FEE, Decimal(-1))
    booked = translate(fact, fact)
    assert len(booked) == 1
    assert translate(fact, known=booked) == []


def test_an_external_fill_is_booked_and_marked():
    at = pd.Timestamp("2025-01-03 15:00", tz="UTC")
    fact = FillActivity("1", FRIDAY, at, "B9", "NEW", "buy", Decimal(2), Decimal(10))
    (event,) = translate(fact)
    assert event.payload["client_order_id"] == "external:B9"
    assert (after(fact).cash, after(fact).positions["NEW"].quantity) == (980, 2)


def amended(name, amendment, supersedes, quantity=2, price=10):
    at = pd.Timestamp("2025-01-03 15:00", tz="UTC")
    terms = ("B9", "NEW", "buy", Decimal(quantity), Decimal(price))
    return FillActivity(name, FRIDAY, at, *terms, amendment=amendment, supersedes=supersedes)


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_fill_is_corrected_twice_and_then_busted(in_one_batch):
    first = amended("1", Amendment.NEW, None)
    facts = (amended("2", Amendment.CORRECTION, "1", price=11), amended("3", Amendment.CORRECTION, "2", price=12))
    last = amended("4", Amendment.CANCELLATION, "3")
    events = list(translate(first, *facts))
    if not in_one_batch:
        events = list(translate(first))
        for fact in facts:
            events += translate(fact, known=events)
    assert fold([*OPENED, *events]).cash == 1000 - 24
    account = fold([*OPENED, *events, *translate(last, known=events)])
    assert (account.cash, set(account.positions)) == (1000, {"OLD"})


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_correction_moves_the_cash_that_its_broker_states(side):
    sign = -1 if side == "buy" else 1
    at = pd.Timestamp("2025-01-03", tz="UTC")
    terms = ("B9", "OLD", side, Decimal(3))
    first = FillActivity("1", FRIDAY, at, *terms, Decimal("3.33"), cash=sign * Decimal("9.99"))
    right = FillActivity(
        "2", FRIDAY, at, *terms, Decimal("3.3367"), cash=sign * Decimal("10.01"),
        amendment=Amendment.CORRECTION, supersedes="1",
    )  # fmt: skip
    assert after(first, right).cash == 1000 + sign * Decimal("10.01")
    # Without stated cash it is shares times price, as before.
    assert after(first, replace(right, cash=None)).cash == 1000 + sign * 3 * Decimal("3.3367")


def test_a_correction_in_quarantine_explains_the_cash_that_its_broker_states():
    at = pd.Timestamp("2025-01-03", tz="UTC")
    sold = FillActivity("1", FRIDAY, at, "B9", "OLD", "sell", Decimal(4), Decimal("2.5"), cash=Decimal("9.98"))
    more = replace(sold, activity_id="2", quantity=Decimal(11), cash=Decimal("27.46"), amendment=Amendment.CORRECTION,
                   supersedes="1")  # fmt: skip
    account = after(sold, more)
    (row,) = open_rows(account)
    assert (row.cash, row.shares) == (Decimal("17.48"), -7)
    assert account.cash == Decimal("1009.98")


def test_an_amendment_of_a_fill_before_the_books_is_put_into_quarantine_and_stops_nothing():
    events = translate(amended("2", Amendment.CANCELLATION, "1"))
    assert [event.kind for event in events] == [EventKind.ACTIVITY_QUARANTINED, EventKind.ALERT_RAISED]
    assert events[1].payload["code"] == "AMENDMENT_OF_UNKNOWN_FILL"
    assert after(amended("2", Amendment.CANCELLATION, "1")).cash == 1000


def test_a_merger_turns_old_shares_and_their_cost_into_new_ones():
    gone = PositionActivity("1", FRIDAY, PositionKind.MERGER, "OLD", Decimal(-10), Decimal(30))
    come = PositionActivity("2", FRIDAY, PositionKind.MERGER, "NEW", Decimal(5))
    account = after(gone, come)
    assert set(account.positions) == {"NEW"}
    assert (account.positions["NEW"].quantity, account.positions["NEW"].cost, account.cash) == (5, 70, 1030)


@pytest.mark.parametrize(
    ("kind", "quantity", "amount"),
    [
        (PositionKind.SPIN_OFF, 4, 0),
        (PositionKind.TRANSFER, 3, 0),
        (PositionKind.TRANSFER, 3, -12),
    ],
)
def test_shares_of_unknown_cost_move_and_the_operator_is_alerted(kind, quantity, amount):
    fact = PositionActivity("1", FRIDAY, kind, "OLD", Decimal(quantity), Decimal(amount))
    events = translate(fact)
    assert events[-1].payload["code"] == "COST_UNKNOWN"
    account = after(fact)
    held = account.positions["OLD"].quantity if "OLD" in account.positions else 0
    assert (held, account.cash) == (10 + quantity, 1000 + amount)


def test_stock_dividends_and_splits_add_shares_of_no_cost():
    account = after(PositionActivity("1", FRIDAY, PositionKind.STOCK_DIVIDEND, "OLD", Decimal(1)))
    assert (account.positions["OLD"].quantity, account.positions["OLD"].cost) == (11, 100)


def test_an_unknown_fact_of_unknown_effect_is_kept_with_its_record_until_it_is_answered():
    fact = UnknownActivity("1", FRIDAY, "WORMHOLE", raw={"activity_type": "WORMHOLE", "swallowed": 3})
    row, raised = translate(fact)
    assert (row.kind, row.key) == (EventKind.ACTIVITY_QUARANTINED, "quarantine:1")
    assert row.payload["record"] == {"activity_type": "WORMHOLE", "swallowed": 3}
    assert (raised.payload["code"], raised.payload["record"]["swallowed"]) == ("UNKNOWN_ACTIVITY", "3")
    assert "WORMHOLE" in raised.payload["message"]


def test_an_unknown_fact_that_says_what_cash_it_moved_moves_it_as_other():
    account = after(UnknownActivity("1", FRIDAY, "WORMHOLE", amount=Decimal("-4.20")))
    assert (account.cash, account.other, account.contributed, account.quarantine) == (
        Decimal("995.80"),
        Decimal("-4.20"),
        1100,
        {},
    )
