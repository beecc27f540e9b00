"""Medians of the last bars, compared with a bound: what decides about most bars is a count."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from quant_pipeline.market.instrument_rows import first_rows

_AT_ONCE: Final = 2**21
"""Values of windows that are sorted together."""


def has_median_of(
    values: npt.NDArray[np.float64], first: npt.NDArray[np.bool_], window: int, least: float
) -> npt.NDArray[np.bool_]:
    """Return where the median of the last values of an instrument is at least a bound.

    The median is on the side of the bound on which the middle values are, and how many values reach the bound says
    which side that is. Only where the two middle values of an even number lie apart are the values sorted.

    Parameters
    ----------
    values
        One per bar, the bars of an instrument lying together; missing ones do not count.
    first
        Which bars are the first of their instrument.
    window
        Bars of the median, that of the row included; an instrument's first bars have fewer.
    least
        The bound.

    Returns
    -------
    numpy.ndarray
        One flag per bar; false where no value is known.
    """
    # Few bars have fewer before them: all others are counted without a number for each that says how many these are.
    early = first_rows(first, window)
    size = np.full(len(values), window, dtype=np.int32)
    size[early.row] = early.place + 1
    missing = np.isnan(values)
    known = _sum_of_last(~missing, size, early.row, window) if missing.any() else size
    reaching = _sum_of_last(values >= least, size, early.row, window)
    decided = reaching > known // 2
    apart = np.flatnonzero((2 * reaching == known) & (known > 0))
    step = max(_AT_ONCE // window, 1)
    for start in range(0, len(apart), step):
        rows = apart[start : start + step]
        back = np.arange(min(window, size[rows].max()))
        last = np.where(back < size[rows, None], values[np.maximum(rows[:, None] - back, 0)], np.nan)
        last.sort(axis=1)
        each, upper = np.arange(len(rows)), known[rows] // 2
        decided[rows] = (last[each, upper] + last[each, upper - 1]) / 2 >= least
    return decided


def _sum_of_last(
    flags: npt.NDArray[np.bool_], size: npt.NDArray[np.int32], early: npt.NDArray[np.int64], window: int
) -> npt.NDArray[np.int32]:
    """Count the flags of the last rows, ``size`` of each: ``window`` of all rows but the early ones."""
    sums = np.zeros(len(flags) + 1, dtype=np.int32)
    np.cumsum(flags, out=sums[1:])
    found = sums[1:].copy()
    found[window:] -= sums[1:-window]
    found[early] = sums[early + 1] - sums[early + 1 - size[early]]
    return found
