"""How every kernel is compiled: cached on disk, without the interpreter lock, with the arithmetic of NumPy.

Fast-math stays off: missing scores are NaN, and results must not depend on the processor. Kernels allocate nothing, so
numba's reference counting is off too: counting the arrays of an account in every loop over accounts took half the time
of a search.

numba notices a change of the file a kernel stands in, not of the kernels it calls: after editing one, delete the
``*.nbi`` and ``*.nbc`` files below ``src``.
"""

from __future__ import annotations

from typing import Any

import numba

_njit: Any = numba.njit

kernel: Any = _njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
"""Compile a function that Python calls."""

inlined: Any = _njit(cache=True, nogil=True, error_model="numpy", forceinline=True, _nrt=False)
"""Compile a function into its callers, which hand over a dozen arrays; Python may call it too."""
