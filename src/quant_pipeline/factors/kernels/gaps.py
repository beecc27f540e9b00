"""Where a series has gaps, and which windows they touch.

Most windows of a series with gaps are complete. The kernels treat all of them as complete first, and then go over the
stretches whose windows hold a gap again, with counts. A row of gaps holds their number and then their places, rising.
"""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner


@inner
def note_gaps(values, begin, stop, gaps):
    """Note where a series is not finite."""
    n = 0
    for i in range(begin, stop):
        if values[i] - values[i] != 0.0:
            n += 1
            gaps[n] = i
    gaps[0] = n


@inner
def leave_out(values, gaps):
    """Set the gaps of a series to 0."""
    for k in range(1, gaps[0] + 1):
        values[gaps[k]] = 0.0


@inner
def join_gaps(first, second, gaps):
    """Note the gaps of either of two series."""
    a, b, n = 1, 1, 0
    while a <= first[0] or b <= second[0]:
        left = first[a] if a <= first[0] else np.iinfo(np.int64).max
        right = second[b] if b <= second[0] else np.iinfo(np.int64).max
        n += 1
        gaps[n] = min(left, right)
        a += left <= right
        b += right <= left
    gaps[0] = n


@inner
def next_stretch(gaps, k, window, begin, stop):
    """Return the stretch of rows whose windows hold gap ``k`` or one close behind it, and the next gap."""
    left, right = max(gaps[k], begin), gaps[k] + window
    k += 1
    while k <= gaps[0] and gaps[k] <= right:
        right = gaps[k] + window
        k += 1
    return left, min(right, stop), k


@inner
def count_present(begin, stop, gaps, counts):
    """Write running counts of what is not a gap; entry ``i + 1`` covers the rows up to ``i``."""
    counts[begin] = 0.0
    row = begin
    for k in range(gaps[0] + 1):
        end = gaps[k + 1] if k < gaps[0] else stop
        for i in range(row, end):
            counts[i + 1] = i + 1 - begin - k
        if end < stop:
            counts[end + 1] = end - begin - k
        row = end + 1


@inner
def sum_places(begin, stop, gaps, sums, squares):
    """Write running sums of the places that are not a gap and of their squares; all are whole numbers, so exact."""
    sums[begin] = squares[begin] = 0.0
    row = begin
    lost = np.float64(begin) * (begin - 1.0) / 2.0
    lost_square = np.float64(begin) * (begin - 1.0) * (2.0 * begin - 1.0) / 6.0
    for k in range(gaps[0] + 1):
        end = gaps[k + 1] if k < gaps[0] else stop
        for i in range(row, end):
            index = np.float64(i)
            sums[i + 1] = index * (index + 1.0) / 2.0 - lost
            squares[i + 1] = index * (index + 1.0) * (2.0 * index + 1.0) / 6.0 - lost_square
        if end < stop:
            sums[end + 1], squares[end + 1] = sums[end], squares[end]
            lost += end
            lost_square += np.float64(end) * end
        row = end + 1
