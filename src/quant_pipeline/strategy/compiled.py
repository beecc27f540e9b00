"""How every kernel is compiled: cached on disk, without the interpreter lock, with the arithmetic of NumPy.

Fast-math stays off: missing scores are NaN, and results must not depend on the processor.
"""

from __future__ import annotations

from typing import Any

from numba import njit

kernel: Any = njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
"""Compile a function that Python or another kernel calls."""

inlined: Any = njit(cache=True, nogil=True, error_model="numpy", forceinline=True, _nrt=False)
"""Compile a function into its callers.

A call between kernels hands over every array of an account and counts references to each; inside the loops over
accounts that would cost more than the work.
"""
