"""The rehearsal with real processes, as `make rehearse-live` plays it for a year, over a few sessions."""

from pathlib import Path
from random import Random

import pandas as pd
import pytest

from quant_pipeline.live.commands import Commands
from quant_pipeline.live.timetable import Task, TaskKind
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.live_rehearsal import desk
from quant_pipeline.testing.live_rehearsal.director import Director
from quant_pipeline.testing.live_rehearsal.stage import on_stage

OTHER_EVERY_TIME = {"activity_id", "broker_order_id", "execution_id", "key", "at"}
"""Names that the broker gives, and the second: the clock of the stage may go on before a command asks for it."""
SESSIONS = TradingCalendar.of("XNYS", "2023-12-01", "2024-03-01")


@pytest.fixture
def stage_of(project_path, tmp_path, monkeypatch):
    for name in ("ALPACA_PAPER_API_KEY", "ALPACA_PAPER_SECRET_KEY"):
        monkeypatch.setenv(name, "")  # The stage sets them; this takes them back.

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        return on_stage(project_path, folder, "2024-01-02", "2024-12-31")

    return make


def booked(stage):
    """Events of the ledger without what is another one every time."""
    return [
        (str(event.kind), event.session, {key: value for key, value in event.payload.items()
                                          if key not in OTHER_EVERY_TIME})
        for event in stage.events().events()
    ]  # fmt: skip


@pytest.mark.slow
def test_the_ledger_of_the_process_is_that_of_the_commands_typed_at_the_same_times(stage_of, monkeypatch):
    monkeypatch.setattr(Director, "_next_fault", Director._tidy)
    with stage_of("lived") as stage:
        Director(stage, 3, Random(3)).lead()
        done = [line for line in stage.lines() if line["event"] == "started"]
        lived = booked(stage)
    with stage_of("typed") as stage:
        typing = Commands(Path(), "paper", {}, Path(), program=())
        first = Task(TaskKind.RECONCILIATION, pd.Timestamp("2024-01-02"), stage.now())
        assert desk.run(typing.words(first, SESSIONS), stage.folder) == 0
        for line in done:
            stage.move(pd.Timestamp(line["at"]))
            task = Task(TaskKind(line["task"].partition(" ")[0]), pd.Timestamp(line["session"]), stage.now())
            assert desk.run(typing.words(task, SESSIONS), stage.folder) == 0
        typed = booked(stage)
    assert len(lived) > 30
    assert [event for event in lived if event not in typed] == []
    assert lived == typed


@pytest.mark.slow
def test_sessions_with_faults_leave_books_equal_to_the_broker_and_nothing_missed_without_a_message(
    stage_of,
):
    with stage_of("project") as stage:
        report = Director(stage, 8, Random(3)).lead()
    assert report["sessions"] >= 8
    assert report["fault_kinds"] >= 6
    for name in (
        "duplicates",
        "missed_without_message",
        "secrets_in_messages",
        "secrets_in_files",
        "ledger_differences",
        "attention_unexplained",
    ):
        assert report[name] == 0, report
