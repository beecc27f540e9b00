"""Ranks and quantiles of windows.

Both are order statistics: they do not depend on the order of the arithmetic, so any algorithm gives the same bits.
"""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner
from quant_pipeline.factors.kernels.rows import copy, fill


@inner
def hide_infinite(values, out):
    """Copy values, infinite ones as missing, and count the missing."""
    bad = 0
    for i in range(out.shape[0]):
        value = values[i]
        whole = value - value == 0.0
        out[i] = value if whole else np.nan
        bad += not whole
    return bad


@inner
def count_smaller(past, now, twice):
    """Add 2 for every smaller and 1 for every equal value."""
    for i in range(twice.shape[0]):
        twice[i] += np.int32(past[i] < now[i]) + np.int32(past[i] <= now[i])


@inner
def count_present(past, present):
    """Add 1 for every value that is not missing."""
    for i in range(present.shape[0]):
        present[i] += past[i] == past[i]


@inner
def finish_ranks(values, twice, present, window, gaps, out):
    """Turn counts into ranks between 0 and 1; equal values share their average rank."""
    n = np.float64(window)
    if gaps:
        for i in range(out.shape[0]):
            rank = np.float64(twice[i] + 1) / 2.0 / np.float64(present[i])
            out[i] = rank if values[i] == values[i] else np.nan
    else:
        for i in range(out.shape[0]):
            out[i] = np.float64(twice[i] + 1) / 2.0 / n


@inner
def rank_windows(values, stop, rows, registers, twice, present, gaps):
    """Rank the newest value in every window; rows are ``(window, first row, register)``, windows ascend."""
    begin = stop
    for k in range(rows.shape[0]):
        begin = min(begin, rows[k, 1])
    fill(twice, begin, stop, 1)
    fill(present, begin, stop, 1)
    done = 1
    for k in range(rows.shape[0]):
        window = rows[k, 0]
        first = stop
        for later in range(k, rows.shape[0]):
            first = min(first, rows[later, 1])
        while done < window:
            past, now = values[first - done : stop - done], values[first:stop]
            count_smaller(past, now, twice[first:stop])
            if gaps:
                count_present(past, present[first:stop])
            done += 1
        part = slice(rows[k, 1], stop)
        finish_ranks(values[part], twice[part], present[part], window, gaps, registers[rows[k, 2], part])


@inner
def compare_exchange(low, high):
    """Sort pairs."""
    for i in range(low.shape[0]):
        a, b = low[i], high[i]
        low[i] = a if a < b else b
        high[i] = b if a < b else a


SORTED_AT_ONCE = 256


@inner
def sort_windows(wires, begin, stop, first_step, count, steps, sources, comparators):
    """Sort all windows of a chain by networks that merge sorted blocks; wire 0 holds the values.

    ``steps`` has rows ``(first wire, a, b, first source, first comparator, last comparator)``; ``sources`` are wires in
    order of rank, ``comparators`` pairs of wires relative to the first of the step. The networks are Batcher's odd-even
    merge (Batcher 1968, "Sorting networks and their applications").
    """
    for k in range(first_step, first_step + count):
        base, a, b, source = steps[k, 0], steps[k, 1], steps[k, 2], steps[k, 3]
        first = begin + a + b - 1
        for block in range(first // SORTED_AT_ONCE, -(-stop // SORTED_AT_ONCE)):
            left, right = max(first, block * SORTED_AT_ONCE), min((block + 1) * SORTED_AT_ONCE, stop)
            for j in range(a + b):
                shift = 0 if j < a else a
                copy(wires[sources[source + j], left - shift : right - shift], wires[base + j, left:right])
            for j in range(steps[k, 4], steps[k, 5]):
                low, high = base + comparators[j, 0], base + comparators[j, 1]
                compare_exchange(wires[low, left:right], wires[high, left:right])


@inner
def finish_quantiles(low, high, share, fraction, out):
    """Interpolate between two neighbours in order; a negative share asks for the median."""
    if share < 0.0:
        for i in range(out.shape[0]):
            out[i] = (np.float64(high[i]) + np.float64(low[i])) / 2.0
    elif fraction == 0.0:
        for i in range(out.shape[0]):
            out[i] = low[i]
    else:
        for i in range(out.shape[0]):
            a = np.float64(low[i])
            out[i] = a + (np.float64(high[i]) - a) * fraction


@inner
def quantile_windows(values, window, share, begin, stop, ordered, out):
    """Keep every window sorted while it moves; missing values are left out."""
    n = 0
    for i in range(begin - window + 1, stop):
        leaving = i - window
        if leaving > begin - window:
            value = np.float64(values[leaving])
            if value == value:
                index = 0
                while ordered[index] < value:
                    index += 1
                for j in range(index, n - 1):
                    ordered[j] = ordered[j + 1]
                n -= 1
        value = np.float64(values[i])
        if value == value:
            index = n
            while index > 0 and ordered[index - 1] > value:
                ordered[index] = ordered[index - 1]
                index -= 1
            ordered[index] = value
            n += 1
        if i >= begin:
            out[i] = quantile_of(ordered, n, share)


@inner
def quantile_of(ordered, n, share):
    """Quantile of the first ``n`` sorted values, linear between neighbours; a negative share asks for the median."""
    if n == 0:
        return np.nan
    if share < 0.0:
        middle = n // 2
        return ordered[middle] if n % 2 else (ordered[middle] + ordered[middle - 1]) / 2.0
    index = share * (n - 1)
    below = np.int64(index)
    if below == index or below + 1 >= n:
        return ordered[below]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (index - below)
