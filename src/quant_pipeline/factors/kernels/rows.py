"""Filling, copying and reordering of rows; assignments to slices would need numba's memory manager, see `inner`."""

from __future__ import annotations

from quant_pipeline.factors.kernels.compiling import entry, inner


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


@entry
def reorder(values, order, column):
    """Reorder the rows of every column ``(column, row)`` in place; ``column`` is room for one.

    Numbers of rows are uint32, which takes two thirds of the time: half of the bytes, and no test for negative ones.
    """
    for k in range(values.shape[0]):
        copy(values[k], column)
        for i in range(order.shape[0]):
            values[k, i] = column[order[i]]
