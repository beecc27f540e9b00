"""Numbers of the measures of the whole history, and their state; free of numba, as plans and streams need them."""

from __future__ import annotations

SUM, MEAN, STD, VAR, MAX, MIN, IDXMAX, IDXMIN, COUNT = range(9)
SLOPE, RSQUARE, RESI, WMA, CORR, COV, FIRST, FADING = range(10, 18)
SKEW, KURT, MAD, MED, RANK, EMA, QUANTILE = range(20, 27)
CARRIED = {
    "Sum": SUM,
    "Mean": MEAN,
    "Std": STD,
    "Var": VAR,
    "Max": MAX,
    "Min": MIN,
    "IdxMax": IDXMAX,
    "IdxMin": IDXMIN,
    "Count": COUNT,
    "Slope": SLOPE,
    "Rsquare": RSQUARE,
    "Resi": RESI,
    "WMA": WMA,
    "Corr": CORR,
    "Cov": COV,
    "Ref": FIRST,
}
"""Operators that go on from a state when their window is 0."""
WHOLE = {"Skew": SKEW, "Kurt": KURT, "Mad": MAD, "Med": MED, "Rank": RANK, "EMA": EMA, "Quantile": QUANTILE}
"""Operators that need the whole history when their window is 0."""
STATE = 10
"""Numbers of a state; the first counts the bars."""
