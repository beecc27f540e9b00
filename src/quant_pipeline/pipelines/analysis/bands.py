"""Numbers with their bands: means over sessions, ratios of sums, rates; none with fewer cases than is asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from quant_pipeline.evaluation.standard_errors import (
    degrees_of_freedom,
    means_of_known,
    newey_west_errors,
    student_bands,
)

Floats = npt.NDArray[np.float64]


class Banded(NamedTuple):
    """A number, the ends of its band and its cases; NaN where there is no band."""

    value: float
    lower: float
    upper: float
    cases: int


def mean_with_band(values: npt.ArrayLike, least: int, confidence: float, horizon: int = 1) -> Banded:
    """Return the mean over sessions with a band by Newey-West errors.

    Parameters
    ----------
    values
        By session; NaN where there is none.
    least
        Sessions below which there is no band.
    confidence, horizon
        Of the band, and of the labels in sessions.
    """
    series = np.asarray(values, dtype=np.float64)
    cases = int(np.isfinite(series).sum())
    if not cases:
        return Banded(np.nan, np.nan, np.nan, 0)
    mean = means_of_known(series[:, None])
    if cases < least:
        return Banded(float(mean[0]), np.nan, np.nan, cases)
    error = newey_west_errors(series[:, None], horizon)
    freedom = degrees_of_freedom([cases], len(series), horizon)
    band = student_bands(mean, error, confidence, freedom)
    return Banded(float(mean[0]), float(band.lower[0]), float(band.upper[0]), cases)


def ratio_with_band(parts: npt.ArrayLike, wholes: npt.ArrayLike, least: int, confidence: float) -> Banded:
    """Return the sum of parts over the sum of wholes, as costs over values, with the band of a ratio estimator.

    Parameters
    ----------
    parts, wholes
        By session.
    least
        Sessions below which there is no band.
    confidence
        Of the band.
    """
    above, below = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
    total = below.sum()
    if not total > 0:
        return Banded(np.nan, np.nan, np.nan, len(below))
    ratio = float(above.sum() / total)
    # Linearised: the mean of these is the ratio, and their error is its error (Cochran, Sampling Techniques, 6.4).
    around = (above - ratio * below) * len(below) / total
    found = mean_with_band(ratio + around, least, confidence)
    return found._replace(value=ratio)


def rate_with_band(hits: int, cases: int, least: int, confidence: float) -> Banded:
    """Return a share of cases with Wilson's band (Journal of the American Statistical Association 22, 1927)."""
    if not cases:
        return Banded(np.nan, np.nan, np.nan, 0)
    if cases < least:
        return Banded(hits / cases, np.nan, np.nan, cases)
    band = stats.binomtest(hits, cases).proportion_ci(confidence, method="wilson")
    return Banded(hits / cases, float(band.low), float(band.high), cases)
