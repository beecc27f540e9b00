"""A second process that compiles kernels on a core of its own, while the run that needs them does its other work.

Neither compiles what the other one does: at a kernel that is not kept yet the run waits until the second process has
kept it. That process holds a lock as long as it lives. So a run learns at once that it has ended, however that was, and
compiles here what is still missing. A mark says of which sources everything is kept, so that no later run starts one.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, TypeVar

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.compilation import digest_files
from quant_pipeline.common.cores import usable_cores
from quant_pipeline.common.numba_settings import folders_of_kept_code, is_compilation_off
from quant_pipeline.common.progress import track

logger = logging.getLogger(__name__)

TRADING: Final = "trading"
PACKAGES: Final = {
    TRADING: ("exchange", "strategy", "backtest"),
    "factors": ("factors/kernels", "evaluation", "market/sources/files/kernels"),
}
"""Folders of the kernels that `kedro compile` compiles as a part."""
SECONDS_BETWEEN_LOOKS: Final = 0.1
SECONDS_BETWEEN_STEPS: Final = 1.0

_ROOT = Path(__file__).parents[1]
_awaited: set[str] = set()
"""Parts that this process leaves to another one as long as that compiles."""

Kept = TypeVar("Kept")


def part_of(folder: Path) -> str | None:
    """Return the part to which kernels of a folder belong; None for kernels of no part."""
    return next((part for part, packages in PACKAGES.items() if folder in {_ROOT / name for name in packages}), None)


def compile_beside(part: str) -> subprocess.Popen[bytes] | None:
    """Start the second process, where there is a core for it and something to compile.

    Parameters
    ----------
    part
        What it compiles.

    Returns
    -------
    subprocess.Popen or None
        The process, which is ended with this one at the latest; None when none was started.
    """
    folder = _folder()
    if folder is None or is_compilation_off() or usable_cores() < 2 or is_marked(part):
        return None
    _awaited.add(part)
    with _lock_of(folder, part).open("a") as lock:
        if not _take(lock.fileno()):
            return None  # Another process compiles the same, and is waited for as well.
        # The lock is inherited: it is released when the second process has ended, not when this one lets go of it.
        process = subprocess.Popen(  # noqa: S603 - this interpreter, with words that are written here
            _command(part),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock.fileno(),),
        )
    logger.info("Compiling the kernels of %s in a second process beside this run, once", part)
    atexit.register(process.terminate)
    return process


@contextmanager
def compiling(part: str) -> Iterator[None]:
    """Compile a part in this process: others that run meanwhile wait for it, and nothing is left to do afterwards."""
    folder = None if is_compilation_off() else _folder()
    if folder is None:
        yield
        return
    with _lock_of(folder, part).open("a") as lock:
        _take(lock.fileno())
        yield
        write_text(_mark_of(folder, part), _digest(part))


def is_marked(part: str) -> bool:
    """Return whether all kernels of a part were kept with these sources and these libraries."""
    folder = _folder()
    try:
        return folder is not None and _mark_of(folder, part).read_text(encoding="ascii") == _digest(part)
    except OSError:
        return False


def load_or_wait(part: str, load: Callable[..., Kept | None], *arguments: object) -> Kept | None:
    """Load machine code that is kept, or will be as soon as another process has compiled it.

    Parameters
    ----------
    part
        Part that it belongs to.
    load, arguments
        Returns the machine code, or None as long as it is not kept.

    Returns
    -------
    object or None
        None when it has to be compiled here.
    """
    found = load(*arguments)
    folder = _folder() if found is None and part in _awaited else None
    if folder is None:
        return found
    lock = _lock_of(folder, part)
    if _is_held(lock):
        logger.info("Waiting for kernels of %s, which a second process compiles", part)

    def look() -> Generator[None]:
        nonlocal found
        step = time.monotonic()
        while found is None and _is_held(lock):
            time.sleep(SECONDS_BETWEEN_LOOKS)
            found = load(*arguments)
            if time.monotonic() - step >= SECONDS_BETWEEN_STEPS:
                step = time.monotonic()
                yield

    for _ in track(look(), "seconds of waiting for kernels"):
        pass
    if found is None:
        _awaited.discard(part)
        found = load(*arguments)
    return found


def _command(part: str) -> list[str]:
    return [sys.executable, "-m", "quant_pipeline.cli.compile", part]


def _folder() -> Path | None:
    """Return the folder of locks and marks; None when none can be written, so that nothing is kept."""
    for folder in folders_of_kept_code(Path(__file__)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    return None


def _lock_of(folder: Path, part: str) -> Path:
    return folder / f"kernels-{part}.lock"


def _mark_of(folder: Path, part: str) -> Path:
    return folder / f"kernels-{part}.kept"


def _digest(part: str) -> str:
    files = (file for package in PACKAGES[part] for file in (_ROOT / package).glob("*.py"))
    versions = (sys.implementation.cache_tag, version("numba"), version("llvmlite"))
    return " ".join((digest_files(files), *map(str, versions)))


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_held(path: Path) -> bool:
    try:
        with path.open("a") as lock:
            return not _take(lock.fileno())
    except OSError:
        return False
