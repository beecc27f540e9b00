"""What numba's kept machine code belongs to.

numba keeps the machine code of a function on disk until the file of that very function changes. Kernels of other files
are compiled into it, and an old copy of one of them would go on executing after an update. So kept code is stamped with
a digest of all files that can be inside.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any


def digest_files(files: Iterable[Path]) -> str:
    """Digest of the contents of files, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def stamp(dispatcher: Any, digest: str) -> Any:
    """Let a compiled function's kept machine code be used only while a digest stays the same.

    Parameters
    ----------
    dispatcher
        What ``numba.njit(cache=True)`` returned; a plain function, where compilation is switched off, is left alone.
    digest
        Digest of the files that can be inside.
    """
    kept = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if kept is not None:
        kept._source_stamp = digest
        kept._load_index = partial(_load_index, kept._load_index)
    return dispatcher


def _load_index(load: Callable[[], Any]) -> Any:
    """Read what is kept of a function; nothing when it cannot be read.

    numba reads the types of arguments before it compares stamps. A type that another version of the project had and
    this one has not, or half a file, would end every run.
    """
    try:
        return load()
    except (AttributeError, ImportError, EOFError, pickle.UnpicklingError):
        return {}
