"""What is left of a value once the sector and the size of its instrument are taken out, session by session."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

ROUNDING = 1e-12
"""Part of a value below which its residual is rounding; a float32 value is known to 6e-8 of itself."""
_OF_EACH = 2.0**-52
"""Part of equal values by which their mean is another one, for each of them: their sum is rounded as often."""


def neutralise(values: Floats, sessions: Codes, groups: Codes | None, size: Floats | None) -> Floats:
    """Return residuals of a regression on group dummies and size within every session.

    With both, size and value are first taken relative to their group, then value on size: by the theorem of Frisch,
    Waugh and Lovell this is the residual of the joint regression.

    Parameters
    ----------
    values
        One value per row.
    sessions
        Number of the row's session, from 0.
    groups
        Number of the row's group, from 0, or None: one group for all.
    size
        Exposure of the row, or None.

    Returns
    -------
    numpy.ndarray
        Residuals; a row without value, or without size when size is asked for, is missing. A row alone in its group
        is zero: nothing is left of it.
    """
    known = np.isfinite(values) if size is None else np.isfinite(values) & np.isfinite(size)
    cells = sessions if groups is None else sessions * (int(groups.max(initial=0)) + 1) + groups
    residuals = np.full(len(values), np.nan)
    rows = np.flatnonzero(known)
    residual = _centred(values[rows], cells[rows])
    if size is not None:
        exposure = _centred(size[rows], cells[rows])
        session = sessions[rows]
        square = np.bincount(session, exposure * exposure)
        cross = np.bincount(session, exposure * residual)
        slope = np.divide(cross, square, out=np.zeros(len(cross)), where=square > 0)
        residual -= slope[session] * exposure
    # What is left of a value that is nothing but its exposures is rounding; its order must mean nothing either.
    residuals[rows] = np.where(np.abs(residual) > ROUNDING * np.abs(values[rows]), residual, 0.0)
    return residuals


def _centred(values: Floats, cells: Codes) -> Floats:
    count = np.bincount(cells)
    mean = np.bincount(cells, values) / np.maximum(count, 1)
    if count.max(initial=0) * _OF_EACH > ROUNDING:
        mean = _with_equal_values(mean, count, values, cells)
    return values - mean[cells]


def _with_equal_values(mean: Floats, count: Codes, values: Floats, cells: Codes) -> Floats:
    """Return means in which that of many equal values is such a value where it is further from them than rounding."""
    value = mean.copy()
    value[cells] = values
    gap, size = np.abs(value - mean), np.abs(value)
    is_rounding = (gap > ROUNDING * size) & (gap <= count * _OF_EACH * size)
    if is_rounding.any():
        is_rounding &= np.bincount(cells, values != value[cells]) == 0
    return np.where(is_rounding, value, mean)
