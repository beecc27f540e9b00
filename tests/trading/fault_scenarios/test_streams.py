"""Fault scenarios 12, 13, 15 and 16 with the stream of trade updates: it wakes, and nothing depends on it."""

import time
from dataclasses import replace

import pytest

from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY
from quant_pipeline.trading.brokers.alpaca.updates import TradeUpdates
from quant_pipeline.trading.orders.execution import wait_for
from quant_pipeline.trading.orders.sending import send_side
from tests.helpers.trading_day import GOOD_DAY
from tests.helpers.trading_day_at_alpaca import DayAtAlpaca, states

# No test waits for a long poll: what ends in a third of it was woken.
LONG_POLL, SHORT_POLL = 300.0, 0.2


def test_fills_are_collected_within_a_moment(tmp_path):
    day = DayAtAlpaca(tmp_path, LONG_POLL)
    with day.desk() as desk:
        day.plan(desk)
        with day.dealing(when=day.listeners):
            assert day.execute(desk) < LONG_POLL / 3
        assert states(desk) == GOOD_DAY


def test_12_the_websocket_drops_while_orders_fill(tmp_path):
    day = DayAtAlpaca(tmp_path, LONG_POLL, stream={"drop_before_fill": 2})
    with day.desk() as desk:
        day.plan(desk)
        with day.dealing(when=day.listeners):
            assert day.execute(desk) < LONG_POLL / 3
        assert day.exchange.director.drops == 0
        assert states(desk) == GOOD_DAY


@pytest.mark.parametrize(
    "stream",
    [{"unknown_event": True}, {"unknown_status": True}, {"duplicate": True, "reorder": True}],
    ids=["13 unknown events", "13 unknown status", "16 twice and out of order"],
)
def test_updates_of_any_words_wake_and_change_nothing(tmp_path, stream):
    day = DayAtAlpaca(tmp_path, LONG_POLL, stream=stream)
    with day.desk() as desk:
        day.plan(desk)
        with day.dealing(when=day.listeners):
            assert day.execute(desk) < LONG_POLL / 3
        assert states(desk) == GOOD_DAY


@pytest.mark.parametrize("stream", [{"mute": True}, {"max_connections": 0}], ids=["mute", "refused"])
def test_12_the_polls_go_on_where_no_update_arrives(tmp_path, stream):
    day = DayAtAlpaca(tmp_path, SHORT_POLL, stream=stream)
    with day.desk() as desk:
        day.plan(desk)
        with day.dealing():
            day.execute(desk)
        assert states(desk) == GOOD_DAY


def test_12_another_program_has_the_one_connection(tmp_path):
    day = DayAtAlpaca(tmp_path, SHORT_POLL)
    with day.desk() as desk, TradeUpdates(day.server.stream_url, API_KEY, SECRET_KEY) as other:
        assert other.pause(LONG_POLL) < LONG_POLL
        day.plan(desk)
        with day.dealing():
            day.execute(desk)
        assert states(desk) == GOOD_DAY
        assert day.listeners() == 1


def test_12_the_stream_refuses_the_keys(tmp_path, caplog):
    day = DayAtAlpaca(tmp_path, SHORT_POLL)
    with day.desk() as desk, TradeUpdates(day.server.stream_url, "STRANGE", "SECRET") as updates:
        day.plan(desk)
        with day.dealing():
            day.execute(replace(desk, pause=updates.pause))
        assert states(desk) == GOOD_DAY
    assert len([r for r in caplog.records if "trade updates" in r.getMessage()]) <= 1
    assert "STRANGE" not in caplog.text
    assert "SECRET" not in caplog.text


def test_15_updates_before_their_fills_make_no_fill_missing_sooner(day):
    lived = day(Fault.MISSING_ACTIVITY)
    lived.plan()

    def woken(seconds):
        lived.clock.sleep(seconds / 4)
        return seconds / 4

    lived.open(pause=woken)
    send_side(lived.desk, "sell")
    grace = lived.desk.rules.poll_seconds * lived.desk.rules.missing_fill_polls
    wait_for(lived.desk, "sell", grace - 2 * lived.desk.rules.poll_seconds)
    assert lived.order("SELL").inferred == 0
    wait_for(lived.desk, "sell", grace)
    assert lived.order("SELL").inferred == 50


def test_16_a_waiting_ends_after_the_time_that_it_really_took(day):
    lived = day()
    lived.plan()
    pauses = []

    def woken(seconds):
        pauses.append(seconds)
        return 0.5

    lived.open(pause=woken)
    send_side(lived.desk, "sell")
    wait_for(lived.desk, "sell", 4)
    assert len(pauses) == 8


@pytest.mark.parametrize(
    ("takes_lease", "parameters", "listens"),
    [(True, {}, True), (False, {}, False), (True, {"trade_updates": False}, False)],
    ids=["who may send", "a dry run", "switched off"],
)
def test_only_a_sender_listens_and_only_to_wait_for_fills(tmp_path, takes_lease, parameters, listens):
    with DayAtAlpaca(tmp_path, LONG_POLL, **parameters).desk(takes_lease) as desk:
        assert (desk.pause is not None) == listens
        assert desk.sleep is time.sleep
