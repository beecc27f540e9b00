"""Filling and copying of rows; assignments to slices would need numba's memory manager, see `inner`."""

from __future__ import annotations

from quant_pipeline.factors.kernels.compiling import inner


@inner
def fill(out, begin, stop, value):
    """Set a stretch to a value."""
    part = out[begin:stop]
    for i in range(part.shape[0]):
        part[i] = value


@inner
def copy(values, out):
    """Copy."""
    for i in range(out.shape[0]):
        out[i] = values[i]
