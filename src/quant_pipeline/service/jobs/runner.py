"""Start waiting jobs, one process group each, notice processes that are gone, and end what is cancelled."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from quant_pipeline.common.processes import end_processes, lives, marked_processes, this_machine
from quant_pipeline.service.jobs.kinds import find_kind
from quant_pipeline.service.jobs.table import ENDED, OPEN, Job, JobKey, JobState, JobTable, hash_of
from quant_pipeline.service.jobs.worker import MARK, OUTPUT, JobSetting
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.results import ResultStore

logger = logging.getLogger(__name__)

TICK = 0.2
"""Seconds between two looks at the processes that this one has started."""
LOOK = 1.0
"""Seconds between two looks at the table while nothing is asked for and nothing ends."""
LOOKED_BACK = 200
"""How many jobs are looked at for processes that should have ended."""
GRACE = 5.0
"""Seconds that a cancelled job has to end."""
TIDIED = 60.0
"""Seconds between two looks for ended jobs that are too many."""


class Limits(NamedTuple):
    """How many jobs run, how many may wait, and how many that have ended are kept."""

    running: int
    waiting: int
    ended: int


class JobRunner:
    """The jobs of one account; one service runs them, and any number of them survives it.

    Parameters
    ----------
    table
        Where jobs are recorded.
    folder
        Where each job has a folder of its own.
    setting
        What all jobs have in common.
    limits
        How many there are.
    """

    def __init__(self, table: JobTable, folder: Path, setting: JobSetting, limits: Limits) -> None:
        self.table = table
        self._folder, self._setting, self._limits = folder, setting, limits
        self._results = ResultStore(Path(setting.results), setting.max_megabytes)
        self._spawned: dict[str, subprocess.Popen[bytes]] = {}
        self._tidied = float("-inf")
        self._here = this_machine()
        self._stopping, self._news = threading.Event(), threading.Event()
        self._asking = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to look after jobs; what has ended in the table, but not on this machine, is ended now."""
        for job in self.table.newest(LOOKED_BACK):
            if job.state in ENDED:
                self._end_worker(job)
        for id in marked_processes(MARK):
            # A job of another account is in another table.
            if (found := self.table.find(id)) is not None and found.state in ENDED:
                self._end_group(found)
        self._thread.start()

    def stop(self) -> None:
        """Leave jobs alone; those that run go on."""
        self._stopping.set()
        self._news.set()
        self._thread.join(GRACE)

    def ask(
        self, kind: str, request: Mapping[str, Any], depends_on: Mapping[str, Any], asked_by: str, key: JobKey | None
    ) -> tuple[Job, bool]:
        """Return the job that answers a question: one with the same question when there is one, else a new one.

        Parameters
        ----------
        kind, request
            What is to be done.
        depends_on
            What else the result depends on: parameters, market, version of the code.
        asked_by
            Holder of the token.
        key
            Of ``Idempotency-Key``: the same request with it is the same job, whatever has happened since.

        Returns
        -------
        tuple
            The job, and whether it was there already.

        Raises
        ------
        Refused
            When the key belongs to another request, or too many jobs wait.
        """
        question = hash_of({"kind": kind, "request": request, **depends_on})
        with self._asking:
            if (found := self.of_key(key)) is not None:
                return found, True
            useful = (*OPEN, JobState.DONE) if find_kind(kind).is_answer else OPEN
            if (same := self.table.of_question(question, *useful)) is not None and self._has_tables(same):
                return same, True
            if len(self.table.in_states(JobState.WAITING)) >= self._limits.waiting:
                text = f"{self._limits.waiting} jobs wait already"
                raise Refused(429, "too many jobs", text, "Cancel some, or wait.", headers={"Retry-After": "60"})
            try:
                added = self.table.add(uuid.uuid4().hex, kind, request, question, asked_by, key)
            except sa.exc.IntegrityError:
                # The service of another machine was asked with the same key at the same moment.
                if (found := self.of_key(key)) is None:
                    raise
                return found, True
        self._news.set()
        return added, False

    def of_key(self, key: JobKey | None) -> Job | None:
        """Return the job that was asked for with a key; None when there is none.

        Raises
        ------
        Refused
            When the key belongs to another request.
        """
        found = None if key is None else self.table.of_key(key.name)
        if found is not None and key is not None and found.asked != key.asked:
            text = "the key belongs to another request"
            raise Refused(409, "key in use", text, "Take a new one.", "Idempotency-Key")
        return found

    def cancel(self, job: Job) -> Job:
        """End a job: record it, then end its whole group of processes; on another machine its own process does that."""
        counted = self.table.end(job, JobState.CANCELLED, None, "cancelled")
        if counted and (now := self.table.find(job.id)) is not None and now.pid is not None:
            threading.Thread(target=self._end_group, args=(now,), daemon=True).start()
        # It may be forgotten already, when it was the oldest of those that are kept.
        return self.table.find(job.id) or replace(job, state=JobState.CANCELLED)

    def _has_tables(self, job: Job) -> bool:
        """Return whether all tables of a job are kept: what has made room for others is made again."""
        tables = (job.result or {}).get("tables", {})
        return all(self._results.has(hash) for hash in tables.values())

    def output_of(self, job: Job) -> Path:
        """Return the file of what the command of a job has printed."""
        return self._folder / job.id / OUTPUT

    def step(self) -> None:
        """Look at the table once: notice what is gone, and start what waits."""
        for id, process in list(self._spawned.items()):
            if process.poll() is not None:
                del self._spawned[id]
                if (found := self.table.find(id)) is not None:
                    self.table.end_unclaimed(found, f"its process ended with {process.returncode} before it had begun")
        # Of those of another machine nothing is known here: the service there looks after them.
        running = [job for job in self.table.in_states(JobState.RUNNING) if job.host == self._here]
        for job in running:
            if not lives(job.pid or 0, job.born or "") and not self._has_ended(job):
                # Its command may go on without it: were it asked for again now, both would write the same tables.
                self._end_group(job)
                self.table.end(job, JobState.LOST, None, "its process was killed; ask for it again")
        waiting = [job for job in self.table.in_states(JobState.WAITING) if job.id not in self._spawned]
        for job in [job for job in waiting if job.state is JobState.FAILED]:
            self.table.end(job, JobState.FAILED, None, job.message or "")
            waiting.remove(job)
        unclaimed = [id for id in self._spawned if id not in {job.id for job in running}]
        for job in waiting[: max(0, self._limits.running - len(running) - len(unclaimed))]:
            self._spawn(job)
        if time.monotonic() - self._tidied > TIDIED:
            self._tidied = time.monotonic()
            self.tidy()

    def tidy(self) -> None:
        """Forget the oldest of the jobs that have ended, with what they printed, when there are too many."""
        for id in self.table.ended_before(self._limits.ended):
            # The folder first: what is left by a kill in between still has its row, and goes the next time.
            shutil.rmtree(self._folder / id, ignore_errors=True)
            self.table.forget(id)

    def _has_ended(self, job: Job) -> bool:
        """Look again: a process that is gone may have recorded its end since the table was read."""
        now = self.table.find(job.id)
        return now is None or now.state in ENDED

    def _spawn(self, job: Job) -> None:
        folder = self._folder / job.id
        replace(self._setting, id=job.id, host=self._here).write(folder)
        self._spawned[job.id] = subprocess.Popen(  # noqa: S603 - the words are ours
            [sys.executable, "-m", "quant_pipeline.service.jobs.worker", str(folder)],
            cwd=self._setting.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end_group(self, job: Job) -> None:
        """End the process of a job, its command, and whatever that has started, also when some of them are gone."""
        self._end_worker(job)
        end_processes(MARK, job.id, GRACE)

    def _end_worker(self, job: Job) -> None:
        if job.host != self._here or job.pid is None:
            return
        for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
            if not lives(job.pid, job.born or ""):
                return
            with suppress(ProcessLookupError):
                os.killpg(job.pid, number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and lives(job.pid, job.born or ""):
                time.sleep(TICK)

    def _live(self) -> None:
        looked = float("-inf")
        while not self._stopping.is_set():
            is_asked = self._news.wait(TICK)
            has_ended = any(process.poll() is not None for process in self._spawned.values())
            if not is_asked and not has_ended and time.monotonic() - looked < LOOK:
                continue
            self._news.clear()
            looked = time.monotonic()
            try:
                self.step()
            except (sa.exc.SQLAlchemyError, OSError) as error:
                # A full disk or a database that restarts: jobs wait until it is over.
                logger.warning("jobs cannot be looked after now: %s", error)
                self._stopping.wait(10 * TICK)
