"""What the live process did, line by line: appended, flushed to disk, never changed.

A line that a kill or a full disk has torn is the last one; it never counted and is cut off before the next is written.
"""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from quant_pipeline.common.exceptions import StorageError

KEPT_DAYS = pd.Timedelta(days=30)
"""How long settled tasks are remembered behind what is owed."""
TAIL = 20
"""Lines that the state of the process shows."""

BEGUN, STATE, STARTED, ENDED, MISSED, NOTE = "begun", "state", "started", "ended", "missed", "note"
REPORTED = "reported"
CHAMPION, CONFIGURATION = "champion", "configuration"
DONE, ATTENTION, FAILED, INTERRUPTED = "done", "attention", "failed", "interrupted"
SETTLING = (DONE, ATTENTION)
"""Results after which a task is not tried again."""


@dataclass(frozen=True)
class Child:
    """The command of a task that runs, or did when the process was killed.

    Attributes
    ----------
    task, session
        Name of the task and its session.
    pid, born
        Number of the process, and when the system says it began: numbers are used again.
    """

    task: str
    session: str
    pid: int
    born: str


@dataclass
class JournalState:
    """What follows from the lines.

    Attributes
    ----------
    since
        Tasks that were due at or before this instant are not owed; None before the first start.
    settled
        Tasks that were done or missed, with their sessions.
    failures
        How often a task has failed that is not settled.
    child
        The command that was running last, unless its end is known.
    last
        By kind of task, the last one that was done: instant and name.
    missed, done, failed
        How many tasks there were of each.
    unreported
        Missed tasks whose message no service has taken yet, with their sessions.
    reported
        Number of the last event of the ledger that messages have covered.
    champions
        By model, the champion that was verified last.
    """

    since: pd.Timestamp | None = None
    settled: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    child: Child | None = None
    last: dict[str, tuple[str, str]] = field(default_factory=dict)
    missed: int = 0
    done: int = 0
    failed: int = 0
    unreported: dict[str, str] = field(default_factory=dict)
    reported: int | None = None
    champions: dict[str, str] = field(default_factory=dict)

    def apply(self, line: Mapping[str, Any]) -> None:
        """Take in a line."""
        event, task = line["event"], str(line.get("task", ""))
        if event == BEGUN:
            self.since = pd.Timestamp(line["since"])
        elif event == STARTED:
            self.child = Child(task, line["session"], line["pid"], line["born"])
        elif event == ENDED:
            self._end(task, line)
        elif event == MISSED:
            self.missed += 1
            self.unreported[task] = line["session"]
            self._settle(task, line["session"])
        elif event == REPORTED:
            self.unreported.pop(task, None)
        elif event == CHAMPION and line["result"] == DONE:
            self.champions[line["model"]] = line["new"]
        if "reported" in line:
            self.reported = line["reported"]

    def _end(self, task: str, line: Mapping[str, Any]) -> None:
        self.child = None
        if line["result"] in SETTLING:
            self.done += 1
            self.last[task.partition(" ")[0]] = (line["at"], task)
            self._settle(task, line["session"])
        elif line["result"] == FAILED:
            self.failed += 1
            self.failures[task] = self.failures.get(task, 0) + 1

    def _settle(self, task: str, session: str) -> None:
        self.settled[task] = session
        self.failures.pop(task, None)

    def forget_before(self, since: pd.Timestamp) -> None:
        """Look no more at what was due before an instant, all of which is settled."""
        self.since = since
        oldest = f"{since - KEPT_DAYS:%Y-%m-%d}"
        self.settled = {name: session for name, session in self.settled.items() if session >= oldest}


class Journal:
    """The file of an account's live process; only the holder of its lock writes.

    Parameters
    ----------
    file
        The file; it is made when it does not exist.

    Attributes
    ----------
    state
        What follows from all lines.
    tail
        The last lines.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.state = JournalState()
        self.tail: deque[dict[str, Any]] = deque(maxlen=TAIL)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._end = 0
        for end, line in _read(file, self.state):
            self.tail.append(line)
            self._end = end
        os.ftruncate(self._file, self._end)

    def append(self, at: pd.Timestamp, event: str, **facts: Any) -> dict[str, Any]:
        """Write a line and bring it to the disk; only then it counts.

        Raises
        ------
        OSError
            When it cannot be written, on a full disk for instance; then nothing of it remains.
        """
        line = {"at": f"{at.tz_convert('UTC'):%Y-%m-%dT%H:%M:%S.%fZ}", "event": event, **facts}
        written = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        try:
            if os.write(self._file, written) != len(written):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))
            os.fsync(self._file)
        except OSError:
            # What of the line has arrived is cut off; the next one begins in its place.
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(written)
        self.state.apply(line)
        self.tail.append(line)
        return line

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_journal(file: Path, lines: int = TAIL) -> tuple[JournalState, deque[dict[str, Any]]]:
    """Read what a journal says and its last lines, also while the process writes it; nothing when there is none."""
    state, tail = JournalState(), deque[dict[str, Any]](maxlen=lines)
    if file.exists():
        tail.extend(line for _, line in _read(file, state))
    return state, tail


def _read(file: Path, state: JournalState) -> Iterator[tuple[int, dict[str, Any]]]:
    """Let a state take in each whole line, and yield it with the place where it ends.

    Raises
    ------
    StorageError
        When a line in between is not one of a journal.
    """
    end = 0
    with file.open("rb") as lines:
        for number, written in enumerate(lines, start=1):
            if not written.endswith(b"\n"):
                return
            end += len(written)
            try:
                line = json.loads(written)
                pd.Timestamp(line["at"])
                state.apply(line)
            except (ValueError, KeyError, TypeError) as error:
                raise StorageError(
                    f"line {number} of {file} is none of a journal. Move the file aside: the live process then begins "
                    "again with the last session that has closed; ledger and market are not touched."
                ) from error
            yield end, line
