"""Processes that outlive the one that started them: when each began, whose they are, and what they have printed."""

from __future__ import annotations

import signal
import socket
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import psutil

PROC: Final = Path("/proc")
BOOT: Final = PROC / "sys/kernel/random/boot_id"
MACHINE: Final = Path("/etc/machine-id")
DEAD: Final = ("Z", "X")
"""States of a process that only waits for its parent."""
READ: Final = 2**20
"""Most bytes of a file that are looked through for its last lines."""


class Stat(NamedTuple):
    """What the kernel says of a process: its state, and when it began, in ticks since this machine was started."""

    state: str
    ticks: str


def this_machine() -> str:
    """Return the name of the machine, or of the container, in which numbers of processes mean those of this one.

    Its host name, and the beginning of its identity, machine-id(5), where it has one: copies of a machine often have
    the same name, and a container may have that of its host. It stays the same when the machine is started again.
    """
    try:
        sign = MACHINE.read_text(encoding="ascii").strip()[:8]
    except (OSError, ValueError):
        sign = ""
    return f"{socket.gethostname()}/{sign}" if sign else socket.gethostname()


def birth_of(pid: int) -> str:
    """Return when a process began; empty when it is not there.

    Numbers of processes are used again: the same number with another birth is another process. The birth is counted in
    ticks since the machine was started, so it stays the same when the clock of the system is set; proc_pid_stat(5),
    field 22. Where there is no ``/proc``, it is an instant.
    """
    if BOOT.exists():
        found = _stat(pid)
        return "" if found is None else f"{_boot()}-{found.ticks}"
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return ""


def lives(pid: int, born: str) -> bool:
    """Return whether the process that began then still runs; one that only waits for its parent does not."""
    if not born or birth_of(pid) != born:
        return False
    if BOOT.exists():
        found = _stat(pid)
        return found is not None and found.state not in DEAD
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def marked_processes(mark: str) -> dict[str, list[psutil.Process]]:
    """Return the living processes of this user by the value of an environment variable that they were started with.

    Children inherit it, so it finds what a killed process has left running, whatever groups and numbers it has.
    """
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            value = process.environ().get(mark)
            if value is not None and process.status() != psutil.STATUS_ZOMBIE:
                found.setdefault(value, []).append(process)
        except (psutil.Error, OSError):
            # Another user's, or one that has just ended.
            continue
    return found


def end_processes(mark: str, value: str, patience: float, but: int | None = None) -> None:
    """End all processes with a value of an environment variable: ask them, and kill those that stay.

    Parameters
    ----------
    mark, value
        Which, see `marked_processes`.
    patience
        Seconds that they are given to end.
    but
        Number of a process that is left alone.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = [process for process in marked_processes(mark).get(value, []) if process.pid != but]
        if not found:
            return
        for process in found:
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
        psutil.wait_procs(found, patience)


def last_lines(log: Path, number: int) -> str:
    """Return the last whole lines of a file; nothing when it cannot be read."""
    try:
        with log.open("rb") as printed:
            place = max(0, log.stat().st_size - READ)
            printed.seek(place)
            text = printed.read()
    except OSError:
        return ""
    if place:
        # It begins within a line.
        text = text.partition(b"\n")[2]
    lines = text.decode(errors="replace").splitlines()[-number:]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _stat(pid: int) -> Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name of the program stands in brackets and may have any sign in it.
    fields = text.rpartition(")")[2].split()
    return Stat(fields[0], fields[19])


@cache
def _boot() -> str:
    """Return the sign of this start of the machine: ticks begin again at each one."""
    return BOOT.read_text(encoding="ascii").strip()[:8]
