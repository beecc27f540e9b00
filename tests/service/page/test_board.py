"""The board: a pane that could not be drawn again says since when it is as it is, and is grey."""

import threading
from types import SimpleNamespace

import anyio
import pandas as pd

from quant_pipeline.reports.elements import Html
from quant_pipeline.service.page import board
from quant_pipeline.service.page.board import LATE, Board, PaneKind


def test_a_pane_that_hangs_says_since_when_and_its_neighbour_stays_fresh(monkeypatch):
    monkeypatch.setattr(Board, "_newest", lambda self: (object(), None))
    now, hangs = [1000.0], threading.Event()
    monkeypatch.setattr(board, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow(look):
        if hangs.is_set():
            release.wait(60)
        return Html("<p>of then</p>")

    release = threading.Event()
    kinds = {"slow": PaneKind("Slow", slow, 5.0), "quick": PaneKind("Quick", lambda look: Html("<p>of now</p>"), 5.0)}
    found = Board(SimpleNamespace(project=SimpleNamespace(environment="sim")), kinds)
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
