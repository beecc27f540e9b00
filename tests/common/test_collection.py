"""The collector looks rarely while a command starts, as usual when it computes, and through nothing that stays."""

import atexit
import gc

import pytest

from quant_pipeline.common.collection import RARELY, USUAL, collect_as_usual, collect_rarely


@pytest.fixture
def ends(monkeypatch):
    registered = []
    monkeypatch.setattr(atexit, "register", registered.append)
    yield registered
    gc.unfreeze()
    gc.set_threshold(*USUAL)


def test_collector_waits_while_a_command_starts_and_looks_at_nothing_as_it_ends(ends):
    collect_rarely()
    assert gc.get_threshold()[0] == RARELY > USUAL[0]
    assert ends == [gc.freeze]


def test_collector_looks_as_usual_at_what_is_made_from_now_on(ends):
    collect_rarely()
    before = gc.get_freeze_count()
    collect_as_usual()
    assert gc.get_threshold() == USUAL
    assert gc.get_freeze_count() > before


def test_nothing_is_frozen_in_a_process_that_collects_as_usual(ends):
    before = gc.get_freeze_count()
    collect_as_usual()
    assert gc.get_freeze_count() == before
