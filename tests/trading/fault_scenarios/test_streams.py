"""Fault scenarios 12, 13 and 16 with the stream of trade updates: it wakes, and nothing depends on it."""

import pytest

from tests.trading.fault_scenarios.day import GOOD_DAY
from tests.trading.fault_scenarios.day_at_alpaca import DayAtAlpaca, states

LONG_POLL, SHORT_POLL = 30.0, 0.2


def test_deals_are_collected_within_a_moment(tmp_path):
    day = DayAtAlpaca(tmp_path, LONG_POLL)
    with day.desk() as desk:
        day.plan(desk)
        with day.dealing(when=day.listeners):
            assert day.execute(desk) < LONG_POLL / 3
        assert states(desk) == GOOD_DAY


def test_12_the_websocket_drops_while_orders_deal(tmp_path):
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


@pytest.mark.parametrize("stream", [{"mute": True}, {"most_connections": 0}], ids=["mute", "refused"])
def test_12_the_polls_go_on_where_nothing_is_told(tmp_path, stream):
    day = DayAtAlpaca(tmp_path, SHORT_POLL, stream=stream)
    with day.desk() as desk:
        day.plan(desk)
        with day.dealing():
            day.execute(desk)
        assert states(desk) == GOOD_DAY
