"""Rolling measures that are computed from the whole window at every bar."""

from __future__ import annotations

from math import sqrt

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner
from quant_pipeline.factors.kernels.measures import EXPANDING_EMA, KURT, MAD, SKEW, WMA


@inner
def measure_windows(kind, values, window, begin, stop, starts, out):
    """Compute a measure for every window; rows outside the history do not belong to it."""
    for i in range(begin, stop):
        first = max(i - window + 1, starts[i])
        if starts[i] > i:
            out[i] = np.nan
        elif kind == WMA:
            out[i] = weighted_mean(values, first, i)
        elif kind == EXPANDING_EMA:
            out[i] = faded_sum(values, first, i)
        else:
            out[i] = shape_of(kind, values, first, i)


@inner
def shape_of(kind, values, first, last):
    """Skewness, excess kurtosis or mean absolute deviation of the finite values, the first two without bias."""
    n = 0
    total = 0.0
    for j in range(first, last + 1):
        value = np.float64(values[j])
        if value - value == 0.0:
            n += 1
            total += value
    if n == 0 or (kind == SKEW and n < 3) or (kind == KURT and n < 4):
        return np.nan
    mean = total / n
    absolute = second = third = fourth = 0.0
    for j in range(first, last + 1):
        step = np.float64(values[j]) - mean
        if step - step == 0.0:
            square = step * step
            absolute += abs(step)
            second += square
            third += square * step
            fourth += square * square
    if kind == MAD:
        return absolute / n
    if second == 0.0:
        return np.nan
    count = np.float64(n)
    if kind == SKEW:
        return count * sqrt(count - 1.0) / (count - 2.0) * third / (second * sqrt(second))
    kurtosis = count * (count + 1.0) * (count - 1.0) * fourth / ((count - 2.0) * (count - 3.0) * second * second)
    return kurtosis - 3.0 * (count - 1.0) ** 2 / ((count - 2.0) * (count - 3.0))


@inner
def weighted_mean(values, first, last):
    """Mean of the values times linearly rising weights; Qlib divides by the count again, and so does this."""
    size = last - first + 1
    whole = size * (size + 1) / 2.0
    n = 0
    total = 0.0
    for j in range(first, last + 1):
        value = np.float64(values[j])
        if value - value == 0.0:
            n += 1
            total += (j - first + 1) / whole * value
    return total / n if n else np.nan


@inner
def faded_sum(values, first, last):
    """Sum of values with weights that fade by ``1 - 2 / (1 + n)`` and sum to 1 over the window of ``n`` bars."""
    size = last - first + 1
    fade = 1.0 - 2.0 / (1.0 + size)
    weight, weights, total = 1.0, 0.0, 0.0
    n = 0
    for j in range(last, first - 1, -1):
        value = np.float64(values[j])
        weights += weight
        if value - value == 0.0:
            n += 1
            total += weight * value
        weight *= fade
    return total / weights if n else np.nan
