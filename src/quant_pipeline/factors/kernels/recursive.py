"""Measures over the whole history up to a bar: exponential means and the windows that Qlib writes as 0."""

from __future__ import annotations

from math import sqrt

import numpy as np

from quant_pipeline.factors.kernels import compiled
from quant_pipeline.factors.kernels.direct import faded_sum, shape_of
from quant_pipeline.factors.kernels.orders import quantile_of

SUM, MEAN, STD, VAR, MAX, MIN, IDXMAX, IDXMIN, COUNT, SKEW, KURT, MED, MAD = range(13)
RANK, EMA, WMA, SLOPE, RSQUARE, RESI, QUANTILE, CORR, COV = range(13, 22)
KINDS = {
    "Sum": SUM,
    "Mean": MEAN,
    "Std": STD,
    "Var": VAR,
    "Max": MAX,
    "Min": MIN,
    "IdxMax": IDXMAX,
    "IdxMin": IDXMIN,
    "Count": COUNT,
    "Skew": SKEW,
    "Kurt": KURT,
    "Med": MED,
    "Mad": MAD,
    "Rank": RANK,
    "EMA": EMA,
    "WMA": WMA,
    "Slope": SLOPE,
    "Rsquare": RSQUARE,
    "Resi": RESI,
    "Quantile": QUANTILE,
    "Corr": CORR,
    "Cov": COV,
}


@compiled
def exponential_mean(values, alpha, out):
    """Exponential mean with weights that sum to 1; a missing value lets the older weights fade (pandas ``ewm``)."""
    mean, weight = np.nan, 1.0
    for i in range(out.shape[0]):
        value = np.float64(values[i])
        here = value - value == 0.0
        if mean == mean:
            weight *= 1.0 - alpha
            if here:
                if mean != value:
                    mean = (weight * mean + value) / (weight + 1.0)
                weight += 1.0
        elif here:
            mean = value
        out[i] = mean


@compiled
def expand_windows(kind, left, right, share, out):
    """Compute a measure of all bars up to each; missing values are left out as in windows of a fixed length."""
    if kind in (RANK, QUANTILE, MED):
        expand_orders(kind, left, share, out)
    elif kind in (SLOPE, RSQUARE, RESI, WMA):
        expand_trends(kind, left, out)
    elif kind in (CORR, COV):
        expand_pairs(kind, left, right, out)
    elif kind in (SKEW, KURT, MAD, EMA):
        for i in range(out.shape[0]):
            if kind == EMA:
                out[i] = faded_sum(left, 0, i)
            else:
                out[i] = shape_of(0 if kind == SKEW else (1 if kind == KURT else 2), left, 0, i)
    else:
        expand_moments(kind, left, out)


@compiled
def expand_moments(kind, values, out):
    """Compute sums, means, variances, counts and extremes up to each bar."""
    n, present, mean, square, total = 0.0, 0.0, 0.0, 0.0, 0.0
    low, high = np.inf, -np.inf
    low_place = high_place = missing = -1
    for i in range(out.shape[0]):
        value = np.float64(values[i])
        present += value == value
        if value - value == 0.0:
            n += 1.0
            total += value
            step = value - mean
            mean += step / n
            square += step * (value - mean)
            if value > high:
                high, high_place = value, i
            if value < low:
                low, low_place = value, i
        elif missing < 0:
            missing = i
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
        elif missing >= 0:
            out[i] = missing + 1
        else:
            out[i] = (high_place if kind == IDXMAX else low_place) + 1


@compiled
def expand_orders(kind, values, share, out):
    """Ranks and quantiles up to each bar, from an array that stays sorted."""
    ordered = np.empty(out.shape[0])
    n = 0
    for i in range(out.shape[0]):
        value = np.float64(values[i])
        here = value - value == 0.0
        if here:
            place = n
            while place > 0 and ordered[place - 1] > value:
                ordered[place] = ordered[place - 1]
                place -= 1
            ordered[place] = value
            n += 1
        if kind != RANK:
            out[i] = quantile_of(ordered, n, -1.0 if kind == MED else share)
        elif here:
            left, right = np.searchsorted(ordered[:n], value), np.searchsorted(ordered[:n], value, "right")
            out[i] = (left + right + 1) / 2.0 / n
        else:
            out[i] = np.nan


@compiled
def expand_trends(kind, values, out):
    """Trend lines and weighted means up to each bar; places count from 1."""
    n, place, mean, spread, square, trend, weighted = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(out.shape[0]):
        value = np.float64(values[i])
        here = value - value == 0.0
        if here:
            n += 1.0
            weighted += (i + 1) * value
            step, stride = value - mean, (i + 1) - place
            mean += step / n
            place += stride / n
            square += step * (value - mean)
            spread += stride * ((i + 1) - place)
            trend += stride * (value - mean)
        if kind == WMA:
            whole = (i + 1) * (i + 2) / 2.0
            out[i] = weighted / whole / n if n > 0.0 else np.nan
        elif n < 2.0:
            out[i] = np.nan
        elif kind == SLOPE:
            out[i] = trend / spread
        elif kind == RSQUARE:
            out[i] = trend * trend / (spread * square)
        else:
            out[i] = value - mean - trend / spread * ((i + 1) - place) if here else np.nan


@compiled
def expand_pairs(kind, left, right, out):
    """Correlations and covariances up to each bar."""
    n, mean, other, square, second, product = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
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
