"""How every kernel is compiled: cached on disk, without the interpreter lock, with the arithmetic of NumPy.

Fast-math stays off: missing scores are NaN, and results must not depend on the processor. Kernels allocate nothing, so
numba's reference counting is off too: counting the arrays of an account in every loop over accounts took half the time
of a search.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

from quant_pipeline.common.compilation import digest_files, stamp
from quant_pipeline.common.compilation_progress import announce_compilation

announce_compilation()

_njit: Any = numba.njit
_ROOT = Path(__file__).parents[1]
_KERNEL_PACKAGES = ("exchange", "strategy")
"""Packages whose kernels and constants are compiled into those of other packages."""
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}


def kernel(function: Callable) -> Any:
    """Compile a function that Python calls."""
    return stamp(_njit(**_OPTIONS)(function), _digest_kernels(_folder_of(function)))


def inlined(function: Callable) -> Any:
    """Compile a function into its callers, which hand over a dozen arrays; Python may call it too."""
    return stamp(_njit(**_OPTIONS, forceinline=True)(function), _digest_kernels(_folder_of(function)))


def _folder_of(function: Callable) -> Path:
    return Path(function.__code__.co_filename).parent


@cache
def _digest_kernels(folder: Path) -> str:
    """Digest of all that may be inside of a kernel: kernels and constants of its own folder and of the layers below."""
    below = (file for package in _KERNEL_PACKAGES for file in (_ROOT / package).glob("*.py"))
    return digest_files({*folder.glob("*.py"), *below})
