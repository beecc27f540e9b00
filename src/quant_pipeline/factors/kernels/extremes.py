"""Largest and smallest value of windows, and their places, by merging overlapping blocks.

A window is the larger of two blocks that cover it together, so a chain row is ``(slot, slot of the block, shift)``.
Places are those of numpy's ``argmax``: the first of equal values, and a missing value wins.
"""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner


@inner
def sign_values(values, sign, out):
    """Copy values, turned over for minima, and count what is not finite."""
    bad = 0
    for i in range(out.shape[0]):
        value = values[i] * sign
        out[i] = value
        bad += value - value != 0.0
    return bad


@inner
def number_rows(begin, stop, out):
    """Write the number of every row."""
    for i in range(begin, stop):
        out[i] = i


@inner
def hide_missing(values, out):
    """Put missing values below everything."""
    low = -np.inf
    for i in range(out.shape[0]):
        value = values[i]
        out[i] = value if value - value == 0.0 else low


@inner
def merge_values(newest, older, out):
    """Take the larger value."""
    for i in range(out.shape[0]):
        a, b = newest[i], older[i]
        out[i] = a if a > b else b


@inner
def merge_places(newest, older, newest_place, older_place, out):
    """Take the place of the larger value; the older one of equals."""
    for i in range(out.shape[0]):
        a, b = newest_place[i], older_place[i]
        out[i] = a if newest[i] > older[i] else b


@inner
def chain_extremes(values, indices, begin, stop, chain, with_places):
    """Fill the blocks of a chain; slot 0 holds the values and their places."""
    for k in range(chain.shape[0]):
        slot, block, shift, length = chain[k, 0], chain[k, 1], chain[k, 2], chain[k, 3]
        first = begin + length - 1
        if first >= stop:
            continue
        new, old = slice(first, stop), slice(first - shift, stop - shift)
        if with_places:
            merge_places(
                values[block, new], values[block, old], indices[block, new], indices[block, old], indices[slot, new]
            )
        merge_values(values[block, new], values[block, old], values[slot, new])


@inner
def finish_values(values, sign, out):
    """Write the extremes of one window length; a window without values is missing."""
    for i in range(out.shape[0]):
        value = values[i]
        out[i] = value * sign if value > -np.inf else np.nan


@inner
def finish_complete_places(indices, window, out):
    """Write the places for complete windows; ``window`` is its length less the number of the first row."""
    for i in range(out.shape[0]):
        out[i] = indices[i] - np.float64(i - window)


@inner
def finish_places_with_gaps(indices, values, starts, gaps, k, window, begin, stop, out):
    """Write the places again where windows hold a gap: the first gap of the history wins, as in numpy's ``argmax``."""
    for i in range(begin, stop):
        if starts[i] > i or not values[i] > -np.inf:
            out[i] = np.nan
            continue
        first = max(i - window + 1, starts[i])
        while k <= gaps[0] and gaps[k] < first:
            k += 1
        here = gaps[k] if k <= gaps[0] and gaps[k] <= i else indices[i]
        out[i] = here - first + 1
