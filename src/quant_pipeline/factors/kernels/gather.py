"""Bring rows into another order."""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels import allocating


@allocating
def reorder(values, order):
    """Reorder the rows of every column ``(column, row)`` in place."""
    column = np.empty(values.shape[1], values.dtype)
    for k in range(values.shape[0]):
        column[:] = values[k]
        for i in range(order.shape[0]):
            values[k, i] = column[order[i]]
