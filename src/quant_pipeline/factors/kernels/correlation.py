"""Scores and labels, session by session: Pearson's and Spearman's coefficient, while a session is in the cache.

Sums have the bits of NumPy's ``add.reduceat``: the first value, and the pairwise sum of the others (N. Higham, *The
accuracy of floating point summation*, 1993, in blocks of up to 128 values with eight partial sums). Ranks are counted
in whole numbers, whose sums are exact: twice the distance from their mean.
"""

from __future__ import annotations

import math

import numpy as np

from quant_pipeline.factors.kernels.compiling import entry, inner
from quant_pipeline.factors.kernels.sorting import are_any_equal, end_of_equals, sort_rows

SMALLEST_CROSS_SECTION = 3
"""Pairs below which a session has no coefficient."""

_AT_ONCE, _PARTIAL = 128, 8
"""Values of a block of a pairwise sum, and its partial sums."""


@inner
def _sum_of_block(values):
    n = len(values)
    if n < _PARTIAL:
        total = 0.0
        for i in range(n):
            total += values[i]
        return total
    a, b, c, d, e, f, g, h = values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7]
    whole = n - n % _PARTIAL
    for i in range(_PARTIAL, whole, _PARTIAL):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
        e += values[i + 4]
        f += values[i + 5]
        g += values[i + 6]
        h += values[i + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(whole, n):
        total += values[i]
    return total


@inner
def _pairwise_sum(values):
    if len(values) <= _AT_ONCE:
        return _sum_of_block(values)
    half = len(values) // 2
    half -= half % _PARTIAL
    return _pairwise_sum(values[:half]) + _pairwise_sum(values[half:])


@inner
def _sum(values):
    """Sum some values, at least one; see the module."""
    return values[0] + _pairwise_sum(values[1:])


@inner
def _mean_and_squares(values, products):
    """Mean of some values, and the sum of the squares of their distances from it; 0 where all are equal.

    The mean of equal values is rounded, so that a sum of squares would be that of the rounding.
    """
    n = len(values)
    mean, differ = _sum(values) / n, False
    for k in range(n):
        gap = values[k] - mean
        differ |= values[k] != values[0]
        products[k] = gap * gap
    return mean, _sum(products[:n]) if differ else 0.0


@inner
def _pearson(score, label, label_mean, label_squares, products):
    """Correlate scores with as many labels."""
    n = len(score)
    mean, squares = _mean_and_squares(score, products)
    for k in range(n):
        products[k] = (score[k] - mean) * (label[k] - label_mean)
    return _divided(_sum(products[:n]), squares, label_squares)


@inner
def _divided(cross, squares, label_squares):
    """Return a coefficient; missing where one side does not vary."""
    spread = math.sqrt(squares * label_squares)
    return cross / spread if spread > 0 else np.nan


@inner
def _rank_distances(labels, bits, space, out):
    """Write twice the distance of the rank of each label from their mean; return the sum of the squares of these."""
    n, order, ordered = sort_rows(labels, bits, space)
    squares, k = 0, 0
    while k < n:
        stop = end_of_equals(ordered, k, n)
        distance = k + stop - n
        squares += (stop - k) * distance * distance
        for j in range(k, stop):
            out[order[j]] = distance
        k = stop
    return squares


@inner
def _spearman(score, bits, distances, label_squares, space):
    """Correlate the ranks of scores with those of labels, whose distances are known."""
    n, order, ordered = sort_rows(score, bits, space)
    cross, squares, k = 0, 0, 0
    if not are_any_equal(ordered, n):
        for j in range(n):
            cross += (2 * j + 1 - n) * int(distances[order[j]])
        squares, k = n * (n * n - 1) // 3, n
    while k < n:
        stop = end_of_equals(ordered, k, n)
        distance, of_labels = k + stop - n, 0
        squares += (stop - k) * distance * distance
        for j in range(k, stop):
            of_labels += int(distances[order[j]])
        cross += distance * of_labels
        k = stop
    return _divided(float(cross), float(squares), label_squares)


@inner
def _write_pairs(given, future, score, label):
    """Write the known scores and their labels, unless all are known; return how many are."""
    missing, n = 0, np.uint64(0)
    for i in range(len(given)):
        missing += given[i] != given[i]
    if not missing:
        return len(given)
    for i in range(len(given)):
        score[n], label[n] = given[i], future[i]
        n += np.uint64(given[i] == given[i])
    return np.int64(n)


@entry
def measure_in_sessions(labels, bits, starts, space, distances, measures):
    """Measure what the coefficients need of the labels of every session.

    Parameters
    ----------
    labels, bits
        Known labels, whole sessions after one another, and the same memory as whole numbers.
    starts
        First row of each session and, behind them, the number of rows.
    space
        As for `sorting.sort_rows`, and room for the longest session.
    distances
        Twice the distances of the ranks of labels from the mean of their session, which are whole; written.
    measures
        Mean of the labels, sum of the squares of their distances from it, and of those of ranks, ``(session, 3)``;
        written.
    """
    sorting, products = space
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        measures[s, 0], measures[s, 1] = _mean_and_squares(labels[first:last], products)
        measures[s, 2] = _rank_distances(labels[first:last], bits[first:last], sorting, distances[first:last])


@entry
def correlate_in_sessions(scores, score_bits, labels, starts, space, pairs, ic, rank_ic):
    """Correlate the known scores of every session with their labels.

    Parameters
    ----------
    scores, score_bits
        Score of each label, NaN where missing, and the same memory as whole numbers.
    labels
        Labels, and of them distances and measures; see `measure_in_sessions`.
    starts
        As there.
    space
        As for `sorting.sort_rows`; room for three times the longest session, a row each, the same memory as whole
        numbers; and a row of distances.
    pairs
        Known scores of each session; written.
    ic, rank_ic
        Pearson's and Spearman's coefficient of each session; written. Missing where pairs are fewer than
        `SMALLEST_CROSS_SECTION`, all values of a side are equal or, for Pearson's, one is infinite.
    """
    returns, distances, measures = labels
    sorting, work, bits, some = space
    score, label, products = work[0], work[1], work[2]
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        given, future = scores[first:last], returns[first:last]
        n = _write_pairs(given, future, score, label)
        pairs[s] = n
        if n < SMALLEST_CROSS_SECTION:
            ic[s], rank_ic[s] = np.nan, np.nan
        elif n == len(given):
            ic[s] = _pearson(given, future, measures[s, 0], measures[s, 1], products)
            rank_ic[s] = _spearman(given, score_bits[first:last], distances[first:last], measures[s, 2], sorting)
        else:
            mean, squares = _mean_and_squares(label[:n], products)
            ic[s] = _pearson(score[:n], label[:n], mean, squares, products)
            of_ranks = _rank_distances(label[:n], bits[1, :n], sorting, some)
            rank_ic[s] = _spearman(score[:n], bits[0, :n], some, float(of_ranks), sorting)
