"""The rehearsal with real processes, as `make rehearse-live` plays it for a year, over a few sessions."""

from random import Random

import pytest

from quant_pipeline.testing.live_rehearsal.director import Director
from quant_pipeline.testing.live_rehearsal.stage import on_stage


@pytest.mark.slow
def test_sessions_with_faults_leave_books_equal_to_the_broker_and_nothing_missed_without_a_message(
    project_path, tmp_path, monkeypatch
):
    for name in ("ALPACA_PAPER_API_KEY", "ALPACA_PAPER_SECRET_KEY"):
        monkeypatch.setenv(name, "")  # The stage sets them; this takes them back.
    folder = tmp_path / "project"
    folder.mkdir()
    with on_stage(project_path, folder, "2024-01-02", "2024-12-31") as stage:
        report = Director(stage, 8, Random(3)).lead()
    assert report["sessions"] >= 8
    assert report["fault_kinds"] >= 6
    for name in (
        "duplicates",
        "missed_without_message",
        "secrets_in_messages",
        "ledger_differences",
        "attention_unexplained",
    ):
        assert report[name] == 0, report
