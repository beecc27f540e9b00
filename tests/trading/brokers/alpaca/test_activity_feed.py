"""The feed of activities at the fake Alpaca: pages, cursors, repetitions, and what is hidden."""

from decimal import Decimal

import pandas as pd

from quant_pipeline.testing.fake_alpaca import Request, Script, bookings
from quant_pipeline.trading.broker_records import (
    Amendment,
    CashActivity,
    CashKind,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)
from tests.helpers.brokers import buy


def test_more_activities_than_a_page_come_once_each_and_in_order(server, broker):
    for index in range(205):
        bookings.book_cash(server.exchange, "INT", f"0.{index:03d}")
    amounts = [activity.amount for activity in broker.activities()]
    assert amounts == [Decimal(f"0.{index:03d}") for index in range(205)]
    assert server.requests[Request.ACTIVITIES] == 3


def test_a_repeated_and_turned_round_feed_tells_each_fact_once(server, broker):
    server.play(Script.model_validate({"feed": {"duplicate": True, "reorder": True}}))
    for index in range(120):
        bookings.book_cash(server.exchange, "INT", str(index + 1))
    assert [activity.amount for activity in broker.activities()] == list(range(1, 121))


def test_a_page_that_begins_with_its_token_tells_nothing_twice(server, broker):
    server.play(Script.model_validate({"feed": {"repeat_cursor": True}}))
    for index in range(120):
        bookings.book_cash(server.exchange, "INT", str(index + 1))
    told = list(broker.activities())
    assert [activity.amount for activity in told] == list(range(1, 121))
    assert list(broker.activities(after=told[-1].activity_id)) == []


def test_a_new_type_before_a_fill_hides_neither(server, broker):
    server.play(Script.model_validate({"feed": {"unknown_type": True}}))
    broker.submit(buy("one"))
    unknown, fill = broker.activities()
    assert (unknown.raw_type, fill.quantity) == ("NEWTYPE", 10)


def test_a_lost_activity_shows_as_filled_quantity_without_fill(server, broker):
    server.play(Script.model_validate({"feed": {"lose": 1}}))
    broker.submit(buy("one"))
    assert list(broker.activities()) == []
    assert broker.order_by_client_id("one").filled_quantity == 10


def test_the_cursor_continues_behind_what_was_seen(server, broker):
    broker.submit(buy("one"))
    (first,) = broker.activities()
    broker.submit(buy("two"))
    (second,) = broker.activities(after=first.activity_id)
    assert second.activity_id > first.activity_id
    assert list(broker.activities(after=second.activity_id)) == []


def test_a_fact_that_was_hidden_when_the_cursor_passed_is_found_by_date(server, broker):
    server.exchange.hours.set("2025-03-03 15:00")
    server.play(Script.model_validate({"feed": {"hidden_reads": 1}}))
    broker.submit(buy("late"))
    server.play(Script())
    broker.submit(buy("early"))
    (seen,) = broker.activities()
    assert seen.broker_order_id == broker.order_by_client_id("early").broker_order_id
    assert list(broker.activities(after=seen.activity_id)) == []
    assert len(list(broker.activities(since=pd.Timestamp("2025-03-03")))) == 2
    assert list(broker.activities(since=pd.Timestamp("2025-03-04"))) == []


def test_every_sort_of_activity_is_translated_and_an_unknown_one_stays_visible(server, broker):
    exchange = server.exchange
    exchange.hours.set("2025-03-03 15:00")
    broker.submit(buy("one", "10"))
    bookings.book_cash(exchange, "FEE", "-0.02")
    bookings.book_cash(exchange, "DIV", "1.02", "AAA")
    bookings.book_cash(exchange, "DIVNRA", "-0.15", "AAA")
    bookings.book_cash(exchange, "CSD", "500", date="2025-03-01")
    bookings.book_cash(exchange, "NEW_TYPE", "7")
    bookings.split(exchange, "AAA", "1.25")
    fill, fee, dividend, tax, deposit, unknown, gone, come, in_lieu = broker.activities()
    assert (fill.quantity, fill.price, fill.cumulative_quantity) == (10, 10, 10)
    assert fill.date == pd.Timestamp("2025-03-03")
    kinds = [activity.kind for activity in (fee, dividend, tax, deposit, in_lieu)]
    assert kinds == [CashKind.FEE, CashKind.DIVIDEND, CashKind.TAX, CashKind.TRANSFER, CashKind.CASH_IN_LIEU]
    assert isinstance(deposit, CashActivity)
    assert (deposit.amount, deposit.date) == (500, pd.Timestamp("2025-03-01"))
    assert isinstance(unknown, UnknownActivity)
    assert (unknown.raw_type, unknown.raw["net_amount"]) == ("NEW_TYPE", "7")
    assert isinstance(gone, PositionActivity)
    assert isinstance(come, PositionActivity)
    assert (gone.kind, gone.quantity, come.quantity, in_lieu.amount) == (PositionKind.SPLIT, -10, 12, 4)
    assert gone.group == come.group != ""


def test_bust_and_correction_name_the_fill_they_replace(server, broker):
    broker.submit(buy("one", "10"))
    broker.submit(buy("two", "5"))
    first, second = server.exchange.feed.records
    bookings.bust(server.exchange, first)
    bookings.correct(server.exchange, second, "4", "10.5")
    _, _, bust, correction = broker.activities()
    assert (bust.amendment, bust.supersedes) == (Amendment.CANCELLATION, first["id"])
    assert (correction.amendment, correction.supersedes) == (Amendment.CORRECTION, second["id"])
    assert (correction.quantity, correction.price) == (4, Decimal("10.5"))
    assert broker.account().cash == Decimal("10000") - 4 * Decimal("10.5")
