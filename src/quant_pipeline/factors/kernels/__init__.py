"""Numerical kernels of the factor engine, compiled by numba.

Every rolling kernel gives a value that is a function of the values in its window alone: no running sum is carried
along. So a history computed at once, in blocks, or bar by bar has the same bits.
"""

from __future__ import annotations

import numba

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
"""Compilation of all kernels: machine code is kept on disk, other threads run meanwhile, x/0 is what IEEE 754 says."""
