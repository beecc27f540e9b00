"""Days of a process whose commands end as a test wants: order, retries, the end, and the messages."""

import json
import logging
import os
import signal
import threading
import time
from itertools import pairwise

import pandas as pd
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.live.board import GAUGES
from quant_pipeline.live.changes import ChampionFiles
from quant_pipeline.live.follower import Follower
from quant_pipeline.live.journal import Journal
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.ways import Way, ways_of
from quant_pipeline.live.parameters import Channel, NotificationParameters, Topic
from quant_pipeline.live.printing import Printer
from quant_pipeline.trading.ledger.backup import back_up, restore
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.risk_view import TradingState

CLOSED = "2025-01-02 21:00"
MISSING = {"quant_pipeline_live_watermark_timestamp_seconds", "quant_pipeline_live_net_asset_value"}
"""Metrics that are not there while nothing is booked and no market is watched."""
SUNDAY = "2025-01-05 12:00"


def until(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_three_days_of_a_broker_account_run_each_task_once_and_in_their_sequence(scripted):
    live = scripted("paper", CLOSED, sessions=3).run()
    done = [line["task"] for line in live.of("ended")]
    assert done == [
        "reconciliation 2025-01-02", "daily 2025-01-02", "check 2025-01-02", "backup 2025-01-02",
        "dry_run 2025-01-03", "execution 2025-01-03",
        "reconciliation 2025-01-03", "daily 2025-01-03", "check 2025-01-03", "backup 2025-01-03",
        "dry_run 2025-01-06", "execution 2025-01-06",
        "reconciliation 2025-01-06", "daily 2025-01-06",
    ]  # fmt: skip
    assert live.called[0] == "account reconcile --env paper --params as_of=2025-01-02", "compared at the start"
    assert "--pipelines daily --env paper --params as_of=2025-01-03" in live.called
    assert "--pipelines execution --env paper --params as_of=2025-01-02,dry_run=true" in live.called
    assert "--pipelines execution --env paper --params as_of=2025-01-02" in live.called
    assert live.titles(Topic.PROCESS) == [
        "paper: the live process has started", "paper: the live process was asked to end",
    ]  # fmt: skip
    assert [line["state"] for line in live.of("state")][-1] == "stopped"


def test_the_simulated_account_advances_session_by_session_and_tells_of_each(scripted):
    live = scripted("sim", CLOSED, sessions=2).run()
    assert [line["task"] for line in live.of("ended")] == ["daily 2025-01-02", "backup 2025-01-02", "daily 2025-01-03"]
    assert live.titles(Topic.SUMMARY) == ["sim: daily 2025-01-02 is booked", "sim: daily 2025-01-03 is booked"]


def test_a_process_that_starts_after_the_window_misses_execution_with_an_alert_and_sends_nothing(scripted):
    scripted("paper", CLOSED, sessions=1).run()
    live = scripted("paper", "2025-01-03 15:30", sessions=1).run()
    missed = ["check 2025-01-02", "dry_run 2025-01-03", "execution 2025-01-03"]
    assert [line["task"] for line in live.of("missed")] == missed
    assert live.titles(Topic.MISSED) == [f"paper: {task} is missed" for task in missed]
    assert not [words for words in live.called if "--pipelines execution" in words]


def test_a_daily_run_that_is_late_says_so(scripted):
    scripted("sim", CLOSED, sessions=1).run()
    live = scripted("sim", SUNDAY, sessions=1).run()
    assert live.titles(Topic.SUMMARY) == ["sim: daily 2025-01-03 is booked".replace(" is", ", 38 h 40 min late is")]


def test_a_failing_task_is_tried_again_with_growing_pauses_and_then_makes_the_account_reducing(scripted):
    live = scripted("paper", CLOSED, plan={"daily": [1, 1, 1, 1, 1, 1, 0]}, sessions=1, max_retry_seconds=200.0).run()
    failed = [line for line in live.of("ended") if line["result"] == "failed"]
    assert {line["task"] for line in failed} == {"daily 2025-01-02"}
    assert len(failed) == 6
    starts = [pd.Timestamp(line["at"]) for line in live.of("started") if line["task"] == "daily 2025-01-02"]
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(starts)]
    assert all(pause >= wanted for pause, wanted in zip(pauses, (30, 60, 120, 200, 200, 200), strict=True))
    events = live.account.opened.ledger.open().events()
    assert AccountOrders.of(events).trading_state is TradingState.REDUCING
    assert "paper: daily 2025-01-02 has failed 5 times" in live.titles(Topic.ALERTS)
    assert live.of("ended")[-1]["result"] == "done", "it goes on trying"


def test_exit_statuses_of_execution_settle_it_and_are_told(scripted):
    live = scripted("paper", CLOSED, plan={"execution": [0, 4]}, sessions=2).run()
    (ended,) = [line for line in live.of("ended") if line["task"] == "execution 2025-01-03"]
    assert (ended["result"], ended["status"]) == ("attention", 4)
    assert "paper: execution 2025-01-03: the operator has to act" in live.titles(Topic.TASKS)


def test_a_check_that_finds_something_alerts_and_is_not_repeated(scripted):
    live = scripted("paper", CLOSED, plan={"--check": [1]}, sessions=2).run()
    checks = [line for line in live.of("ended") if line["task"] == "check 2025-01-02"]
    assert [line["result"] for line in checks] == ["attention"]
    assert "paper: check 2025-01-02: the next session will not go well" in live.titles(Topic.ALERTS)


def test_a_request_to_end_lets_the_command_finish_within_its_time_and_interrupts_it_after(scripted):
    live = scripted("sim", CLOSED, plan={"daily": ["hangs"]}, drain_seconds=0.3)
    runs = threading.Thread(target=live.run)
    runs.start()
    until(lambda: live.of("started"))
    live.process.stop()
    runs.join(60)
    assert not runs.is_alive()
    assert [line["state"] for line in live.of("state")] == ["starting", "ready", "draining", "stopped"]
    assert live.of("ended")[-1]["result"] == "interrupted"
    again = scripted("sim", CLOSED, sessions=1).run()
    assert [line["task"] for line in again.of("ended")] == ["daily 2025-01-02"] * 2


def test_a_second_signal_ends_process_and_command_at_once(scripted):
    live = scripted("sim", CLOSED, plan={"daily": ["hangs"]}, drain_seconds=600.0)
    child = os.fork()
    if child == 0:
        try:
            live.reach.messages.__init__([], live.account.notifications)
            signal.signal(signal.SIGTERM, lambda *_: live.process.stop())
            live.run()
        finally:
            os._exit(0)
    until(lambda: live.of("started"))
    command = Journal(live.account.folder / "journal.jsonl").state.child.pid
    os.kill(child, signal.SIGTERM)
    until(lambda: [line["state"] for line in live.of("state")][-1] == "draining")
    os.kill(command, 0)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    until(lambda: not psutil.pid_exists(command) or psutil.Process(command).status() == psutil.STATUS_ZOMBIE)
    assert [line["state"] for line in live.of("state")][-1] == "draining", "nothing was written any more"
    again = scripted("sim", CLOSED, sessions=1).run()
    assert again.of("ended")[-1]["result"] == "done"


def test_a_command_that_a_killed_process_has_left_is_ended_before_its_task_runs_again(scripted):
    live = scripted("sim", CLOSED, plan={"daily": ["hangs"]})
    child = os.fork()
    if child == 0:
        try:
            live.reach.messages.__init__([], live.account.notifications)
            live.run()
        finally:
            os._exit(0)
    until(lambda: live.of("started"))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    orphan = Journal(live.account.folder / "journal.jsonl").state.child.pid
    os.kill(orphan, 0)
    again = scripted("sim", CLOSED, sessions=1).run()
    assert "ended the command that the process before had left running" in again.said
    until(lambda: not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE)
    assert again.of("ended")[-1]["result"] == "done"


def test_a_full_disk_starts_nothing_until_there_is_room_and_alerts(scripted, monkeypatch):
    live = scripted("sim", CLOSED, sessions=1)
    monkeypatch.setattr("quant_pipeline.live.process.STORAGE_PAUSE", 0.05)
    write, tries = os.write, []

    def full(descriptor, data):
        if data.startswith(b'{"at"') and b'"due"' in data and len(tries) < 3:
            tries.append(data)
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    live.run()
    assert len(tries) == 3
    assert len(live.called) == 1
    (alert,) = live.titles(Topic.ALERTS)
    assert alert == "sim: the live process cannot write (No space left on device)"


def test_lines_that_nobody_reads_any_more_end_no_command(scripted):
    def broken(line):
        raise BrokenPipeError(32, "Broken pipe")

    live = scripted("sim", CLOSED, sessions=2, say=broken).run()
    assert [line["result"] for line in live.of("ended")] == ["done"] * 3
    assert live.titles(Topic.ALERTS) == []


def test_a_terminal_that_stands_still_holds_nothing_up(scripted, monkeypatch):
    monkeypatch.setattr("quant_pipeline.live.process.PRINTING", 0.05)
    goes_on = threading.Event()
    live = scripted("sim", CLOSED, sessions=2, say=lambda line: goes_on.wait(300)).run()
    goes_on.set()
    assert [line["result"] for line in live.of("ended")] == ["done"] * 3


def test_records_are_shown_by_the_printer_and_files_are_written_at_once(tmp_path):
    shown, log = [], logging.getLogger("test of the printer")
    log.propagate = False
    handlers = [logging.FileHandler(tmp_path / "log"), logging.Handler()]
    handlers[1].emit = lambda record: shown.append((record.getMessage(), threading.current_thread().name))
    for handler in handlers:
        log.addHandler(handler)
    printer = Printer(print)
    printer.take_over(log)
    log.warning("a line")
    assert (tmp_path / "log").read_text() == "a line\n"
    assert printer.flush(60)
    assert shown == [("a line", "printing")]
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()


def test_an_account_that_cannot_be_set_to_reducing_at_once_is_set_later_and_once(scripted, monkeypatch):
    reduced = iter([False, False, True])
    live = scripted("sim", CLOSED, plan={"daily": [1] * 9 + [0]}, sessions=1, max_retry_seconds=60.0)
    monkeypatch.setattr(type(live.account), "reduce", lambda *_: next(reduced))
    live.run()
    assert live.titles(Topic.ALERTS) == [f"sim: daily 2025-01-02 has failed {number} times" for number in (5, 7)]
    assert [line["task"] for line in live.of("note") if line["what"] == "reduced"] == ["daily 2025-01-02"]


def test_an_account_is_set_to_reducing_whatever_day_stands_in_the_catalog(scripted):
    live = scripted("sim", CLOSED)
    odd = live.account.place.project_path / "conf/sim/catalog_odd.yml"
    odd.write_text(
        "odd: {type: quant_pipeline.datasets.point_in_time.PointInTimeTable, filepath: odd, as_of: 2020-01-02}\n"
    )
    try:
        assert live.account.reduce("it fails", pd.Timestamp("2025-01-02 22:00", tz="UTC"))
    finally:
        odd.unlink()
    assert AccountOrders.of(live.account.opened.ledger.open().events()).trading_state is TradingState.REDUCING


def test_an_execution_that_a_clock_which_was_ahead_has_missed_is_done_when_the_clock_is_set(scripted):
    scripted("paper", CLOSED, sessions=1).run()
    live = scripted("paper", "2025-01-03 16:30")
    clock = live.reach.clock

    def set_clock(until, wake):
        if any(line["task"].startswith("execution") for line in live.of("ended")):
            live.process.stop()
        clock._now = pd.Timestamp("2025-01-03 14:35", tz="UTC")

    clock.rest = set_clock
    live.run()
    assert "execution 2025-01-03" in [line["task"] for line in live.of("missed")]
    assert live.of("ended")[-1]["task"] == "execution 2025-01-03"
    assert "paper: execution 2025-01-03 is not missed" in live.titles(Topic.ALERTS)


def closed(*days, value="0"):
    facts = {"cash": "0", "net_asset_value": value}
    return [Event(pd.Timestamp(day), EventKind.SESSION_CLOSED, f"close:{day}", facts) for day in days]


@pytest.mark.parametrize("booked_since", [(), ("2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07")])
def test_a_ledger_restored_from_an_earlier_backup_is_noticed_and_its_days_are_run_again(
    scripted, tmp_path, booked_since
):
    live = scripted("sim", "2024-12-31 21:00", sessions=4)
    live.account.opened.append(*closed("2024-12-31"))
    backup = back_up(live.account.opened.ledger.open(), tmp_path / "backup.sqlite")
    live.run()
    live.account.opened.append(*closed("2025-01-02", "2025-01-03", "2025-01-06"))
    scripted("sim", "2025-01-07 21:30", sessions=1).run()
    restore(backup, live.account.opened.ledger.file, tmp_path / "replaced")
    # What was run by hand since makes the ledger as long as before.
    live.account.opened.append(*closed(*booked_since, value="1"))
    again = scripted("sim", "2024-12-31 21:00", sessions=1 if booked_since else 5).run()
    daily = [line["task"] for line in again.of("ended") if line["task"].startswith("daily")]
    repeated = (
        ["2025-01-08"] if booked_since else ["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07", "2025-01-08"]
    )
    assert daily[5:] == [f"daily {day}" for day in repeated]
    (alert,) = again.titles(Topic.ALERTS)
    assert alert.startswith("sim: another ledger lies there, booked up to")
    assert len(again.of("restored")) == 1


def test_a_message_service_that_hangs_delays_no_task(scripted):
    live, released = scripted("sim", CLOSED, sessions=2), threading.Event()
    hanging = Way("hangs", Channel(), lambda message: released.wait(300))
    live.reach.messages.__init__([hanging], live.account.notifications)
    live.account.notifications.__dict__["timeout_seconds"] = 0.2
    live.run()
    released.set()
    assert [line["task"] for line in live.of("ended")][-1] == "daily 2025-01-03"


def test_a_new_champion_is_verified_between_tasks_and_the_event_names_the_old_and_the_new_one(scripted, monkeypatch):
    monkeypatch.setattr("quant_pipeline.live.follower.PAUSE", 0.0)
    live = scripted("sim", CLOSED, sessions=1)
    live.train("lightgbm", "aaaa")
    live.run()
    live = scripted("sim", SUNDAY, sessions=1)
    live.train("lightgbm", "bbbb")
    live.run()
    named = [(line["model"], line["old"], line["new"], line["result"]) for line in live.of("champion")]
    assert named == [("lightgbm", None, "aaaa", "done"), ("lightgbm", "aaaa", "bbbb", "done")]
    assert [words for words in live.called if "verify" in words] == ["models verify lightgbm --env sim"] * 2
    assert "sim: champion bbbb of lightgbm takes the place of aaaa" in live.titles(Topic.PROCESS)


@pytest.mark.parametrize(("ends", "calls"), [([0], 1), ([1, 0, 1, 0], 4)])
def test_several_new_champions_are_read_by_one_command_and_one_by_one_when_one_is_damaged(
    scripted, monkeypatch, ends, calls
):
    monkeypatch.setattr("quant_pipeline.live.follower.PAUSE", 0.0)
    live = scripted("sim", CLOSED, plan={"verify": ends}, sessions=1)
    for name in ("a", "b", "c"):
        live.train(name, "aaaa")
    Follower("sim", live.reach, ChampionFiles(live.account.models), None, lambda: True).follow(
        pd.Timestamp(CLOSED, tz="UTC")
    )
    assert len(live.called) == calls
    assert live.called[0] == "models verify a b c --env sim"
    results = {line["model"]: line["result"] for line in live.of("champion")}
    assert results == {"a": "done", "b": "done" if calls == 1 else "failed", "c": "done"}


def test_a_damaged_champion_alerts_once_and_is_told_of_again_only_when_its_files_change(scripted, monkeypatch):
    monkeypatch.setattr("quant_pipeline.live.follower.PAUSE", 0.0)
    live = scripted("sim", CLOSED, plan={"verify": [1, 1, 0]}, sessions=1)
    live.train("lightgbm", "aaaa")
    follower = Follower("sim", live.reach, ChampionFiles(live.account.models), None, lambda: True)
    now = pd.Timestamp(CLOSED, tz="UTC")
    for _ in range(3):
        follower.follow(now)
    live.train("lightgbm", "aaaa")
    follower.follow(now)
    live.reach.messages.flush(60)
    assert live.titles() == ["sim: champion aaaa of lightgbm cannot be used"], "the same message is left out"
    assert [line["result"] for line in live.of("champion")] == ["failed", "failed"]
    live.train("lightgbm", "aaaa")
    follower.follow(now)
    assert [line["result"] for line in live.of("champion")] == ["failed", "failed", "done"]
    assert live.reach.journal.state.champions == {"lightgbm": "aaaa"}


def test_a_verification_that_was_killed_alerts_and_is_not_repeated_for_ever(scripted, monkeypatch):
    monkeypatch.setattr("quant_pipeline.live.follower.PAUSE", 0.0)
    live = scripted("sim", CLOSED, plan={"verify": ["killed", 0]}, sessions=1)
    live.train("lightgbm", "aaaa")
    follower = Follower("sim", live.reach, ChampionFiles(live.account.models), None, lambda: True)
    for _ in range(3):
        follower.follow(pd.Timestamp(CLOSED, tz="UTC"))
    live.reach.messages.flush(60)
    assert len(live.called) == 1
    assert live.titles() == ["sim: champion aaaa of lightgbm cannot be used"]


def test_a_changed_configuration_is_checked_by_a_command_before_the_process_begins_again(scripted, monkeypatch):
    monkeypatch.setattr("quant_pipeline.live.follower.PAUSE", 0.0)
    live = scripted("sim", SUNDAY, plan={"check-configuration": [1, 0], "daily": [0]})
    file = live.folder / "conf" / "sim" / "parameters_live.yml"
    written = iter(["live: {drain_secnds: 1}\n", "live: {drain_seconds: 1}\n"])
    rest = live.reach.clock.rest

    def edit_and_rest(until, wake):
        if len(live.of("configuration")) < 2 and (text := next(written, None)):
            file.write_text(text)
        rest(until, wake)

    live.reach.clock.rest = edit_and_rest
    try:
        live.run()
    finally:
        file.unlink()
    assert live.process.begins_again
    assert [line["result"] for line in live.of("configuration")] == ["failed", "done"]
    assert "sim: the changed configuration cannot be used" in live.titles(Topic.ALERTS)
    assert live.titles(Topic.PROCESS)[-1] == "sim: the live process begins again"
    assert [words for words in live.called if "check-" in words] == ["live --check-configuration --env sim"] * 2


def test_a_channel_with_a_wrong_address_is_refused_before_the_process_is_ready(scripted):
    live = scripted("sim", CLOSED)
    (wrong,) = ways_of(NotificationParameters(channels={"phone": {}}), {"phone": "nothing://of-the-kind"})
    live.reach.messages = Dispatcher([wrong], live.account.notifications, pause=0.0)
    live.process._reach = live.reach
    with pytest.raises(ConfigurationError, match="`phone` is none that apprise knows"):
        live.run()
    assert [line["state"] for line in live.of("state")] == ["starting", "stopped"]
    assert live.called == []
    # Nothing waits for a service that cannot be: the process ends at once.
    assert live.reach.messages.waiting == 0


def test_the_state_is_there_for_people_and_for_prometheus(scripted):
    live = scripted("sim", CLOSED, sessions=1).run()
    status = json.loads((live.account.folder / "status.json").read_text())
    assert (status["state"], status["counts"]["done"]) == ("stopped", 1)
    assert status["last"]["daily"]["task"] == "daily 2025-01-02"
    metrics = (live.account.folder / "metrics.prom").read_text()
    assert 'quant_pipeline_live_tasks_done{account="sim"} 1.0' in metrics
    assert 'quant_pipeline_live_state{account="sim",state="stopped"} 1.0' in metrics
    values = {family.name: family.samples[0].value for family in text_string_to_metric_families(metrics)}
    assert values.keys() == {f"quant_pipeline_live_{name}" for name in (*GAUGES, "state")} - MISSING
    assert values["quant_pipeline_live_up"] == 0
    assert values["quant_pipeline_live_now_timestamp_seconds"] == pd.Timestamp(status["now"]).timestamp()
    assert (values["quant_pipeline_live_tasks_failed"], values["quant_pipeline_live_tasks_missed"]) == (0, 0)
