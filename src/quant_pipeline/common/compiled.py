"""How every kernel is compiled: cached on disk, without the interpreter lock, with the arithmetic of NumPy.

Fast-math stays off: missing scores are NaN, and results must not depend on the processor. Kernels allocate nothing, so
numba's reference counting is off too: counting the arrays of an account in every loop over accounts took half the time
of a search.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
from numba.core.registry import CPUDispatcher

from quant_pipeline.common.compilation import digest_files, stamp
from quant_pipeline.common.compilation_beside import load_or_wait, part_of
from quant_pipeline.common.compilation_progress import announce_compilation

announce_compilation()

_njit: Any = numba.njit
_ROOT = Path(__file__).parents[1]
_KERNEL_PACKAGES = ("exchange", "strategy")
"""Packages whose kernels and constants are compiled into those of other packages."""
_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False}
_KEPT = {"cache": True, **_OPTIONS}
_PART = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **_OPTIONS}
"""Parts of kernels have no way in from Python: reading dozens of arrays from its objects is more code than most have.

A counter that is handed to another kernel begins as ``np.int64(0)``: a bare 0 is a type of its own to numba, which
compiles the other kernel for it too.
"""


def kernel(function: Callable) -> Any:
    """Compile a function that Python calls."""
    return _kept(_njit(**_KEPT)(function), _folder_of(function))


def shared(function: Callable) -> Any:
    """Compile a function that Python calls, and into its callers, which hand over a dozen arrays."""
    return _kept(_njit(**_KEPT, forceinline=True)(function), _folder_of(function))


def inner(function: Callable) -> Any:
    """Compile a function that only kernels call: it is kept as a part of them, and Python cannot call it."""
    return bar_from_python(_njit(**_PART)(function))


def inlined(function: Callable) -> Any:
    """Compile a function into its callers, which hand over a dozen arrays; as `inner`, for kernels only."""
    return bar_from_python(_njit(**_PART, forceinline=True)(function))


def bar_from_python(dispatcher: Any) -> Any:
    """Let a compiled function without wrappers refuse to be called by Python, which would end the process.

    Parameters
    ----------
    dispatcher
        What ``numba.njit(no_cpython_wrapper=True, …)`` returned; a plain function is left alone.
    """
    if isinstance(dispatcher, CPUDispatcher):
        dispatcher.__class__ = _Part
    return dispatcher


def _refuse(dispatcher: Any, *_: object) -> None:
    raise TypeError(f"{dispatcher.py_func.__name__} is compiled as a part of kernels. Call a kernel that calls it.")


_Part = type("_Part", (CPUDispatcher,), {"__call__": _refuse, "__doc__": "A kernel that only other kernels call."})


def _kept(dispatcher: Any, folder: Path) -> Any:
    """Keep machine code of these sources, and take it from the process that compiles beside this one, if any does."""
    stamp(dispatcher, _digest_kernels(folder))
    kept, part = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None), part_of(folder)
    if kept is not None and part is not None:
        kept.load = partial(load_or_wait, part, kept.load)
    return dispatcher


def _folder_of(function: Callable) -> Path:
    return Path(function.__code__.co_filename).parent


@cache
def _digest_kernels(folder: Path) -> str:
    """Digest of all that may be inside of a kernel: kernels and constants of its own folder and of the layers below."""
    below = (file for package in _KERNEL_PACKAGES for file in (_ROOT / package).glob("*.py"))
    return digest_files({*folder.glob("*.py"), *below})
