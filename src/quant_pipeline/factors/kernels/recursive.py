"""Measures over the whole history up to a bar: exponential means and the windows that Qlib writes as 0.

Each goes on from a state of a few numbers, so that a history may be given at once or in pieces.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from quant_pipeline.factors.kernels import measures
from quant_pipeline.factors.kernels.compiling import allocating, compiled, inner
from quant_pipeline.factors.kernels.direct import faded_sum, shape_of
from quant_pipeline.factors.kernels.histories import (
    CORR,
    COUNT,
    COV,
    EMA,
    FADING,
    FIRST,
    IDXMAX,
    IDXMIN,
    KURT,
    MAX,
    MEAN,
    MED,
    MIN,
    QUANTILE,
    RANK,
    RSQUARE,
    SKEW,
    SLOPE,
    STD,
    SUM,
    VAR,
    WMA,
)
from quant_pipeline.factors.kernels.order_statistics import quantile_of


@compiled
def carry_on(kind, left, right, share, state, out):
    """Compute a measure of all bars up to each, and bring its state up to date; a fresh state is all zeros."""
    if kind == FADING:
        carry_fading_mean(left, share, state, out)
    elif kind == FIRST:
        for i in range(out.shape[0]):
            if state[0] == 0.0:
                state[1] = left[i]
            state[0] += 1.0
            out[i] = state[1]
    elif kind in (CORR, COV):
        carry_pairs(kind, left, right, state, out)
    elif kind >= SLOPE:
        carry_trends(kind, left, state, out)
    else:
        carry_moments(kind, left, state, out)


@inner
def carry_fading_mean(values, alpha, state, out):
    """Exponential mean with weights that sum to 1; a missing value lets the older weights fade (pandas ``ewm``)."""
    bars, mean, weight = state[0], state[1], state[2]
    for i in range(out.shape[0]):
        value = np.float64(values[i])
        here = value - value == 0.0
        if weight > 0.0:
            weight *= 1.0 - alpha
            if here:
                if mean != value:
                    mean = (weight * mean + value) / (weight + 1.0)
                weight += 1.0
        elif here:
            mean, weight = value, 1.0
        out[i] = mean if weight > 0.0 else np.nan
        bars += 1.0
    state[0], state[1], state[2] = bars, mean, weight


@inner
def carry_moments(kind, values, state, out):
    """Compute sums, means, variances, counts and extremes up to each bar."""
    bars, n, present, mean, square, total = state[0], state[1], state[2], state[3], state[4], state[5]
    low, high, index, missing = state[6], state[7], state[8], state[9]
    for i in range(out.shape[0]):
        bars += 1.0
        value = np.float64(values[i])
        present += value == value
        if value - value == 0.0:
            n += 1.0
            total += value
            step = value - mean
            mean += step / n
            square += step * (value - mean)
            if (n == 1.0 or value > high) and (kind in (MAX, IDXMAX)):
                high, index = value, bars
            if (n == 1.0 or value < low) and (kind in (MIN, IDXMIN)):
                low, index = value, bars
        elif missing == 0.0:
            missing = bars
        if kind == COUNT:
            out[i] = present
        elif n == 0.0 or ((kind in (STD, VAR)) and n < 2.0):
            out[i] = np.nan
        elif kind == SUM:
            out[i] = total
        elif kind == MEAN:
            out[i] = mean
        elif kind == VAR:
            out[i] = square / (n - 1.0)
        elif kind == STD:
            out[i] = sqrt(square / (n - 1.0))
        elif kind == MAX:
            out[i] = high
        elif kind == MIN:
            out[i] = low
        else:
            out[i] = missing if missing > 0.0 else index
    state[0], state[1], state[2], state[3], state[4], state[5] = bars, n, present, mean, square, total
    state[6], state[7], state[8], state[9] = low, high, index, missing


@inner
def carry_trends(kind, values, state, out):
    """Trend lines and weighted means up to each bar; places count from 1."""
    bars, n, index, mean = state[0], state[1], state[2], state[3]
    spread, square, trend, weighted = state[4], state[5], state[6], state[7]
    for i in range(out.shape[0]):
        bars += 1.0
        value = np.float64(values[i])
        here = value - value == 0.0
        if here:
            n += 1.0
            weighted += bars * value
            step, stride = value - mean, bars - index
            mean += step / n
            index += stride / n
            square += step * (value - mean)
            spread += stride * (bars - index)
            trend += stride * (value - mean)
        if kind == WMA:
            out[i] = weighted / (bars * (bars + 1.0) / 2.0) / n if n > 0.0 else np.nan
        elif n < 2.0:
            out[i] = np.nan
        elif kind == SLOPE:
            out[i] = trend / spread
        elif kind == RSQUARE:
            out[i] = trend * trend / (spread * square)
        else:
            out[i] = value - mean - trend / spread * (bars - index) if here else np.nan
    state[0], state[1], state[2], state[3] = bars, n, index, mean
    state[4], state[5], state[6], state[7] = spread, square, trend, weighted


@inner
def carry_pairs(kind, left, right, state, out):
    """Correlations and covariances up to each bar."""
    n, mean, other, square, second, product = state[1], state[2], state[3], state[4], state[5], state[6]
    for i in range(out.shape[0]):
        a, b = np.float64(left[i]), np.float64(right[i])
        if a - a == 0.0 and b - b == 0.0:
            n += 1.0
            step, stride = a - mean, b - other
            mean += step / n
            other += stride / n
            square += step * (a - mean)
            second += stride * (b - other)
            product += step * (b - other)
        if n < 2.0:
            out[i] = np.nan
        elif kind == COV:
            out[i] = product / (n - 1.0)
        else:
            out[i] = product / sqrt(square * second)
    state[0] += out.shape[0]
    state[1], state[2], state[3], state[4], state[5], state[6] = n, mean, other, square, second, product


@allocating
def expand_windows(kind, values, share, out):
    """Compute a measure of all bars up to each from the whole history."""
    if kind in (RANK, QUANTILE, MED):
        expand_orders(kind, values, share, out)
        return
    for i in range(out.shape[0]):
        if kind == EMA:
            out[i] = faded_sum(values, 0, i)
        elif kind == SKEW:
            out[i] = shape_of(measures.SKEW, values, 0, i)
        elif kind == KURT:
            out[i] = shape_of(measures.KURT, values, 0, i)
        else:
            out[i] = shape_of(measures.MAD, values, 0, i)


@allocating
def expand_orders(kind, values, share, out):
    """Ranks and quantiles up to each bar, from an array that stays sorted."""
    ordered = np.empty(out.shape[0])
    n = 0
    for i in range(out.shape[0]):
        value = np.float64(values[i])
        here = value - value == 0.0
        if here:
            index = n
            while index > 0 and ordered[index - 1] > value:
                ordered[index] = ordered[index - 1]
                index -= 1
            ordered[index] = value
            n += 1
        if kind != RANK:
            out[i] = quantile_of(ordered, n, -1.0 if kind == MED else share)
        elif here:
            left, right = np.searchsorted(ordered[:n], value), np.searchsorted(ordered[:n], value, "right")
            out[i] = (left + right + 1) / 2.0 / n
        else:
            out[i] = np.nan
