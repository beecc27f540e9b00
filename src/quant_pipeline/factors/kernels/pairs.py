"""Correlation and covariance of windows, from means and cross products of merged blocks (see `moments`)."""

from __future__ import annotations

from math import sqrt

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner
from quant_pipeline.factors.kernels.gaps import next_stretch
from quant_pipeline.factors.kernels.measures import COV
from quant_pipeline.factors.kernels.moments import (
    FLAT_VARIANCE,
    count_blocks,
    differ,
    merge_counted,
    merge_counted_means,
    merge_means,
    merge_squares,
)
from quant_pipeline.factors.kernels.rows import fill


@inner
def chain_pairs(blocks, scratch, begin, stop, chain, gaps, counts):
    """Fill means, squares and cross products, the five `blocks` of two series, both with 0 in the gaps of either."""
    left, right, left_squares, right_squares, products = blocks
    fill(left_squares[0], begin, stop, 0.0)
    fill(right_squares[0], begin, stop, 0.0)
    fill(products[0], begin, stop, 0.0)
    for k in range(chain.shape[0]):
        slot, newest, older, a, b = chain[k, 0], chain[k, 1], chain[k, 2], chain[k, 3], chain[k, 4]
        first = begin + a + b - 1
        if first >= stop:
            continue
        weight, share = np.float64(a) * b / np.float64(a + b), np.float64(a) / np.float64(a + b)
        new, old = slice(first, stop), slice(first - a, stop - a)
        step, other = scratch[0, new], scratch[1, new]
        differ(left[newest, new], left[older, old], step)
        differ(right[newest, new], right[older, old], other)
        merge_means(left[older, old], step, share, left[slot, new])
        merge_means(right[older, old], other, share, right[slot, new])
        merge_squares(left_squares[newest, new], left_squares[older, old], step, step, weight, left_squares[slot, new])
        merge_squares(
            right_squares[newest, new], right_squares[older, old], other, other, weight, right_squares[slot, new]
        )
        merge_squares(products[newest, new], products[older, old], step, other, weight, products[slot, new])
        k_gap = 1
        while k_gap <= gaps[0]:
            first_row, last_row, k_gap = next_stretch(gaps, k_gap, a + b, first, stop)
            if first_row < last_row:
                merge_pairs_with_gaps(blocks, scratch, first_row, last_row, chain[k], counts)


@inner
def merge_pairs_with_gaps(blocks, scratch, begin, stop, row, counts):
    """Merge the blocks of one length again, with counts."""
    left, right, left_squares, right_squares, products = blocks
    slot, newest, older, a, b = row[0], row[1], row[2], row[3], row[4]
    new, old = slice(begin, stop), slice(begin - a, stop - a)
    top, middle = slice(begin + 1, stop + 1), slice(begin + 1 - a, stop + 1 - a)
    oldest = slice(begin + 1 - a - b, stop + 1 - a - b)
    n, m, step, weights = scratch[0, new], scratch[1, new], scratch[2, new], scratch[3, new]
    other = scratch[4, new]
    count_blocks(counts[top], counts[middle], counts[oldest], n, m)
    merge_counted_means(left[newest, new], left[older, old], n, m, step, weights, left[slot, new])
    merge_counted_means(right[newest, new], right[older, old], n, m, other, weights, right[slot, new])
    merge_counted(left_squares[newest, new], left_squares[older, old], step, step, weights, left_squares[slot, new])
    merge_counted(
        right_squares[newest, new], right_squares[older, old], other, other, weights, right_squares[slot, new]
    )
    merge_counted(products[newest, new], products[older, old], step, other, weights, products[slot, new])


@inner
def finish_pairs(measure, window, left_squares, right_squares, products, out):
    """Turn blocks into correlations or covariances, for complete windows."""
    per_value = 1.0 / (np.float64(window) - 1.0)
    if measure == COV:
        for i in range(out.shape[0]):
            out[i] = products[i] * per_value
    else:
        for i in range(out.shape[0]):
            value = products[i] / sqrt(left_squares[i] * right_squares[i])
            smaller = min(left_squares[i], right_squares[i])
            out[i] = value if smaller * per_value > FLAT_VARIANCE else np.nan


@inner
def finish_counted_pairs(measure, window, begin, stop, left_squares, right_squares, products, counts, flat, out):
    """Turn blocks into correlations or covariances, for windows with gaps; ``flat`` marks what Qlib leaves out."""
    for i in range(begin, stop):
        n = counts[i + 1] - counts[i + 1 - window]
        if n < 2.0:
            out[i] = np.nan
        elif measure == COV:
            out[i] = products[i] * (1.0 / (n - 1.0))
        else:
            out[i] = np.nan if flat[i] else products[i] / sqrt(left_squares[i] * right_squares[i])


@inner
def mark_flat(window, begin, stop, squares, counts, flat):
    """Mark the windows in which one series of a pair, looked at alone, stands still."""
    for i in range(begin, stop):
        n = counts[i + 1] - counts[i + 1 - window]
        flat[i] = flat[i] or (n > 1.0 and squares[i] * (1.0 / (n - 1.0)) <= FLAT_VARIANCE)
