"""A table of jobs, and a runner that is stepped by the test; what it runs are real processes."""

import time
from types import SimpleNamespace

import psutil
import pytest

from quant_pipeline.service.jobs.table import JobKey
from quant_pipeline.testing.job_kills import NAME, open_runner
from tests.helpers.project import PROJECT

KNOWN = {"market": "1", "parameters": "2", "code": "3"}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A table and a runner that is stepped by the test."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "src"))
    return desk_of(tmp_path)


def desk_of(folder):
    runner = open_runner(folder, max_jobs=1, max_waiting=3)
    return SimpleNamespace(table=runner.table, runner=runner, folder=folder, started=folder / "started")


def ask(desk, number=0, key=None, **request):
    request = {"file": str(desk.started), "number": number, **request}
    named = None if key is None else JobKey.of("test", key, NAME, request)
    return desk.runner.ask(NAME, request, KNOWN, "test", named)


def until(desk, job, *states, step=True):
    deadline = time.monotonic() + 120
    while (found := desk.table.find(job.id)).state not in states:
        assert time.monotonic() < deadline, found
        if step:
            desk.runner.step()
        time.sleep(0.02)
    return found


def starts(desk):
    return desk.started.read_text().count("started") if desk.started.exists() else 0


def children_of(desk, pid):
    """Return the processes below one as soon as its command has begun."""
    deadline = time.monotonic() + 60
    while not starts(desk):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return psutil.Process(pid).children(recursive=True)
