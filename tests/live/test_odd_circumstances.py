"""A machine in another time zone, a journal of another time, a holiday, a folder that cannot be written."""

import os
import time

import pandas as pd
import pytest
from click.testing import CliRunner

from quant_pipeline.cli.live import live as live_command
from quant_pipeline.live.journal import Journal
from quant_pipeline.live.parameters import Topic

CLOSED = "2025-01-02 21:00"


@pytest.fixture
def in_zone(monkeypatch):
    def set_zone(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Pacific/Honolulu"])
def test_the_time_zone_of_the_machine_changes_nothing(scripted, in_zone, zone):
    in_zone(zone)
    live = scripted("paper", CLOSED, sessions=2).run()
    at = {line["task"]: line["at"][:16] for line in live.of("started")}
    assert {name: when for name, when in at.items() if name.startswith(("daily", "execution"))} == {
        "daily 2025-01-02": "2025-01-02T21:20",
        "execution 2025-01-03": "2025-01-03T14:30",
        "daily 2025-01-03": "2025-01-03T21:20",
    }
    assert live.of("missed") == []


def test_a_journal_that_begins_in_the_future_begins_again_and_alerts(scripted):
    live = scripted("paper", CLOSED, sessions=1)
    live.reach.journal.append(pd.Timestamp("2031-05-05", tz="UTC"), "begun", since="2031-05-02T20:00:00Z", reported=0)
    live.run()
    assert [line["since"][:16] for line in live.of("begun")] == ["2031-05-02T20:00", "2025-01-02T21:00"]
    assert live.titles(Topic.ALERTS) == ["paper: the journal begins at 2031-05-02 20:00 UTC, which is to come"]
    assert "daily 2025-01-02" in [line["task"] for line in live.of("ended")]


def test_a_clock_that_was_set_back_by_hours_waits_for_its_journal(scripted):
    live = scripted("sim", "2025-01-02 19:30", sessions=1)
    live.reach.journal.append(pd.Timestamp(CLOSED, tz="UTC"), "begun", since="2025-01-02T21:00:00Z", reported=0)
    live.run()
    assert len(live.of("begun")) == 1
    assert live.of("started")[0]["at"].startswith("2025-01-02T21:20")


def test_of_a_holiday_one_message_tells_and_every_missed_task_is_recorded_and_reported(scripted):
    scripted("paper", CLOSED, sessions=1).run()
    live = scripted("paper", "2025-01-31 21:30", sessions=1).run()
    missed = [line["task"] for line in live.of("missed")]
    assert len(missed) > 100
    assert len(missed) == len(set(missed))
    assert live.titles(Topic.MISSED) == [f"paper: {len(missed)} tasks are missed"]
    (told,) = [message.text for message in live.messages if message.topic is Topic.MISSED]
    assert "execution: 19, 2025-01-03 to 2025-01-31" in told.splitlines()
    assert Journal(live.account.folder / "journal.jsonl").state.unreported == {}


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
def test_a_folder_that_cannot_be_written_is_named_in_one_line(opened_once, scripted, monkeypatch, error):
    place, _ = opened_once
    live = scripted("sim", CLOSED)

    def refused(*_, **__):
        error.filename = str(live.account.folder)
        raise error

    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    done = CliRunner().invoke(live_command, ["--env", "sim", "--params", "as_of=2025-01-02"], obj=place)
    assert done.exit_code == 1
    said = [line for line in done.output.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1
    assert str(live.account.folder) in said[0]
    assert "Traceback" not in done.output


def test_a_configuration_that_changes_while_the_process_starts_is_taken_up(scripted, monkeypatch):
    monkeypatch.setattr("quant_pipeline.live.follower.PAUSE", 0.0)
    live = scripted("paper", "2025-01-05 12:00")
    file = live.folder / "conf" / "paper" / "parameters_live.yml"
    compare = live.process._reconcile_first

    def edit_and_compare(now):
        file.write_text("live: {drain_seconds: 1}\n")
        compare(now)

    monkeypatch.setattr(live.process, "_reconcile_first", edit_and_compare)
    try:
        live.run()
    finally:
        file.unlink()
    assert live.process.begins_again
    assert [line["result"] for line in live.of("configuration")] == ["done"]


def test_old_prints_of_commands_and_half_files_of_killed_processes_are_removed_after_the_backup(scripted):
    live = scripted("sim", CLOSED, sessions=2)
    old, new = (live.account.folder / "tasks" / f"daily-{day}.log" for day in ("2024-01-02", "2024-12-31"))
    old.parent.mkdir(parents=True)
    for log in (old, new):
        log.write_text("a line")
    os.utime(old, (0, 0))
    half = live.account.folder / f".watch.json.{2**22 + 1}.tmp"
    half.write_text("{")
    live.run()
    assert [file.exists() for file in (old, half, new)] == [False, False, True]
