"""Numbers of the measures of windows, and what is wanted of a chain; free of numba, as the plan needs them."""

from __future__ import annotations

MEAN, STD, VAR, SLOPE, RSQUARE, RESI, SUM = range(7)
"""From merged blocks of one series; see `moments`."""
SKEW, KURT, MAD, WMA, EXPANDING_EMA = range(5)
"""Computed from the whole window at every bar; see `direct`."""
CORR, COV = range(2)
"""Of two series; see `pairs`."""

WITH_SQUARES, WITH_TRENDS = 1, 2
"""What a chain of means also fills; the numbers are bits."""
PLACES, MINIMUM = 2, 4
"""What is wanted of a chain of extremes; the numbers are bits."""

MAD_TO_DEVIATION = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""
