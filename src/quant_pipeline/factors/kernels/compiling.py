"""How kernels are compiled by numba; imported only where something has to be compiled or is kept by numba."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from quant_pipeline.common.compilation import stamp
from quant_pipeline.common.compiled import inner
from quant_pipeline.common.machine_code.kept_code import digest_sources

_njit: Any = numba.njit  # Its annotations leave `_nrt` out.


def _keep(function: Callable, *, allocates: bool) -> Any:
    """Compile and keep the machine code on disk, until any kernel changes."""
    digest = digest_sources(Path(__file__).parent)
    return stamp(_njit(cache=True, nogil=True, error_model="numpy", _nrt=allocates)(function), digest)


def compiled(function: Callable) -> Any:
    """Compile what Python calls; other threads run meanwhile, and x/0 is what IEEE 754 says."""
    return _keep(function, allocates=False)


def allocating(function: Callable) -> Any:
    """Compile what Python calls and what makes arrays of its own."""
    return _keep(function, allocates=True)


entry = inner
"""Compilation of what `entries` calls: the bare function, which needs nothing of numba or Python when it runs."""

__all__ = ["allocating", "compiled", "entry", "inner"]
