"""The process of one job: it claims the job, runs its command, and records the end, whatever becomes of the service."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeVar

import sqlalchemy as sa

from quant_pipeline.common.exceptions import StorageError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.openmp import let_waiting_threads_sleep
from quant_pipeline.common.processes import birth_of, end_processes, last_lines, this_machine
from quant_pipeline.service.faults import FAULTS
from quant_pipeline.service.jobs.kinds import command_of, find_kind, parameters_of
from quant_pipeline.service.jobs.table import Job, JobState, JobTable
from quant_pipeline.service.redaction import without_paths

Found = TypeVar("Found")
SETTING: Final = "job.json"
OUTPUT: Final = "output.log"
PATIENCE: Final = 600.0
"""Seconds that a job waits for a database that does not answer; what it has computed is worth that."""
NICE: Final = 10
"""Jobs give way to everything else, the answers of the service first."""
AUTOGROUP: Final = Path("/proc/self/autogroup")
"""Nice value of all processes of a session, where Linux shares its processor between sessions, sched(7)."""
MARK: Final = "QUANT_PIPELINE_JOB"
"""Environment variable of the command of a job, and of all that it starts: the name of the job."""


WATCH: Final = 2.0
"""Seconds between two looks whether a job is still wanted."""
GRACE: Final = 5.0
"""Seconds that a command, and what it has printed last, are given to end."""
CHUNK: Final = 65_536
"""Bytes that are read at once, and that are kept of the end of what is too long."""


@dataclass(frozen=True)
class JobSetting:
    """What the process of a job has to know; it lies in the folder of the job.

    Attributes
    ----------
    id, url
        The job, and the database of jobs.
    project, environment, params
        Where and for which account the command runs.
    results, max_megabytes
        Where resulting tables are kept, and how much space these have.
    threads, gigabytes, hours
        Limits; None does not limit.
    cores
        How many cores it computes on; None: all but one, which is left to the answers of the service.
    printed_megabytes
        How much of what its command prints is kept.
    host
        What the service calls this machine, see `this_machine`: its name may change while the service runs.
    """

    id: str
    url: str
    project: str
    environment: str
    params: Mapping[str, Any]
    results: str
    max_megabytes: float
    threads: int | None
    gigabytes: float | None
    hours: float
    cores: int | None = None
    printed_megabytes: float = 64.0
    host: str = ""

    def write(self, folder: Path) -> None:
        """Write it into the folder of the job, readable by this user alone: the database's URL may carry a password."""
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / SETTING, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as opened:
            json.dump(asdict(self), opened)

    @classmethod
    def read(cls, folder: Path) -> JobSetting:
        """Read it.

        Raises
        ------
        StorageError
            When it is damaged.
        """
        file = folder / SETTING
        try:
            return cls(**read_json(file))
        except (ValueError, TypeError) as error:
            raise StorageError(f"{file} cannot be read: {error}. Ask for the job again.") from error


class Unwanted(Exception):
    """The job was ended in its table while its command ran, as by the service of another machine."""


class Outcome(NamedTuple):
    """How a job has ended, as its table records it."""

    state: JobState
    status: int | None
    message: str
    result: Mapping[str, Any] | None = None


def main(folder: Path) -> int:
    """Do the job of a folder, unless another process does it."""
    setting = JobSetting.read(folder)
    table = patiently(lambda: JobTable(setting.url))
    job = _claimed(table, setting)
    if job is None:
        return 0
    if (folder / OUTPUT).exists():
        # The table is an older one than the folder: a backup that was put back.
        text = "it was begun before the table of jobs was put back; ask for it again"
        patiently(lambda: table.end(job, JobState.LOST, None, text))
        return 1
    _give_way(setting.cores)
    try:
        outcome = outcome_of(job, setting, folder / OUTPUT, lambda: _is_running(table, setting.id))
    except Unwanted:
        return 1
    except subprocess.TimeoutExpired:
        text = f"it took longer than {setting.hours:g} hours and was ended"
        patiently(lambda: table.end(job, JobState.FAILED, None, text))
        os.killpg(0, signal.SIGKILL)
    patiently(lambda: table.end(job, *outcome))
    return 0 if outcome.state is JobState.DONE else 1


def outcome_of(job: Job, setting: JobSetting, output: Path, is_wanted: Callable[[], bool] = lambda: True) -> Outcome:
    """Run the command of a job and keep its tables; whatever fails of that is how the job has ended.

    Parameters
    ----------
    job, setting
        What is done, and how.
    output
        File of what the command prints.
    is_wanted
        Asked every few seconds: whether the job still runs by its table.

    Raises
    ------
    subprocess.TimeoutExpired
        When the command takes too long; it was ended.
    Unwanted
        When the job was ended in its table; so was the command.
    """
    try:
        status = _run(job, setting, output, is_wanted)
        lines = last_lines(output, 30).splitlines()
    except FAULTS as error:
        return _failed(setting, None, f"its command could not be run: {error}")
    if status:
        return _failed(setting, status, lines[-1] if lines else f"its command ended with status {status}")
    try:
        tables = _keep_tables(job, setting)
    except FAULTS as error:
        text = f"its command succeeded, its tables could not be kept: {type(error).__name__}: {error}"
        return _failed(setting, status, text)
    return Outcome(JobState.DONE, 0, "done", {"tables": tables, "lines": lines})


def patiently(change: Callable[[], Found], seconds: float = PATIENCE) -> Found:
    """Return what the database answers; while it does not, as when it is restarted, ask again for some minutes.

    Raises
    ------
    sqlalchemy.exc.SQLAlchemyError
        When it does not answer for ``seconds``.
    """
    deadline, pause = time.monotonic() + seconds, 0.2
    while True:
        try:
            return change()
        except sa.exc.SQLAlchemyError:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def _claimed(table: JobTable, setting: JobSetting) -> Job | None:
    """Return the job when this process does it, also when the answer to its claim was lost."""
    me = (setting.host or this_machine(), os.getpid(), birth_of(os.getpid()))
    patiently(lambda: table.claim(setting.id, *me))
    found = patiently(lambda: table.find(setting.id))
    is_mine = found is not None and found.state is JobState.RUNNING and (found.host, found.pid, found.born) == me
    return found if is_mine else None


def _is_running(table: JobTable, id: str) -> bool:
    """Return whether a job runs by its table; a database that does not answer now says nothing else."""
    try:
        found = table.find(id)
    except sa.exc.SQLAlchemyError:
        return True
    return found is not None and found.state is JobState.RUNNING


def _failed(setting: JobSetting, status: int | None, reason: str) -> Outcome:
    return Outcome(JobState.FAILED, status, without_paths(reason, Path(setting.project)))


def _give_way(cores: int | None) -> None:
    """Let everything else go first: less time by the nice value, and no thread of a job interrupts an answer.

    Training wakes its threads thousands of times a second; of the policy ``SCHED_BATCH``, one that wakes waits for its
    turn, sched(7). An answer that finds a core free waits for none at all. Neither changes what is computed: how many
    threads a model has is one of its parameters.

    A job leads a session of its own. Where sessions share the processor, a nice value counts inside of its session
    alone, so that the session takes the value as well.
    """
    os.nice(NICE)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            AUTOGROUP.write_text(f"{NICE}\n", encoding="ascii")
    if hasattr(os, "sched_setaffinity"):
        found = sorted(os.sched_getaffinity(0))
        with suppress(OSError):
            os.sched_setaffinity(0, found[-(cores or max(len(found) - 1, 1)) :])
    if hasattr(os, "SCHED_BATCH"):
        # A sandbox may not allow it.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _run(job: Job, setting: JobSetting, output: Path, is_wanted: Callable[[], bool]) -> int:
    words = command_of(job.kind, job.request, setting.environment, setting.params)
    environment = {**os.environ, MARK: job.id}
    let_waiting_threads_sleep(environment)
    if setting.threads is not None:
        names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS")
        environment |= dict.fromkeys(names, str(setting.threads))
    if setting.gigabytes is not None:
        most = int(setting.gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    command = subprocess.Popen(  # noqa: S603 - words of `kinds`, requests were checked
        [sys.executable, *words],
        cwd=setting.project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert command.stdout is not None
    most = int(setting.printed_megabytes * 2**20)
    writing = threading.Thread(target=keep_output, args=(command.stdout, output, most), daemon=True)
    writing.start()
    try:
        return _waited(command, setting.hours * 3600, is_wanted)
    except (subprocess.TimeoutExpired, Unwanted):
        # Before the end is recorded: were this process killed in between, the job would be lost, not forgotten.
        end_processes(MARK, job.id, GRACE)
        raise
    finally:
        # What the command has left running may hold the pipe.
        writing.join(GRACE)


def _waited(command: subprocess.Popen[bytes], seconds: float, is_wanted: Callable[[], bool]) -> int:
    """Return the status of a command that ends in time, as long as it is wanted."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return command.wait(max(0.0, min(WATCH, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise
        if not is_wanted():
            raise Unwanted


def keep_output(printed: IO[bytes], output: Path, most: int) -> None:
    """Write what a command prints to a file; of more than there is room for the beginning and the end.

    Parameters
    ----------
    printed
        The pipe; it is read to its end whatever becomes of the file, for a command whose pipe is full waits.
    output
        The file.
    most
        Bytes of the beginning.
    """
    written, left_out, end = 0, 0, b""
    with suppress(OSError), output.open("ab", buffering=0) as file:
        while part := os.read(printed.fileno(), CHUNK):
            kept, rest = part[: most - written], part[most - written :]
            file.write(kept)
            written += len(kept)
            if rest and not left_out:
                file.write(
                    f"\n[more than {most / 2**20:g} MiB were printed: the last lines follow at the end]\n".encode()
                )
            left_out += len(rest)
            end = (end + rest)[-CHUNK:]
        if left_out:
            file.write(f"[{left_out - len(end):,} bytes are left out]\n".encode() + end)
    while os.read(printed.fileno(), CHUNK):
        pass


def _keep_tables(job: Job, setting: JobSetting) -> dict[str, str]:
    """Keep the tables that the command has made, and return their hashes."""
    kind = find_kind(job.kind)
    names = kind.tables(job.request)
    if not names:
        return {}
    from quant_pipeline.project.opened_catalog import open_catalog
    from quant_pipeline.service.results import ResultStore

    store = ResultStore(Path(setting.results), setting.max_megabytes)
    params = parameters_of(job.kind, job.request, setting.params)
    catalog = open_catalog(setting.project, setting.environment, params)
    return {name: store.put(catalog.load(name)) for name in names if catalog.exists(name)}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
