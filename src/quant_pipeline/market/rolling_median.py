"""Medians of the last bars, compared with a bound: what decides about most bars is a count."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_AT_ONCE: Final = 2**21
"""Values of windows that are sorted together."""


def has_median_of(
    values: npt.NDArray[np.float64], place: npt.NDArray[np.int64], window: int, least: float
) -> npt.NDArray[np.bool_]:
    """Return where the median of the last values of an instrument is at least a bound.

    The median is on the side of the bound on which the middle values are, and how many values reach the bound says
    which side that is. Only where the two middle values of an even number lie apart are the values sorted.

    Parameters
    ----------
    values
        One per bar, the bars of an instrument lying together; missing ones do not count.
    place
        Which bar of its instrument it is, from 0.
    window
        Bars of the median, that of the row included; an instrument's first bars have fewer.
    least
        The bound.

    Returns
    -------
    numpy.ndarray
        One flag per bar; false where no value is known.
    """
    size = np.minimum(place + 1, window)
    known = _sum_of_last(~np.isnan(values), size)
    reaching = _sum_of_last(values >= least, size)
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


def _sum_of_last(flags: npt.NDArray[np.bool_], size: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    sums = np.append(0, np.cumsum(flags))
    ends = np.arange(1, len(sums))
    return np.asarray(sums[ends] - sums[ends - size], dtype=np.int64)
