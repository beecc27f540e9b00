"""Processes that outlive the one that started them: when each began, and what it has printed."""

from __future__ import annotations

from pathlib import Path

import psutil


def birth_of(pid: int) -> str:
    """Return when a process began, as the system says it; empty when it is not there.

    Numbers of processes are used again: the same number with another birth is another process.
    """
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return ""


def lives(pid: int, born: str) -> bool:
    """Return whether the process that began then still runs; one that only waits for its parent does not."""
    try:
        process = psutil.Process(pid)
        return f"{process.create_time():.2f}" == born and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def last_lines(log: Path, number: int) -> str:
    """Return the last lines of a file; nothing when it cannot be read."""
    try:
        with log.open("rb") as printed:
            printed.seek(max(0, log.stat().st_size - 200 * number))
            text = printed.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(line.rstrip() for line in text.splitlines()[-number:] if line.strip())
