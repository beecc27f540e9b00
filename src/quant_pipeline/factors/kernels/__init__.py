"""Numerical kernels of the factor engine, compiled by numba.

Every rolling kernel gives a value that is a function of the values in its window alone: no running sum is carried
along. So a history computed at once, in blocks, or bar by bar has the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

_njit: Any = numba.njit  # Its annotations leave `_nrt` out.


def _fingerprint() -> str:
    """Digest of the sources of all kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_SOURCES = _fingerprint()


def _keep(function: Callable, *, allocates: bool) -> Any:
    """Compile and keep the machine code on disk.

    numba compares the kept code with the file of the function alone; kernels of other files are inside, so the stamp is
    that of all of them.
    """
    dispatcher = _njit(cache=True, nogil=True, error_model="numpy", _nrt=allocates)(function)
    kept = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if kept is not None:
        kept._source_stamp = _SOURCES
    return dispatcher


def compiled(function: Callable) -> Any:
    """Compile what Python calls; other threads run meanwhile, and x/0 is what IEEE 754 says."""
    return _keep(function, allocates=False)


def allocating(function: Callable) -> Any:
    """Compile what Python calls and what makes arrays of its own."""
    return _keep(function, allocates=True)


inner = _njit(nogil=True, error_model="numpy", _nrt=False)
"""Compilation of what only other kernels call.

Without numba's memory manager, which counts the references of every slice, with a locked instruction each time.
"""
