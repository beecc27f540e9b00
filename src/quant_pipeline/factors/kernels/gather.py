"""Bring rows into another order."""

from __future__ import annotations

from quant_pipeline.factors.kernels.compiling import entry
from quant_pipeline.factors.kernels.rows import copy


@entry
def reorder(values, order, column):
    """Reorder the rows of every column ``(column, row)`` in place; ``column`` is room for one."""
    for k in range(values.shape[0]):
        copy(values[k], column)
        for i in range(order.shape[0]):
            values[k, i] = column[order[i]]
