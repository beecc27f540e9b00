"""One column of a panel, session by session: filled, scaled or ranked.

Rows of a session follow one another; ``starts`` holds the first row of each and, behind them, the number of rows. Sums
are made in the order of the rows. A session is a slice: of each place in an array numba asks whether it is counted from
the end, unless it counts them from 0 itself.
"""

from __future__ import annotations

import math

import numpy as np

from quant_pipeline.factors.kernels.compiling import entry, inner
from quant_pipeline.factors.kernels.measures import MAD_TO_DEVIATION
from quant_pipeline.factors.kernels.sorting import are_any_equal, end_of_equals, sort_rows

_ROUNDING = 1e-12
"""Part of a mean below which a spread is that of equal values."""
_OF_EACH = 2.0**-52
"""Part of a mean by which it is that of equal values, for each of them: their sum is rounded as often."""


@entry
def rank_in_sessions(values, bits, starts, as_share, space, out):
    """Rank the values of every session from 1, equal ones by their average.

    Parameters
    ----------
    values, bits
        The column, NaN where missing, and the same memory as whole numbers.
    starts
        See the module.
    as_share
        Whether (0 or 1) to divide ranks by the number of known values of the session.
    space
        See `sorting.sort_rows`.
    out
        Ranks; missing where the value is.
    """
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        ranks = out[first:last]
        for i in range(len(ranks)):
            ranks[i] = np.nan
        n, order, ordered = sort_rows(values[first:last], bits[first:last], space)
        k = 0
        if not are_any_equal(ordered, n):
            for j in range(n):
                ranks[order[j]] = (j + 1.0) / n if as_share else j + 1.0
            k = n
        while k < n:
            stop = end_of_equals(ordered, k, n)
            rank = (k + 1 + stop) / 2.0
            if as_share:
                rank /= n
            for j in range(k, stop):
                ranks[order[j]] = rank
            k = stop


@entry
def fill_in_sessions(values, counted, starts):
    """Give missing and infinite values the mean of their session, 0 where it has none.

    Parameters
    ----------
    values
        The column, float32; changed in place.
    counted
        Whether (0 or 1) a row counts in the mean of its session.
    starts
        See the module.
    """
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        session, takes_part = values[first:last], counted[first:last]
        total, n = 0.0, 0
        for i in range(len(session)):
            if takes_part[i] and abs(session[i]) < np.inf:
                total += np.float64(session[i])
                n += 1
        mean = np.float32(total / n) if n else np.float32(0.0)
        for i in range(len(session)):
            if not abs(session[i]) < np.inf:
                session[i] = mean


@inner
def _are_equal(values):
    """Whether the known ones of some values are the same number."""
    first = np.nan
    for i in range(len(values)):
        if values[i] == values[i]:
            if first == first and values[i] != first:
                return False
            first = values[i]
    return True


@inner
def _mean_and_deviation(values):
    """Mean and standard deviation of the known ones of some values; the deviation is 0 where they are equal."""
    total, n = 0.0, 0
    for i in range(len(values)):
        if values[i] == values[i]:
            total += values[i]
            n += 1
    if n == 0:
        return np.nan, 0.0
    mean, square = total / n, 0.0
    for i in range(len(values)):
        if values[i] == values[i]:
            gap = values[i] - mean
            square += gap * gap
    deviation = math.sqrt(square / max(n - 1, 1))
    if not deviation > _ROUNDING * abs(mean):
        return mean, 0.0
    return mean, 0.0 if deviation <= n * _OF_EACH * abs(mean) and _are_equal(values) else deviation


@inner
def _select(sample, n, k):
    """Put the number that is the k-th of n, from 0, in its place, by Hoare's FIND (1961), and return it."""
    left, right = 0, n - 1
    while left < right:
        pivot, i, j = sample[k], left, right
        while i <= j:
            while sample[i] < pivot:
                i += 1
            while pivot < sample[j]:
                j -= 1
            if i <= j:
                sample[i], sample[j] = sample[j], sample[i]
                i += 1
                j -= 1
        if j < k:
            left = i
        if k < i:
            right = j
    return sample[k]


@inner
def _median(values, centre, sample):
    """Median of the known ones of some values, of their distances from a centre where there is one; NaN without any."""
    n = 0
    for i in range(len(values)):
        if values[i] == values[i]:
            sample[n] = values[i] if centre != centre else abs(values[i] - centre)
            n += 1
    if n == 0:
        return np.nan
    upper = _select(sample, n, n // 2)
    return upper if n % 2 else (upper + _select(sample, n, n // 2 - 1)) / 2.0


@entry
def scale_in_sessions(values, starts, robust, sample, out):
    """Centre and scale the values of every session.

    Parameters
    ----------
    values, starts
        As for `rank_in_sessions`.
    robust
        Whether (0 or 1) by median and median absolute deviation, instead of mean and standard deviation.
    sample
        Room for the longest session.
    out
        float32; missing where the value is, zero where all values of the session are equal.
    """
    for s in range(starts.shape[0] - 1):
        first, last = starts[s], starts[s + 1]
        session, scaled = values[first:last], out[first:last]
        if robust:
            centre = _median(session, np.nan, sample)
            spread = _median(session, centre, sample) * MAD_TO_DEVIATION
        else:
            centre, spread = _mean_and_deviation(session)
        for i in range(len(session)):
            gap = session[i] - centre
            if gap != gap:
                scaled[i] = np.nan
            else:
                scaled[i] = gap / spread if spread > 0 else 0.0
