"""Tasks as command lines, each in a process and a group of processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from quant_pipeline.common.processes import birth_of, last_lines
from quant_pipeline.live.journal import Child
from quant_pipeline.live.timetable import ExchangeSessions, Task, TaskKind

PROGRAM = (sys.executable, "-m", "quant_pipeline")
TICK = 0.1
"""Seconds between two looks at a command that runs."""
GRACE = 10.0
"""Seconds that a command has to end after it was asked to."""
KEPT_SECONDS = 60 * 86_400.0
"""How long what commands have printed is kept."""
COMMANDS: dict[TaskKind, tuple[str, ...]] = {
    TaskKind.DRY_RUN: ("--pipelines", "execution"),
    TaskKind.EXECUTION: ("--pipelines", "execution"),
    TaskKind.RECONCILIATION: ("account", "reconcile"),
    TaskKind.CHECK: ("live", "--check"),
    TaskKind.BACKUP: ("account", "backup"),
}


class Ran(NamedTuple):
    """How a command ended: its exit status (negative for a signal), how long it took, and its last lines."""

    status: int
    seconds: float
    last_lines: str


@dataclass(frozen=True)
class Commands:
    """How the tasks of an account are run.

    Attributes
    ----------
    project
        Folder in which commands start.
    environment
        Environment of Kedro.
    params
        What ``--params`` of the process say; each command gets them too.
    logs
        Folder for what commands print.
    program
        What runs a command line of the project.
    daily
        Pipelines of the daily run.
    """

    project: Path
    environment: str
    params: Mapping[str, Any]
    logs: Path
    program: Sequence[str] = field(default=PROGRAM)
    daily: Sequence[str] = ("daily",)

    def words(self, task: Task, calendar: ExchangeSessions) -> list[str]:
        """Return the command line of a task."""
        decided = task.kind in (TaskKind.EXECUTION, TaskKind.DRY_RUN)
        as_of = calendar.previous(task.session) if decided else task.session
        params = {**self.params, "as_of": f"{as_of:%Y-%m-%d}"}
        if task.kind is TaskKind.DRY_RUN:
            params["dry_run"] = "true"
        named = ("--pipelines", ",".join(self.daily)) if task.kind is TaskKind.DAILY else COMMANDS[task.kind]
        return [*self.program, *named, "--env", self.environment, "--params", _joined(params)]

    def start(self, task: Task, calendar: ExchangeSessions) -> Running:
        """Start the command of a task."""
        return self._started(task.name.replace(" ", "-"), self.words(task, calendar))

    def begin(self, name: str, words: Sequence[str], **params: str) -> Running:
        """Start a command that is no task; ``name`` is that of the file for what it prints now."""
        known = {**self.params, **params}
        given = ["--params", _joined(known)] if known else []
        with suppress(OSError):
            (self.logs / f"{name}.log").unlink()
        return self._started(name, [*self.program, *words, "--env", self.environment, *given])

    def _started(self, name: str, words: Sequence[str]) -> Running:
        log = self.logs / f"{name}.log"
        with _opened(log) as printed:
            process = subprocess.Popen(  # noqa: S603 - the words are ours
                words,
                cwd=self.project,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, log, time.monotonic())

    def forget_old_logs(self) -> None:
        """Remove what commands have printed long ago."""
        for log in self.logs.glob("*.log"):
            with suppress(OSError):
                if log.stat().st_mtime < time.time() - KEPT_SECONDS:
                    log.unlink()


@dataclass
class Running:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float

    @property
    def pid(self) -> int:
        """Number of the process, and of its group."""
        return self.process.pid

    def wait(self, tick: Callable[[], bool], patience: float) -> Ran:
        """Wait until it has ended.

        Parameters
        ----------
        tick
            Called again and again; the command is ended when it returns False.
        patience
            Seconds after which the command is ended.
        """
        while self.process.poll() is None:
            if not tick() or time.monotonic() - self.began > patience:
                self.end()
                break
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(TICK)
        return Ran(self.process.wait(), time.monotonic() - self.began, self.last_lines())

    def end(self) -> None:
        """End the group: ask, then kill. Commands may end at any moment; what was sent is looked up by the next one."""
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE)
                break
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def last_lines(self, number: int = 12) -> str:
        """Return the last lines that it has printed."""
        return last_lines(self.log, number)


def end_orphan(child: Child | None) -> bool:
    """End the group of a command that a killed process has left running, and return whether there was one."""
    if child is None or not child.born or birth_of(child.pid) != child.born:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        deadline = time.monotonic() + GRACE
        while birth_of(child.pid) == child.born and time.monotonic() < deadline:
            if psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.02)
    return True


def _joined(params: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in params.items())


def _opened(log: Path) -> IO[bytes]:
    """Open the file for what a command prints; on a full disk it is printed nowhere, and the command runs."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")
    except OSError:
        return open(os.devnull, "ab")
