import logging

import pytest
from rich.console import Console

from quant_pipeline.common import progress


@pytest.fixture
def every_item_is_told(monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    caplog.set_level(logging.INFO, logger="quant_pipeline.common.progress")
    return caplog


def test_items_pass_unchanged_and_in_order():
    assert list(progress.track(iter("abc"), "reading letters")) == ["a", "b", "c"]


def test_without_a_terminal_the_log_tells_how_far_the_work_is(every_item_is_told):
    assert list(progress.track([7, 8], "replaying sessions")) == [7, 8]
    assert every_item_is_told.messages == ["replaying sessions: 1 of 2", "replaying sessions: 2 of 2"]


def test_the_total_of_a_stream_may_be_given_or_unknown(every_item_is_told):
    list(progress.track(iter([1]), "streaming"))
    list(progress.track(iter([1]), "streaming", total=9))
    assert every_item_is_told.messages == ["streaming: 1", "streaming: 1 of 9"]


def test_work_within_work_is_silent(every_item_is_told):
    for _ in progress.track([1, 2], "outer"):
        list(progress.track([1, 2, 3], "inner"))
    assert every_item_is_told.messages == ["outer: 1 of 2", "outer: 2 of 2"]


def test_work_that_fails_lets_the_next_speak(every_item_is_told):
    with pytest.raises(ZeroDivisionError):
        sum(1 / item for item in progress.track([0], "failing"))
    list(progress.track([1], "working"))
    assert every_item_is_told.messages == ["working: 1 of 1"]


def test_a_terminal_shows_a_bar(monkeypatch, tmp_path):
    with (tmp_path / "screen").open("w+") as screen:
        terminal = Console(file=screen, force_terminal=True, width=100)
        monkeypatch.setattr(progress, "Console", lambda **_: terminal)
        assert list(progress.track([1, 2, 3], "computing factors")) == [1, 2, 3]
        screen.seek(0)
        shown = screen.read()
    assert "computing factors" in shown
    assert "3/3" in shown
