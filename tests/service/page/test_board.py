"""The board: a pane that could not be drawn again says since when it is as it is, and is grey."""

import threading
from pathlib import Path
from types import SimpleNamespace

import anyio
import pandas as pd
import pytest

from quant_pipeline.reports.elements import Html
from quant_pipeline.service.page import board
from quant_pipeline.service.page.board import LATE, Board, PaneKind
from quant_pipeline.service.page.freshness import Stale


@pytest.fixture
def board_of(monkeypatch):
    """Returns a board of panes that follow nothing, and its clock."""
    monkeypatch.setattr(Board, "_newest", lambda self: (object(), None))
    now = [1000.0]
    monkeypatch.setattr(board, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def make(**kinds):
        place = SimpleNamespace(project_path=Path("/nowhere"))
        return Board(SimpleNamespace(project=SimpleNamespace(environment="sim", place=place)), kinds), now

    return make


def test_a_pane_that_hangs_at_its_first_drawing_says_since_when_it_is_waited_for(board_of):
    release = threading.Event()
    quick = PaneKind("Quick", lambda look: Html("<p>of now</p>"))
    found, now = board_of(slow=PaneKind("Slow", lambda look: release.wait(60)), quick=quick)
    try:
        first = anyio.run(found.panes, ("slow", "quick"), 0.2)
        since = board.instant(found._drawn["slow"].asked)
        assert "It is being drawn for the first time" in first["slow"]
        now[0] += LATE + 1
        late = anyio.run(found.panes, ("slow", "quick"), 0.2)
    finally:
        release.set()
    assert f"Not known: asked for since {since}, and what it is drawn from does not answer" in late["slow"]
    assert (first["quick"], late["quick"]) == ("<p>of now</p>", "<p>of now</p>")


def test_a_pane_whose_data_are_not_of_now_is_grey_and_says_since_when(board_of):
    stale = [Stale("the close of 2025-01-02", "market data end there"), None]
    kind = PaneKind("Value", lambda look: Html("<p>of then</p>"), staleness=lambda look: stale.pop(0))
    found, _ = board_of(value=kind)
    grey = anyio.run(found.panes, ("value",), 30.0)["value"]
    assert "Stale since the close of 2025-01-02: market data end there" in grey
    assert '<div class="is-stale"><p>of then</p></div>' in grey
    assert anyio.run(found.panes, ("value",), 30.0)["value"] == "<p>of then</p>"


def test_a_pane_that_hangs_says_since_when_and_its_neighbour_stays_fresh(board_of):
    hangs = threading.Event()

    def slow(look):
        if hangs.is_set():
            release.wait(60)
        return Html("<p>of then</p>")

    release = threading.Event()
    quick = PaneKind("Quick", lambda look: Html("<p>of now</p>"), 5.0)
    found, now = board_of(slow=PaneKind("Slow", slow, 5.0), quick=quick)
    drawn = anyio.run(found.panes, ("slow", "quick"), 30.0)
    assert drawn == {"slow": "<p>of then</p>", "quick": "<p>of now</p>"}
    since = board.instant(found._drawn["slow"].since)
    hangs.set()
    try:
        now[0] += 5.0 + LATE - 1
        assert anyio.run(found.panes, ("slow", "quick"), 0.2) == drawn
        now[0] += 2
        late = anyio.run(found.panes, ("slow", "quick"), 0.2)
    finally:
        release.set()
    assert f"Stale since {since}" in late["slow"]
    assert '<div class="is-stale"><p>of then</p></div>' in late["slow"]
    assert late["quick"] == "<p>of now</p>"
    assert pd.Timestamp(since.removesuffix(" UTC"))
