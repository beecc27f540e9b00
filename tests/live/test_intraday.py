"""While the exchange is open: the watching process is kept, and what is near leads to one command a minute."""

import json
import os
import time

import pandas as pd
import pytest

from quant_pipeline.live.intraday import Intraday
from quant_pipeline.live.market_data.files import WATCH_FILE
from quant_pipeline.live.parameters import Topic

CLOSED, NOON = "2025-01-02 21:00", pd.Timestamp("2025-01-03 17:00", tz="UTC")
BEFORE_OPEN, EVENING = pd.Timestamp("2025-01-03 14:21", tz="UTC"), pd.Timestamp("2025-01-03 21:00", tz="UTC")


@pytest.fixture
def near(scripted):
    """A process of which only the part for the open exchange is asked."""
    made = []

    def make(plan=None, **times):
        live = scripted("paper", CLOSED, plan={"live watch": ["hangs"], **(plan or {})}, market_data=True, **times)
        intraday = Intraday(live.account, live.reach, lambda: True)
        made.append(intraday)
        timetable = live.account.timetable(NOON)
        return live, lambda now: intraday.attend(now, timetable)

    yield make
    for intraday in made:
        intraday.end()


def until(holds):
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def say(live, *alarms):
    live.account.folder.mkdir(parents=True, exist_ok=True)
    (live.account.folder / WATCH_FILE).write_text(json.dumps({"alarms": alarms}))


def settle(live):
    facts = {"task": "execution 2025-01-03", "session": "2025-01-03", "result": "done", "status": 0}
    live.reach.journal.append(NOON, "ended", **facts)


def starts(live, words):
    return [called for called in live.called if words in called]


def test_the_market_is_watched_from_before_the_open_to_the_close_by_one_process(near):
    live, attend = near()
    attend(pd.Timestamp("2025-01-03 14:00", tz="UTC"))
    assert live.called == []
    for now in (BEFORE_OPEN, NOON, NOON):
        attend(now)
        until(lambda: starts(live, "live watch"))
    words = f"live watch --parent {os.getpid()} --env paper --params as_of=2025-01-02"
    assert starts(live, "live watch") == [words]
    attend(EVENING)
    assert len(starts(live, "live watch")) == 1


def test_a_watching_process_that_fails_is_started_again_until_its_budget_is_used_up(near):
    live, attend = near(plan={"live watch": [1]}, max_attempts=3, retry_seconds=20.0)
    for second in range(4000):
        attend(NOON + pd.Timedelta(seconds=second))
        time.sleep(0.01)
        if live.titles(Topic.ALERTS):
            break
    live.reach.messages.flush(60)
    assert len(starts(live, "live watch")) == 3
    assert second >= 60, "20 seconds after the first start, and 40 after the second"
    assert live.titles(Topic.ALERTS) == ["paper: the market is not watched in this session"]


def test_what_is_near_is_left_to_execution_first_and_then_protected_once_a_minute(near):
    live, attend = near()
    say(live, "stop AAPL")
    attend(NOON)
    assert starts(live, "account protect") == [], "the plan of the session goes first"
    settle(live)
    attend(NOON)
    attend(NOON + pd.Timedelta(seconds=30))
    assert starts(live, "account protect") == ["account protect --env paper --params as_of=2025-01-02"]
    say(live, "losses")
    attend(NOON + pd.Timedelta(seconds=61))
    assert len(starts(live, "account protect")) == 2
    assert [line["what"] for line in live.of("note")] == ["protected", "protected"]


@pytest.mark.parametrize("text", ['{"alarms": []}', "{", "[]", '{"alarms": 3}'])
def test_without_an_alarm_that_can_be_read_nothing_is_started(near, text):
    live, attend = near()
    settle(live)
    (live.account.folder / WATCH_FILE).write_text(text)
    attend(NOON)
    assert starts(live, "account protect") == []


def test_a_protection_that_fails_is_one_alert_until_it_works_again(near):
    live, attend = near(plan={"account protect": [1, 3, 0, 4]})
    settle(live)
    for minute in range(4):
        say(live, "losses")
        attend(NOON + pd.Timedelta(minutes=minute))
    live.reach.messages.flush(60)
    assert len(starts(live, "account protect")) == 4
    told = [f"paper: the account could not be protected (status {status})" for status in (1, 4)]
    assert live.titles(Topic.ALERTS) == told


def test_without_the_setting_nothing_is_started(scripted):
    live = scripted("paper", CLOSED)
    intraday = Intraday(live.account, live.reach, lambda: True)
    intraday.attend(NOON, live.account.timetable(NOON))
    assert live.called == []
