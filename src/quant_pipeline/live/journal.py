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
from quant_pipeline.common.json_files import parse_json

LOOKED_BACK = pd.Timedelta(days=7)
"""How far before now tasks are looked at again: a clock that was ahead may have called them missed."""
KEPT_DAYS = pd.Timedelta(days=30)
"""How long settled tasks are remembered behind what is owed."""
TAIL = 20
"""Lines that the state of the process shows."""

BEGUN, STATE, STARTED, ENDED, MISSED, NOTE = "begun", "state", "started", "ended", "missed", "note"
REPORTED, RESTORED = "reported", "restored"
REDUCED = "reduced"
"""What a note says after the lasting failure of a task."""
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
    begun
        Tasks that were due at or before this instant were never owed; None before the first start.
    since
        Tasks that were due at or before this instant are settled.
    settled
        Tasks that were done or missed, with their sessions.
    overdue
        Those of them that were missed.
    failures
        How often a task has failed that is not settled.
    reduced
        Those of them that have made the account reducing.
    child
        The command that was running last, unless its end is known.
    last
        By kind of task, the last one that was done: instant and name.
    missed, done, failed
        How many tasks there were of each.
    unreported
        Missed tasks whose message no service has taken yet, with their sessions.
    reported, anchor
        Number of the last event of the ledger that messages have covered, and the hash of the chain up to it; empty
        when it is not known.
    champions
        By model, the champion that was verified last.
    """

    begun: pd.Timestamp | None = None
    since: pd.Timestamp | None = None
    settled: dict[str, str] = field(default_factory=dict)
    overdue: set[str] = field(default_factory=set)
    failures: dict[str, int] = field(default_factory=dict)
    reduced: set[str] = field(default_factory=set)
    child: Child | None = None
    last: dict[str, tuple[str, str]] = field(default_factory=dict)
    missed: int = 0
    done: int = 0
    failed: int = 0
    unreported: dict[str, str] = field(default_factory=dict)
    reported: int | None = None
    anchor: str = ""
    champions: dict[str, str] = field(default_factory=dict)

    def apply(self, line: Mapping[str, Any]) -> None:
        """Take in a line."""
        event, task = line["event"], str(line.get("task", ""))
        if event in (BEGUN, RESTORED):
            self.begun = self.since = pd.Timestamp(line["since"])
            if event == RESTORED:
                self._unsettle(line["kind"], line["booked"])
        elif event == STARTED:
            self.child = Child(task, line["session"], line["pid"], line["born"])
        elif event == ENDED:
            self._end(task, line)
        elif event == MISSED:
            self.missed += 1
            self.unreported[task] = line["session"]
            self._settle(task, line["session"])
            self.overdue.add(task)
        elif event == NOTE and line.get("what") == REDUCED:
            self.reduced.add(task)
        elif event == REPORTED:
            self.unreported.pop(task, None)
        elif event == CHAMPION and line["result"] == DONE:
            self.champions[line["model"]] = line["new"]
        if "reported" in line:
            self.reported, self.anchor = line["reported"], line.get("anchor", "")

    def _end(self, task: str, line: Mapping[str, Any]) -> None:
        self.child = None
        if line["result"] in SETTLING:
            self.done += 1
            self.last[task.partition(" ")[0]] = (line["at"], task)
            self._settle(task, line["session"])
            self.overdue.discard(task)
        elif line["result"] == FAILED:
            self.failed += 1
            self.failures[task] = self.failures.get(task, 0) + 1

    def _settle(self, task: str, session: str) -> None:
        self.settled[task] = session
        self.failures.pop(task, None)
        self.reduced.discard(task)

    def _unsettle(self, kind: str, booked: str) -> None:
        """Owe the tasks of a kind again that belong to sessions after one."""
        self.settled = {
            name: session
            for name, session in self.settled.items()
            if name.partition(" ")[0] != kind or session <= booked
        }
        self.overdue &= self.settled.keys()

    def owed_since(self, now: pd.Timestamp) -> pd.Timestamp:
        """Return from when on tasks are looked at: a little back, since a clock that was ahead may have been set.

        Raises
        ------
        ValueError
            Before the first start.
        """
        if self.begun is None or self.since is None:
            raise ValueError("nothing is owed before the first start")
        return max(self.begun, min(self.since, now - LOOKED_BACK))

    def forget_before(self, since: pd.Timestamp) -> None:
        """Look no more at what was due before an instant, all of which is settled."""
        self.since = since
        oldest = f"{since - KEPT_DAYS:%Y-%m-%d}"
        self.settled = {name: session for name, session in self.settled.items() if session >= oldest}
        self.overdue &= self.settled.keys()


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

    def replay(self) -> None:
        """Read again what follows from all lines, also what was forgotten since."""
        self.state, _ = read_journal(self.file)

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
                line = parse_json(written)
                pd.Timestamp(line["at"])
                state.apply(line)
            except (ValueError, KeyError, TypeError) as error:
                raise StorageError(
                    f"line {number} of {file} is none of a journal. Move the file aside: the live process then begins "
                    "again with the last session that has closed; ledger and market are not touched."
                ) from error
            yield end, line
