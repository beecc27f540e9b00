"""Kernels that a second process compiles: waited for while it lives, compiled here when it does not."""

import os
import sys

import pytest

from quant_pipeline.common import compilation_beside
from quant_pipeline.common.compilation_beside import TRADING, compile_beside, compiling, is_marked, load_or_wait
from quant_pipeline.strategy.decision import decide

WORKING = [sys.executable, "-c", "import time; time.sleep(600)"]
FAILING = [sys.executable, "-c", "raise SystemExit(1)"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Nothing is kept, and there are two cores."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(compilation_beside, "_awaited", set())
    return tmp_path


@pytest.fixture
def second_process(monkeypatch):
    """Start a second process of which the test decides what it does; it is ended with the test."""
    started = []

    def start(command):
        monkeypatch.setattr(compilation_beside, "_command", lambda part: command)
        started.append(compile_beside(TRADING))
        return started[-1]

    yield start
    for process in started:
        if process is not None:
            process.kill()
            process.wait()


def code_after(looks, meanwhile=lambda: None):
    """Return what looks for machine code and finds it after some looks, None for never."""
    seen = []

    def look():
        seen.append(None)
        meanwhile()
        return b"code" if looks is not None and len(seen) > looks else None

    return look


def test_machine_code_is_taken_as_soon_as_the_second_process_has_kept_it(second_process):
    process = second_process(WORKING)
    assert load_or_wait(TRADING, code_after(3)) == b"code"
    assert process.poll() is None


def test_what_a_killed_process_has_not_kept_is_compiled_here(second_process):
    process = second_process(WORKING)
    assert load_or_wait(TRADING, code_after(None, meanwhile=process.kill)) is None
    assert load_or_wait(TRADING, code_after(None, meanwhile=lambda: None)) is None  # At once, for good.


def test_what_a_failed_process_has_not_kept_is_compiled_here(second_process):
    process = second_process(FAILING)
    assert load_or_wait(TRADING, code_after(None)) is None
    assert process.wait() == 1
    assert not is_marked(TRADING)


def test_kernels_that_another_command_compiles_are_waited_for_and_not_compiled_twice(second_process):
    with compiling(TRADING):
        assert second_process(WORKING) is None
        assert load_or_wait(TRADING, code_after(2)) == b"code"


def test_a_process_that_has_started_no_second_one_never_waits():
    with compiling(TRADING):
        assert load_or_wait(TRADING, code_after(None)) is None


def test_no_second_process_where_everything_is_kept(second_process):
    with compiling(TRADING):
        pass
    assert is_marked(TRADING)
    assert second_process(WORKING) is None


def test_an_interrupted_compilation_leaves_no_mark(second_process):
    with pytest.raises(SystemExit), compiling(TRADING):
        raise SystemExit(1)
    assert not is_marked(TRADING)
    assert second_process(WORKING) is not None


def test_no_second_process_on_one_core(monkeypatch, second_process):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert second_process(WORKING) is None


def test_no_second_process_and_no_mark_where_nothing_is_compiled(monkeypatch, second_process):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with compiling(TRADING):
        pass
    assert second_process(WORKING) is None
    monkeypatch.delenv("NUMBA_DISABLE_JIT")
    assert not is_marked(TRADING)


def test_no_second_process_where_nothing_can_be_kept(folder, monkeypatch, second_process):
    (folder / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder / "file"))
    assert second_process(WORKING) is None
    with compiling(TRADING):
        pass
    assert not is_marked(TRADING)


def test_kernels_of_trading_are_those_that_are_waited_for():
    assert decide._cache._cache_file.load.func is load_or_wait
    assert decide._cache._cache_file.load.args[0] == TRADING
