"""One column of a panel, session by session: filled, scaled or ranked.

Rows of a session follow one another; ``starts`` holds the first row of each and, behind them, the number of rows. Sums
are made in the order of the rows.
"""

from __future__ import annotations

import math

import numpy as np

from quant_pipeline.factors.kernels.compiling import entry, inner
from quant_pipeline.factors.kernels.measures import MAD_TO_DEVIATION

_DIGITS = 8
"""Bytes of a key, which are sorted by one after the other."""
_SIGN = np.uint64(1) << np.uint64(63)
_BYTE, _EIGHT = np.uint64(255), np.uint64(8)
_ROUNDING = 1e-12
"""Part of a mean below which a spread is that of equal values."""


@inner
def _key_of(bits):
    """Turn the bits of a number into a key: keys are in the order of the numbers."""
    return ~bits if bits & _SIGN else bits | _SIGN


@inner
def _sort(values, bits, first, last, lowest, keys, places, counts):
    """Sort the known values of some rows, by radix; return how many, and the half of the space that has the order."""
    for digit in range(lowest, _DIGITS):
        for byte in range(256):
            counts[digit, byte] = 0
    n = 0
    for i in range(first, last):
        if values[i] == values[i]:
            key = _key_of(bits[i])
            keys[0, n], places[0, n] = key, i
            n += 1
            key >>= _EIGHT * np.uint64(lowest)
            for digit in range(lowest, _DIGITS):
                counts[digit, key & _BYTE] += 1
                key >>= _EIGHT
    half = 0
    for digit in range(lowest, _DIGITS):
        shift = _EIGHT * np.uint64(digit)
        # Where all have the same digit, they are sorted by it.
        if n == 0 or counts[digit, (keys[half, 0] >> shift) & _BYTE] == n:
            continue
        before = 0
        for byte in range(256):
            count = counts[digit, byte]
            counts[digit, byte] = before
            before += count
        for k in range(n):
            byte = (keys[half, k] >> shift) & _BYTE
            place = counts[digit, byte]
            counts[digit, byte] = place + 1
            keys[1 - half, place], places[1 - half, place] = keys[half, k], places[half, k]
        half = 1 - half
    return n, half


@entry
def rank_in_sessions(values, bits, starts, lowest, as_share, space, out):
    """Rank the values of every session from 1, equal ones by their average.

    Parameters
    ----------
    values, bits
        The column, NaN where missing, and the same memory as whole numbers.
    starts
        See the module.
    lowest
        First byte of the values that is not zero in all of them: 3 for what was float32.
    as_share
        Whether (0 or 1) to divide ranks by the number of known values of the session.
    space
        Keys and places ``(2, rows of the longest session)``, and counts ``(8, 256)``.
    out
        Ranks; missing where the value is.
    """
    keys, places, counts = space
    for s in range(starts.shape[0] - 1):
        for i in range(starts[s], starts[s + 1]):
            out[i] = np.nan
        n, half = _sort(values, bits, starts[s], starts[s + 1], lowest, keys, places, counts)
        k = 0
        while k < n:
            value, stop = values[places[half, k]], k + 1
            while stop < n and values[places[half, stop]] == value:
                stop += 1
            rank = (k + 1 + stop) / 2.0
            if as_share:
                rank /= n
            for j in range(k, stop):
                out[places[half, j]] = rank
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
        total, n = 0.0, 0
        for i in range(starts[s], starts[s + 1]):
            if counted[i] and abs(values[i]) < np.inf:
                total += np.float64(values[i])
                n += 1
        mean = np.float32(total / n) if n else np.float32(0.0)
        for i in range(starts[s], starts[s + 1]):
            if not abs(values[i]) < np.inf:
                values[i] = mean


@inner
def _mean_and_deviation(values, first, last):
    """Mean and standard deviation of the known values of some rows; the deviation is 0 where they are equal."""
    total, n = 0.0, 0
    for i in range(first, last):
        if values[i] == values[i]:
            total += values[i]
            n += 1
    if n == 0:
        return np.nan, 0.0
    mean, square = total / n, 0.0
    for i in range(first, last):
        if values[i] == values[i]:
            gap = values[i] - mean
            square += gap * gap
    deviation = math.sqrt(square / max(n - 1, 1))
    return mean, deviation if deviation > _ROUNDING * abs(mean) else 0.0


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
def _median(values, first, last, centre, sample):
    """Median of the known values of some rows, of their distances from a centre where there is one; NaN without any."""
    n = 0
    for i in range(first, last):
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
        if robust:
            centre = _median(values, first, last, np.nan, sample)
            spread = _median(values, first, last, centre, sample) * MAD_TO_DEVIATION
        else:
            centre, spread = _mean_and_deviation(values, first, last)
        for i in range(first, last):
            gap = values[i] - centre
            if gap != gap:
                out[i] = np.nan
            else:
                out[i] = gap / spread if spread > 0 else 0.0
