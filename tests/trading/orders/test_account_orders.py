"""Orders as a fold over events."""

from dataclasses import asdict
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.orders.states import IllegalTransitionError, OrderState

DAY = pd.Timestamp("2025-01-03")
ORDER = Order("acc-1", "AAA", "buy", 10, "50.0000", "why")


def event(kind, key, **facts):
    return Event(DAY, kind, key, facts)


def recorded(order=ORDER):
    return event(
        EventKind.ORDER_RECORDED, f"order:{order.client_order_id}", order=asdict(order), deal_session="2025-01-03"
    )


def about(kind, key="k", **facts):
    return event(kind, key, client_order_id="acc-1", **facts)


SUBMITTED = about(EventKind.ORDER_SUBMITTING, at="2025-01-03T14:35:00+00:00")
ACCEPTED = about(EventKind.ORDER_ACCEPTED, broker_order_id="B1")


def fill(quantity, price="50", key="f1", **facts):
    return about(EventKind.FILL, key, quantity=str(quantity), price=price, **facts)


def test_the_plain_life_of_an_order():
    book = AccountOrders.of([recorded(), SUBMITTED, ACCEPTED, fill(4), fill(6, "51", "f2")])
    order = book.orders["acc-1"]
    assert (order.state, order.filled, order.value) == (OrderState.FILLED, 10, 506)
    assert order.average_price == Decimal("50.6")
    assert (order.broker_order_id, book.by_broker_id) == ("B1", {"B1": "acc-1"})
    assert book.live == {}


def test_the_answer_after_the_fill_does_not_take_the_order_back():
    book = AccountOrders.of([recorded(), SUBMITTED, fill(4), ACCEPTED])
    assert book.orders["acc-1"].state is OrderState.PARTIALLY_FILLED
    assert AccountOrders.of([recorded(), SUBMITTED, fill(10), ACCEPTED]).orders["acc-1"].state is OrderState.FILLED


def test_a_late_fill_is_booked_and_reopens_nothing():
    ended = about(EventKind.ORDER_ENDED, "e", status="canceled", message="by hand")
    order = AccountOrders.of([recorded(), SUBMITTED, ACCEPTED, ended, fill(3)]).orders["acc-1"]
    assert (order.state, order.filled) == (OrderState.CANCELED, 3)


def test_a_cancel_request_waits_for_the_broker():
    events = [recorded(), SUBMITTED, ACCEPTED, about(EventKind.ORDER_CANCEL_REQUESTED)]
    assert AccountOrders.of(events).orders["acc-1"].state is OrderState.PENDING_CANCEL
    assert AccountOrders.of([*events, ACCEPTED]).orders["acc-1"].state is OrderState.ACCEPTED
    assert AccountOrders.of([*events, fill(4), ACCEPTED]).orders["acc-1"].state is OrderState.PARTIALLY_FILLED


def test_an_order_is_recorded_once():
    with pytest.raises(AccountError, match="recorded twice"):
        AccountOrders.of([recorded(), recorded()])


def test_an_event_about_an_unrecorded_order_is_an_error():
    with pytest.raises(AccountError, match="never recorded"):
        AccountOrders.of([SUBMITTED])


def test_an_order_only_shrinks_and_only_before_it_leaves():
    smaller = about(EventKind.ORDER_RESIZED, quantity="7")
    assert AccountOrders.of([recorded(), smaller]).orders["acc-1"].quantity == 7
    for events in ([recorded(), about(EventKind.ORDER_RESIZED, quantity="11")], [recorded(), SUBMITTED, smaller]):
        with pytest.raises(AccountError, match="resizes"):
            AccountOrders.of(events)


def test_a_denied_order_cannot_leave():
    said = "CODE: 1 against 2"
    facts = {"order": asdict(ORDER), "deal_session": "2025-01-03", "message": said}
    denied = event(EventKind.ORDER_DENIED, "d", **facts)
    assert AccountOrders.of([denied]).orders["acc-1"].message == said
    with pytest.raises(IllegalTransitionError):
        AccountOrders.of([denied, SUBMITTED])


def test_a_bust_and_a_correction_change_what_was_filled():
    lived = [recorded(), SUBMITTED, ACCEPTED, fill(4, inferred=True), fill(6, "51", "f2")]
    busted = AccountOrders.of([*lived, event(EventKind.TRADE_BUST, "b", fill="f1")]).orders["acc-1"]
    assert (busted.filled, busted.value, busted.inferred) == (6, 306, 0)
    right = event(EventKind.TRADE_CORRECTION, "c", fill="f2", quantity="5", price="52")
    corrected = AccountOrders.of([*lived, right]).orders["acc-1"]
    assert (corrected.filled, corrected.value, corrected.inferred) == (9, 460, 4)


def test_rejects_are_counted_until_one_is_taken():
    second = Order("acc-2", "BBB", "buy", 1, "20", "")
    rejected = about(EventKind.ORDER_REJECTED, message="no")
    events = [recorded(), SUBMITTED, rejected]
    assert AccountOrders.of(events).consecutive_rejects == 1
    taken = event(EventKind.ORDER_ACCEPTED, "a2", client_order_id="acc-2", broker_order_id="B2")
    assert AccountOrders.of([*events, recorded(second), taken]).consecutive_rejects == 0


def test_what_the_account_is_allowed_is_read_from_events():
    changed = event(EventKind.TRADING_STATE_CHANGED, "t", state="reducing", code="DAILY_LOSS")
    armed = event(EventKind.ACCOUNT_ARMED, "arm", session="2025-01-03", account_number="123")
    cursor = event(EventKind.CURSOR_MOVED, "cur", activity_id="a9")
    closed = event(EventKind.SESSION_CLOSED, "close", net_asset_value="900", cash="0")
    book = AccountOrders.of([changed, armed, cursor, closed])
    assert (book.trading_state, book.state_code, book.state_changes) == (TradingState.REDUCING, "DAILY_LOSS", 1)
    assert (book.armed, book.cursor, book.highest_equity) == ({DAY: "123"}, "a9", 900)


@pytest.mark.parametrize(
    ("facts", "highest"),
    [
        ({"amount": "-400"}, 600),  # 800 of 1,200 left a third below the high; 400 of 600 are as far below it.
        ({"amount": "800"}, 2400),
        ({"amount": "-800"}, 0),
        ({"amount": "400", "instrument": "GONE"}, 1200),  # Cash of a merger was there before, as shares.
    ],
)
def test_what_the_owner_moves_is_neither_gain_nor_loss(facts, highest):
    closes = [
        event(EventKind.SESSION_CLOSED, f"c{value}", net_asset_value=value, cash="0") for value in ("1200", "800")
    ]
    kind = EventKind.WITHDRAWAL if facts["amount"].startswith("-") else EventKind.DEPOSIT
    assert AccountOrders.of([*closes, event(kind, "cash", **facts)]).highest_equity == highest


def test_an_order_for_the_day_ends_with_the_close():
    closed = event(EventKind.SESSION_CLOSED, "close", net_asset_value="900", cash="0")
    assert (
        AccountOrders.of([recorded(), SUBMITTED, ACCEPTED, fill(4), closed]).orders["acc-1"].state is OrderState.EXPIRED
    )
