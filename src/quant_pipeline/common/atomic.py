"""Files and folders that appear complete or not at all.

Everything is written to a temporary neighbour and renamed into place, which is atomic within one file system. A process
that is killed leaves its neighbour behind; its name holds the process, so that a later run can tell it from the
neighbour of a live process and remove it (:func:`sweep`).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer."""
_NEIGHBOUR = re.compile(r"\..+\.(?P<pid>\d+)\.(?:tmp|old)")


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Give a temporary path that takes the place of a file when the block ends without an error.

    Parameters
    ----------
    path
        The file; its folder is made.

    Yields
    ------
    pathlib.Path
        Where the block writes. Nothing remains of it when the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path, "tmp")
    try:
        yield beside
        flush(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes a new file when the block ends without an error.

    The names of the file and of the folders that are made for it are flushed to disk, too.

    Parameters
    ----------
    path
        The file; its folder is made.

    Yields
    ------
    pathlib.Path
        Where the block writes. Nothing remains of it when the block raises.

    Raises
    ------
    FileExistsError
        When there is a file of this name by then; it is left as it is.
    """
    make_folders(path.parent)
    beside = _beside(path, "tmp")
    try:
        yield beside
        flush(beside)
        _name(beside, path)
        flush(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a new, empty folder that takes the place of another when the block ends without an error.

    A kill between the two renames leaves no folder, never a mixture of two. Of two processes that replace it at once
    the later one wins.

    Parameters
    ----------
    folder
        The folder; what it holds is replaced as a whole.

    Yields
    ------
    pathlib.Path
        Where the block writes. Nothing remains of it when the block raises.
    """
    beside, old = _beside(folder, "tmp"), _beside(folder, "old")
    for leftover in (beside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        while not _has_taken_the_place(beside, folder, old):
            shutil.rmtree(old, ignore_errors=True)
    finally:
        for leftover in (beside, old):
            shutil.rmtree(leftover, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text completely or not at all, in UTF-8."""
    with replacing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes completely or not at all."""
    with replacing_file(path) as beside:
        beside.write_bytes(content)


def remove_folder(folder: Path) -> None:
    """Remove a folder as a whole: it is renamed first, and what a kill leaves of it is a left-over for `sweep`."""
    old = _beside(folder, "old")
    folder.rename(old)
    shutil.rmtree(old)


def sweep(root: Path) -> list[Path]:
    """Remove the temporary neighbours of processes that live no more, and of this one.

    A process calls it before it writes. In a container every process may have the number of the one before.

    Parameters
    ----------
    root
        Folder below which to look.

    Returns
    -------
    list of pathlib.Path
        What was removed.
    """
    removed = []
    for folder, folders, files in os.walk(root):
        leftovers = [name for name in (*folders, *files) if _is_left_over(name)]
        for name in leftovers:
            path = Path(folder, name)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            removed.append(path)
        folders[:] = [name for name in folders if name not in leftovers]
    return removed


def _has_taken_the_place(beside: Path, folder: Path, old: Path) -> bool:
    """Move a new folder into the place of another; false when another process has put its own there meanwhile."""
    with suppress(FileNotFoundError):
        folder.rename(old)
    try:
        beside.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


def _name(beside: Path, path: Path) -> None:
    """Give a file its name, unless another one has it."""
    try:
        # A link fails where the name is taken, which a rename replaces.
        os.link(beside, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        beside.rename(path)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, and bring their names to the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in reversed(missing):
        flush(each.parent)


def flush(path: Path) -> None:
    """Bring the content of a file, or the names in a folder, to the disk.

    Before a rename: a power failure must not leave an empty file in its place.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_left_over(name: str) -> bool:
    match = _NEIGHBOUR.fullmatch(name)
    return match is not None and (int(match["pid"]) == os.getpid() or not is_alive(int(match["pid"])))


def is_alive(pid: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
