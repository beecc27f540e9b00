"""Memory into which a thread reads files that it opens together, and which the next ones take over.

Asking the system for a hundred megabytes of pages, and giving them back, takes as long as reading what lies in them,
and threads wait for each other there.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt


class Rooms:
    """A room for each thread.

    Attributes
    ----------
    opening
        What one thread holds at a time while it opens files: each call of the system would hand the lock of the
        interpreter to another thread that opens files too.
    """

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self._own = threading.local()

    def take(self, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Return the room of this thread, of so many bytes at the least; what was in it is gone."""
        room: npt.NDArray[np.uint8] | None = getattr(self._own, "room", None)
        if room is None or len(room) < n_bytes:
            self._own.room = room = np.empty(n_bytes, dtype=np.uint8)
        return room


def content_of(file: Path) -> bytes:
    """Return what a file holds, by as few calls of the system as it takes: thousands of files are small."""
    opened = os.open(file, os.O_RDONLY)
    try:
        size = os.fstat(opened).st_size
        content = os.read(opened, size + 1)
        if len(content) == size:
            return content
        return b"".join([content, *iter(lambda: os.read(opened, 1 << 20), b"")])
    finally:
        os.close(opened)


def read_into(room: memoryview, file: Path) -> memoryview:
    """Read a file into a room with a byte more than it needs, and return what it holds.

    Raises
    ------
    OSError
        When it cannot be read, or is larger than it was.
    """
    opened = os.open(file, os.O_RDONLY)
    try:
        n_bytes = os.readv(opened, [room])
    finally:
        os.close(opened)
    if n_bytes == len(room):
        raise OSError("is being written")
    return room[:n_bytes]
