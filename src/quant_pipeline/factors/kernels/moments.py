"""Sums, means, variances and trend lines of windows, built by merging blocks.

The window of length ``a + b`` is the block of its ``a`` newest values merged with the block of the ``b`` before them
(Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances"). All windows
of one series share the blocks, nothing is subtracted, so no residue of old values stays and a flat window has exactly
variance 0. A merge is described by a row ``(slot, slot of the newest block, slot of the older, a, b)``.

Values that are not finite are left out, as pandas does. Every window is merged as if it were complete; the stretches
whose windows hold a gap are merged again with counts (see `gaps`), by arithmetic that is the same to the last bit when
nothing is missing.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner
from quant_pipeline.factors.kernels.gaps import next_stretch
from quant_pipeline.factors.kernels.measures import MEAN, RSQUARE, SLOPE, STD, VAR
from quant_pipeline.factors.kernels.rows import fill

FLAT = 2e-5
"""Standard deviation up to which Qlib calls a window flat (``np.isclose(std, 0, atol=2e-05)``)."""
FLAT_VARIANCE = FLAT * FLAT


@inner
def widen(values, out):
    """Copy a series as float64 and count what is not finite in it."""
    bad = 0
    for i in range(out.shape[0]):
        value = np.float64(values[i])
        out[i] = value
        bad += value - value != 0.0
    return bad


@inner
def merge_sums(newest, older, out):
    """Merge sums."""
    for i in range(out.shape[0]):
        out[i] = newest[i] + older[i]


@inner
def chain_sums(sums, begin, stop, chain):
    """Fill the block sums of a chain; slot 0 holds the values."""
    for k in range(chain.shape[0]):
        slot, left, right, a, b = chain[k, 0], chain[k, 1], chain[k, 2], chain[k, 3], chain[k, 4]
        first = begin + a + b - 1
        if first < stop:
            merge_sums(sums[left, first:stop], sums[right, first - a : stop - a], sums[slot, first:stop])


@inner
def differ(newest, older, out):
    """Write differences of block means."""
    for i in range(out.shape[0]):
        out[i] = newest[i] - older[i]


@inner
def merge_means(older, difference, share, out):
    """Merge means; ``share`` is the part of the newest block in the whole."""
    for i in range(out.shape[0]):
        out[i] = older[i] + difference[i] * share


@inner
def merge_squares(newest, older, difference, other, weight, out):
    """Merge sums of (cross) products of deviations from the mean."""
    for i in range(out.shape[0]):
        out[i] = (newest[i] + older[i]) + (weight * difference[i]) * other[i]


@inner
def merge_trends(newest, older, difference, weight, out):
    """Merge sums of products of deviations of value and place."""
    for i in range(out.shape[0]):
        out[i] = (newest[i] + older[i]) + weight * difference[i]


@inner
def chain_means(blocks, scratch, begin, stop, chain, with_squares, with_trends, gaps, running):
    """Fill means, squared deviations and trends, the three `blocks`; slot 0 holds the values, with 0 in gaps."""
    means, squares, trends = blocks
    if with_squares:
        fill(squares[0], begin, stop, 0.0)
    if with_trends:
        fill(trends[0], begin, stop, 0.0)
    for k in range(chain.shape[0]):
        slot, left, right, a, b = chain[k, 0], chain[k, 1], chain[k, 2], chain[k, 3], chain[k, 4]
        first = begin + a + b - 1
        if first >= stop:
            continue
        weight = np.float64(a) * b / np.float64(a + b)
        new, old = slice(first, stop), slice(first - a, stop - a)
        difference = scratch[0, new]
        differ(means[left, new], means[right, old], difference)
        merge_means(means[right, old], difference, np.float64(a) / np.float64(a + b), means[slot, new])
        if with_squares:
            merge_squares(squares[left, new], squares[right, old], difference, difference, weight, squares[slot, new])
        if with_trends:
            step = weight * (np.float64(a + b) / 2.0)
            merge_trends(trends[left, new], trends[right, old], difference, step, trends[slot, new])
        k_gap = 1
        while k_gap <= gaps[0]:
            first_row, last_row, k_gap = next_stretch(gaps, k_gap, a + b, first, stop)
            if first_row < last_row:
                merge_with_gaps(blocks, scratch, first_row, last_row, chain[k], with_squares, with_trends, running)


@inner
def count_blocks(counts, middle, oldest, newest_count, older_count):
    """Write how many values the two blocks of a merge hold."""
    for i in range(counts.shape[0]):
        newest_count[i] = counts[i] - middle[i]
    for i in range(counts.shape[0]):
        older_count[i] = middle[i] - oldest[i]


@inner
def merge_counted_means(newest, older, n, m, difference, weights, out):
    """Merge means of blocks with ``n`` and ``m`` values; leave their difference and its weight behind."""
    for i in range(out.shape[0]):
        total = max(n[i] + m[i], 1.0)
        weights[i] = n[i] * m[i] / total
    for i in range(out.shape[0]):
        step = newest[i] - older[i]
        difference[i] = step if weights[i] > 0.0 else 0.0
    for i in range(out.shape[0]):
        newer = newest[i]
        base = older[i]
        base = base if m[i] > 0.0 else newer
        out[i] = base + difference[i] * (n[i] / max(n[i] + m[i], 1.0))


@inner
def distance_of_places(sums, middle, oldest, n, m, out):
    """Write the distances between the mean places of the newest and the older block.

    Up to the one division there are whole numbers, so it is the same wherever places are counted from.
    """
    for i in range(out.shape[0]):
        out[i] = ((sums[i] - middle[i]) * m[i] - (middle[i] - oldest[i]) * n[i]) / max(n[i] * m[i], 1.0)


@inner
def merge_counted(newest, older, difference, other, weights, out):
    """Merge sums of products with a weight per row, in the order of `merge_squares`."""
    for i in range(out.shape[0]):
        out[i] = (newest[i] + older[i]) + (weights[i] * difference[i]) * other[i]


@inner
def merge_counted_trends(newest, older, distance, difference, weights, out):
    """Merge trends with a weight per row, in the order of `merge_trends`."""
    for i in range(out.shape[0]):
        out[i] = (newest[i] + older[i]) + (weights[i] * distance[i]) * difference[i]


@inner
def merge_with_gaps(blocks, scratch, begin, stop, row, with_squares, with_trends, running):
    """Merge the blocks of one length again, with counts."""
    means, squares, trends = blocks
    slot, left, right, a, b = row[0], row[1], row[2], row[3], row[4]
    new, old = slice(begin, stop), slice(begin - a, stop - a)
    top, middle = slice(begin + 1, stop + 1), slice(begin + 1 - a, stop + 1 - a)
    oldest = slice(begin + 1 - a - b, stop + 1 - a - b)
    n, m, difference = scratch[0, new], scratch[1, new], scratch[2, new]
    weights, distance = scratch[3, new], scratch[4, new]
    count_blocks(running[0, top], running[0, middle], running[0, oldest], n, m)
    merge_counted_means(means[left, new], means[right, old], n, m, difference, weights, means[slot, new])
    if with_squares:
        merge_counted(squares[left, new], squares[right, old], difference, difference, weights, squares[slot, new])
    if with_trends:
        distance_of_places(running[1, top], running[1, middle], running[1, oldest], n, m, distance)
        merge_counted_trends(trends[left, new], trends[right, old], distance, difference, weights, trends[slot, new])


@inner
def finish_complete(measure, window, values, mean, square, trend, out):
    """Turn the blocks of one window length into a measure, for complete windows."""
    n = np.float64(window)
    per_value = 1.0 / (n - 1.0)
    per_spread = 1.0 / (n * (n * n - 1.0) / 12.0)
    half = (n - 1.0) / 2.0
    stop = out.shape[0]
    if measure == MEAN:
        for i in range(stop):
            out[i] = mean[i]
    elif measure == STD:
        for i in range(stop):
            out[i] = sqrt(square[i] * per_value)
    elif measure == VAR:
        for i in range(stop):
            out[i] = square[i] * per_value
    elif measure == SLOPE:
        for i in range(stop):
            out[i] = trend[i] * per_spread
    elif measure == RSQUARE:
        for i in range(stop):
            fit = trend[i] * trend[i] * per_spread / square[i]
            out[i] = fit if square[i] * per_value > FLAT_VARIANCE else np.nan
    else:
        for i in range(stop):
            out[i] = values[i] - mean[i] - trend[i] * per_spread * half


@inner
def finish_counted(measure, window, begin, stop, values, mean, square, trend, running, out):
    """Turn the blocks of one window length into a measure, for windows with gaps."""
    least = 1.0 if measure == MEAN else 2.0
    for i in range(begin, stop):
        old = i + 1 - window
        n = running[0, i + 1] - running[0, old]
        if n < least:
            out[i] = np.nan
        elif measure == MEAN:
            out[i] = mean[i]
        elif measure == STD:
            out[i] = sqrt(square[i] * (1.0 / (n - 1.0)))
        elif measure == VAR:
            out[i] = square[i] * (1.0 / (n - 1.0))
        else:
            index = running[1, i + 1] - running[1, old] - i * n
            spread = running[2, i + 1] - running[2, old] - 2.0 * i * index - np.float64(i) * i * n
            spread = (n * spread - index * index) / n
            out[i] = trend_of(measure, n, index, spread, values[i], mean[i], square[i], trend[i])


@inner
def trend_of(measure, n, index, spread, value, mean, square, trend):
    """Slope, fit or residual of one window; ``place`` is the sum of the places against the newest."""
    per_spread = 1.0 / spread
    if measure == SLOPE:
        return trend * per_spread
    if measure == RSQUARE:
        fit = trend * trend * per_spread / square
        return fit if square * (1.0 / (n - 1.0)) > FLAT_VARIANCE else np.nan
    return value - mean - trend * per_spread * (-index / n) if value - value == 0.0 else np.nan


@inner
def finish_sums(average, window, sums, out):
    """Turn block sums into sums or means, for complete windows."""
    n = np.float64(window)
    if average:
        for i in range(out.shape[0]):
            out[i] = sums[i] / n
    else:
        for i in range(out.shape[0]):
            out[i] = sums[i]


@inner
def finish_counted_sums(average, window, begin, stop, sums, counts, out):
    """Turn block sums into sums or means, for windows with gaps."""
    for i in range(begin, stop):
        n = counts[i + 1] - counts[i + 1 - window]
        total = sums[i] / n if average else sums[i]
        out[i] = total if n > 0.0 else np.nan
