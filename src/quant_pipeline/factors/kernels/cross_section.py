"""Operations across the instruments of a session."""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels.compiling import allocating


@allocating
def rank_sessions(values, rows, bounds, out):
    """Rank the values of every session between 0 and 1; equal values share their average rank, missing ones have none.

    ``rows[bounds[s]:bounds[s + 1]]`` are the rows of session ``s``.
    """
    for s in range(bounds.shape[0] - 1):
        here = rows[bounds[s] : bounds[s + 1]]
        sample = np.empty(here.shape[0])
        n = 0
        for k in range(here.shape[0]):
            value = np.float64(values[here[k]])
            if value == value:
                sample[n] = value
                n += 1
        ordered = np.sort(sample[:n])
        for k in range(here.shape[0]):
            value = np.float64(values[here[k]])
            if value == value:
                left = np.searchsorted(ordered, value)
                right = np.searchsorted(ordered, value, "right")
                out[here[k]] = (left + right + 1) / 2.0 / n
            else:
                out[here[k]] = np.nan


@allocating
def scale_sessions(values, rows, bounds, out):
    """Divide the values of every session by the sum of their absolute values."""
    for s in range(bounds.shape[0] - 1):
        here = rows[bounds[s] : bounds[s + 1]]
        total = 0.0
        for k in range(here.shape[0]):
            value = np.float64(values[here[k]])
            if value == value:
                total += abs(value)
        for k in range(here.shape[0]):
            out[here[k]] = values[here[k]] / total


@allocating
def neutralize_sessions(values, groups, rows, bounds, out):
    """Take the mean of its group in the session from every value; a missing group has none."""
    for s in range(bounds.shape[0] - 1):
        here = rows[bounds[s] : bounds[s + 1]]
        order = np.argsort(groups[here], kind="mergesort")
        k = 0
        while k < here.shape[0]:
            group = groups[here[order[k]]]
            stop, n, total = k, 0, 0.0
            while stop < here.shape[0] and groups[here[order[stop]]] == group:
                value = np.float64(values[here[order[stop]]])
                if value == value:
                    n += 1
                    total += value
                stop += 1
            mean = total / n if n else np.nan
            if group != group:
                stop, mean = k + 1, np.nan
            for j in range(k, stop):
                row = here[order[j]]
                out[row] = values[row] - mean
            k = stop
