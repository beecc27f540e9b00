"""Memory of large results, which the C library keeps for the next ones instead of giving it back to the system.

Every column of millions of bars is a block of its own. GNU's library asks the system for each block above 32 MB and
gives it back as soon as it is free, so that each intermediate result takes pages that the system has to empty first: a
third of the processor time of a run on some thousand names.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

LARGEST_KEPT: Final = 2**28
"""Bytes of the largest block that is kept; larger ones are given back at once, as peaks are made of these."""
MOST_KEPT: Final = 2**30
"""Bytes of free memory that stay from one node to the next, and at the end of the heap."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Numbers of the settings in malloc.h."""
_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_")
_TUNABLES = "glibc.malloc."
_keeping: list[ctypes.CDLL] = []
"""The library that keeps large blocks in this process."""


class _Counts(ctypes.Structure):
    """Bytes by what they are used for: ``struct mallinfo2`` of malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "free", "top")
    ]


def keep_large_blocks() -> bool:
    """Let the C library keep large blocks for the rest of this process, and of those that are forked from it.

    It is for processes that compute and end: one that waits for the next question would hold what the last one took.

    Returns
    -------
    bool
        Whether it does. Nothing is changed where the library is not GNU's (musl, macOS), where it is so old that it
        refuses blocks of this size, and where the user has settings of their own.
    """
    if _keeping:
        return True
    if _has_own_settings() or (library := _gnu_library()) is None:
        return False
    # The second is set only with the first: by itself it would keep memory that nothing asks for.
    if library.mallopt(_MMAP_THRESHOLD, LARGEST_KEPT) != 1 or library.mallopt(_TRIM_THRESHOLD, MOST_KEPT) != 1:
        return False
    _keeping.append(library)
    return True


def give_back_what_is_free() -> None:
    """Give free memory back where more is free than is to be kept, also between blocks that are used.

    It does nothing where the library does not keep large blocks.
    """
    for library in _keeping:
        if library.mallinfo2().free > MOST_KEPT:
            library.malloc_trim(0)


def _has_own_settings() -> bool:
    return _TUNABLES in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for name in _VARIABLES)


def _gnu_library() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    # The last one is of glibc 2.33; older ones refuse large blocks.
    if not all(hasattr(library, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim", "mallinfo2")):
        return None
    library.mallinfo2.restype = _Counts
    return library
