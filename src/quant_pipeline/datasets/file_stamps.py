"""What tells a file from the one that takes its place, while it is in use and from one process to the next."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.common.exceptions import MarketDataError


class Stamp(NamedTuple):
    """A file as it was found.

    Attributes
    ----------
    inode, size
        Its number in the file system, and its bytes.
    written
        Time of writing in nanoseconds, which tools that copy or correct a file can set.
    changed
        Time of change in nanoseconds, which none can set: also of a new name or new rights.
    """

    inode: int
    size: int
    written: int
    changed: int

    def but_for_name(self) -> tuple[int, int, int]:
        """Return what stays when a file is renamed."""
        return self.inode, self.size, self.written


def stamp_of(file: Path) -> Stamp:
    """Return the stamp of a file as it is now."""
    status = file.stat()
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def require_unchanged(file: Path, stamp: Stamp) -> None:
    """Check that a file is the one of a panel that is in use.

    A hard link (as some backups make), other rights and attributes change its time of change, too. They look like
    values that were written in place under the old time; to know better, every file would have to be read whole when
    its panel is opened.

    Raises
    ------
    MarketDataError
        When it was written or changed since, or is gone.
    """
    now = None
    with suppress(FileNotFoundError):
        now = stamp_of(file)
    if now == stamp:
        return
    what = "was written again"
    if now is not None and now.but_for_name() == stamp.but_for_name():
        what += " under its old time, or was linked or given other rights or attributes,"
    raise MarketDataError(
        f"{file} {what} while the panel was in use; what was read before may not belong to it. Run the stage again"
    )
