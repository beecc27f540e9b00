"""Kill the process that runs jobs at random moments, start it again, and count jobs that were lost or done twice.

``make bench-service`` runs it. Jobs are processes of their own, as in the service; what they do is to write a line.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.service.jobs.kinds import JobKind
from quant_pipeline.service.jobs.runner import JobRunner, Limits
from quant_pipeline.service.jobs.table import OPEN, JobState, JobTable
from quant_pipeline.service.jobs.worker import JobSetting

SCRIPT = """
import sys, time
with open(sys.argv[1], "a") as started:
    started.write("started\\n")
print("first line", flush=True)
time.sleep(float(sys.argv[2]))
print("last line", flush=True)
sys.exit(int(sys.argv[3]))
"""
DEPENDS_ON = {"market": "none", "parameters": "none", "code": "none"}
PATIENCE = 600.0


def _words(request: Mapping[str, Any]) -> list[str]:
    return [str(request["file"]), str(request.get("seconds", 0)), str(request.get("status", 0))]


SCRIPTED = JobKind(_words, lambda request: {}, lambda request: [], program=("-S", "-c", SCRIPT))
"""A job that writes a line into a file, prints two, sleeps in between, and ends with a status."""
NAME = "quant_pipeline.testing.job_kills.SCRIPTED"


class Counted(NamedTuple):
    """What a rehearsal has come to: kills, jobs that were acknowledged, lost, and started more than once."""

    kills: int
    jobs: int
    jobs_lost: int
    jobs_twice: int


def open_runner(folder: Path, max_jobs: int = 2, max_waiting: int = 10_000, max_ended: int = 10_000) -> JobRunner:
    """Open a table of jobs in a folder, and what runs them."""
    url = sqlite_url(folder / "jobs.sqlite")
    setting = JobSetting("", url, str(folder), "sim", {}, str(folder / "results"), 10.0, None, None, 1.0)
    return JobRunner(JobTable(url), folder / "jobs", setting, Limits(max_jobs, max_waiting, max_ended))


def rehearse(kills: int, seed: int) -> Counted:
    """Ask for jobs, one after the other, from a process that is killed again and again.

    Parameters
    ----------
    kills
        How often it is killed by SIGKILL: while it starts, while it takes a job, starts one, or looks after them.
    seed
        Of the moments.
    """
    chance = random.Random(seed)  # noqa: S311 - moments of kills
    acknowledged: list[int] = []
    with tempfile.TemporaryDirectory() as given:
        folder, number = Path(given), 0
        for _ in range(kills):
            with _running(folder) as process:
                # The first moments after a job was asked for are where something could be lost.
                for _ in range(chance.choice((0, 1, 1, 2))):
                    number += 1
                    if _ask(process, number):
                        acknowledged.append(number)
                time.sleep(chance.choice((0.0, 0.01, 0.1, 0.3, 0.8)) * chance.random())
                process.send_signal(signal.SIGKILL)
        _finish(folder)
        starts = {asked: _starts(folder, asked) for asked in range(1, number + 1)}
        done = {job.request["number"] for job in JobTable(sqlite_url(folder / "jobs.sqlite")).in_states(JobState.DONE)}
    lost = [asked for asked in acknowledged if asked not in done or not starts[asked]]
    twice = [asked for asked, count in starts.items() if count > 1]
    return Counted(kills, len(acknowledged), len(lost), len(twice))


def serve(folder: Path) -> None:
    """Run jobs, and take a new one for every number of the standard input; its name is the acknowledgement."""
    runner = open_runner(folder)
    runner.start()
    for line in sys.stdin:
        number = int(line)
        request = {"file": str(folder / f"{number}.started"), "number": number}
        job, _ = runner.ask(NAME, request, DEPENDS_ON, "rehearsal", None)
        sys.stdout.write(f"{job.id}\n")
        sys.stdout.flush()


@contextmanager
def _running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - this module
        [sys.executable, "-m", "quant_pipeline.testing.job_kills", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _ask(process: subprocess.Popen[str], number: int) -> bool:
    """Ask for a job; return whether it was acknowledged."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
    except BrokenPipeError:
        return False
    return bool(process.stdout.readline())


def _finish(folder: Path) -> None:
    """Let the last process do what is left."""
    table, deadline = open_runner(folder).table, time.monotonic() + PATIENCE
    with _running(folder):
        while table.in_states(*OPEN) and time.monotonic() < deadline:
            time.sleep(0.1)


def _starts(folder: Path, number: int) -> int:
    file = folder / f"{number}.started"
    return file.read_text().count("started") if file.exists() else 0


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
