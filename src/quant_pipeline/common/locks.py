"""Locks of folders between processes, which the kernel releases when their holder dies.

A lock is a file ``.lock`` in the folder that it protects, held by ``flock``. While it is held the file names the
holder; afterwards it is empty. Readers of a folder take no lock, because files appear complete or not at all.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from quant_pipeline.common.exceptions import BusyError
from quant_pipeline.common.json_files import parse_json

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5


@contextmanager
def locked(
    path: Path,
    what: str,
    *,
    shared: bool = False,
    patience: float = 0.0,
    on_wait: Callable[[str], None] = logger.warning,
) -> Iterator[None]:
    """Hold the lock of a folder.

    Parameters
    ----------
    path
        The lock's file; its folder is made.
    what
        What the lock protects, for the message: ``"the market 'simulated'"``.
    shared
        Whether others may hold it in the same way at the same time.
    patience
        Seconds to wait for a holder.
    on_wait
        Called once with a message when there is a wait.

    Raises
    ------
    BusyError
        When another process holds it for longer; the message names that process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _acquire(file, what, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, patience, on_wait)
        mine = json.dumps({"pid": os.getpid(), "command": _command(), "since": _now()})
        _write(file, mine)
        try:
            yield
        finally:
            # Another one that shares it may have written itself down since.
            if _read(file) == mine:
                _write(file, "")
            fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process after the other change what lies in a folder; it waits for moments, and leaves no file there."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _acquire(file: TextIOWrapper, what: str, kind: int, patience: float, on_wait: Callable[[str], None]) -> None:
    deadline = time.monotonic() + patience
    waited = False
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = f"{what} is in use by {_holder(file)}"
            if time.monotonic() >= deadline:
                raise BusyError(f"{busy}. Wait until it has ended, or end it, and run again.") from None
            if not waited:
                on_wait(f"{busy}; waiting for up to {patience:.0f} s")
                waited = True
            time.sleep(POLL_SECONDS)
        else:
            return


def _holder(file: TextIOWrapper) -> str:
    try:
        holder = parse_json(_read(file))
        return f"process {holder['pid']} (`{holder['command']}`, since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _read(file: TextIOWrapper) -> str:
    file.seek(0)
    return file.read()


def _write(file: TextIOWrapper, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
