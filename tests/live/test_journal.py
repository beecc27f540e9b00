"""What a journal keeps over kills, torn lines and full disks."""

import json
import os

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import StorageError
from quant_pipeline.live.journal import Journal, read_journal
from tests.helpers.damaged_json import DAMAGED_JSON

AT = pd.Timestamp("2025-01-02 21:20", tz="UTC")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "live" / "journal.jsonl"


def filled(file):
    journal = Journal(file)
    journal.append(AT, "begun", since="2025-01-02T21:00:00+00:00", reported=3)
    journal.append(AT, "started", task="daily 2025-01-02", session="2025-01-02", pid=7, born="1.00")
    journal.append(AT, "ended", task="daily 2025-01-02", session="2025-01-02", result="done", status=0, reported=9)
    return journal


def test_a_restart_knows_what_was_done_and_what_was_told(file):
    filled(file)
    state = Journal(file).state
    assert set(state.settled) == {"daily 2025-01-02"}
    assert (state.since, state.reported, state.child, state.done) == (AT.replace(hour=21, minute=0), 9, None, 1)


def test_a_torn_last_line_never_counted_and_is_cut_off(file):
    filled(file)
    whole = file.read_bytes()
    for cut in range(1, 30):
        file.write_bytes(whole + b'{"at": "2025-01-02T22:00:00Z", "event": "missed"'[:cut])
        assert read_journal(file)[0].missed == 0
        Journal(file).append(AT, "missed", task="backup 2025-01-02", session="2025-01-02", why="asleep")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["event"] for line in lines] == ["begun", "started", "ended", "missed"]


def test_a_killed_process_leaves_the_command_that_was_running(file):
    journal = filled(file)
    journal.append(AT, "started", task="execution 2025-01-03", session="2025-01-03", pid=11, born="2.00")
    assert Journal(file).state.child.pid == 11


def test_failures_count_until_the_task_is_settled_and_an_interruption_is_none(file):
    journal = filled(file)
    facts = {"task": "execution 2025-01-03", "session": "2025-01-03"}
    for result in ("failed", "interrupted", "failed"):
        journal.append(AT, "ended", **facts, result=result, status=1)
    assert Journal(file).state.failures == {"execution 2025-01-03": 2}
    journal.append(AT, "ended", **facts, result="attention", status=4)
    assert Journal(file).state.failures == {}


def test_a_full_disk_leaves_nothing_of_a_line_and_the_next_one_is_whole(file, monkeypatch):
    journal, write = filled(file), os.write
    before = file.read_bytes()
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(OSError, match="No space left"):
        journal.append(AT, "missed", task="backup 2025-01-02", session="2025-01-02")
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert "backup 2025-01-02" not in journal.state.settled
    journal.append(AT, "note", what="there is room again")
    assert len(file.read_text().splitlines()) == 4


def test_a_line_that_is_none_is_named_with_the_remedy(file):
    filled(file)
    file.write_text(f"nonsense\n{file.read_text()}")
    with pytest.raises(StorageError, match=r"line 1 of .*Move the file aside"):
        Journal(file)


@pytest.mark.parametrize(
    "line",
    [
        '{"at": "2025-01-02T22:00:00Z", "event": "ended", "task": "daily 2025-01-02"}',
        '{"at": "2025-01-02T22:00:00Z", "event": "missed"}',
        '{"at": "yesterday", "event": "note"}',
        '{"at": "2025-01-02T22:00:00Z", "event": "begun", "since": "soon"}',
        "[1, 2]",
        "\x00\x00",
    ],
)
def test_a_line_that_lacks_what_its_event_has_is_named_too(file, line):
    filled(file)
    with file.open("a") as journal:
        journal.write(f"{line}\n")
    for read in (Journal, read_journal):
        with pytest.raises(StorageError, match=r"line 4 of .*Move the file aside"):
            read(file)


def test_a_clock_that_was_ahead_for_weeks_leaves_nothing_unowed_when_it_is_set(file):
    journal = filled(file)
    journal.append(AT, "missed", task="execution 2025-01-03", session="2025-01-03", why="asleep")
    journal.state.forget_before(AT + pd.Timedelta(days=21))
    assert journal.state.owed_since(AT) == journal.state.begun, "nothing is owed from before the first start"
    later = AT + pd.Timedelta(days=10)
    assert journal.state.owed_since(later) == later - pd.Timedelta(days=7)
    assert journal.state.overdue == {"execution 2025-01-03"}
    journal.append(AT, "ended", task="execution 2025-01-03", session="2025-01-03", result="done", status=0)
    assert journal.state.overdue == set()


def test_a_ledger_that_was_restored_owes_its_daily_runs_again_also_those_that_were_forgotten(file):
    journal = filled(file)
    for day in ("2025-01-03", "2025-01-06"):
        for kind in ("daily", "backup"):
            journal.append(AT, "ended", task=f"{kind} {day}", session=day, result="done", status=0)
    journal.state.forget_before(AT + pd.Timedelta(days=60))
    facts = {"kind": "daily", "since": "2025-01-02T21:00:00+00:00", "booked": "2025-01-03"}
    journal.append(AT, "restored", **facts, reported=4, anchor="ab")
    journal.replay()
    for state in (journal.state, Journal(file).state):
        kept = {"daily 2025-01-02", "daily 2025-01-03", "backup 2025-01-03", "backup 2025-01-06"}
        assert set(state.settled) == kept
        assert (state.reported, state.anchor) == (4, "ab")


def test_settled_tasks_are_forgotten_a_month_behind_what_is_owed(file):
    journal = filled(file)
    journal.state.forget_before(AT + pd.Timedelta(days=29))
    assert journal.state.settled
    journal.state.forget_before(AT + pd.Timedelta(days=40))
    assert not journal.state.settled


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_damaged_line_is_named_with_what_to_do(file, text):
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text + b"\n")
    for read in (Journal, read_journal):
        with pytest.raises(StorageError, match=r"^line 1 of .* is none of a journal\. Move the file aside"):
            read(file)
