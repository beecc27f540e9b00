"""How sure a mean over sessions is: Newey-West errors, block-bootstrap bands, p-values, false discovery rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

Floats = npt.NDArray[np.float64]

SMALLEST_SAMPLE = 20
"""Sessions below which nothing is concluded."""

SMALLEST_HORIZONS = 10
"""Horizons, laid end to end, below which nothing is concluded of labels that overlap."""


class Bands(NamedTuple):
    """Lower and upper ends of confidence bands, one per series."""

    lower: Floats
    upper: Floats


class ResampledBands(NamedTuple):
    """Bands of the mean and of mean over standard deviation."""

    mean: Bands
    ratio: Bands


def means_of_known(values: Floats, axis: int = 0) -> Floats:
    """Return the means of what is known along an axis; NaN, without a warning, where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def smallest_sample(horizon: int) -> int:
    """Return the number of sessions below which nothing is concluded of labels of a horizon."""
    return max(SMALLEST_SAMPLE, SMALLEST_HORIZONS * horizon)


def newey_west_lags(sessions: int, horizon: int) -> int:
    """Choose how many lags of autocovariance count.

    Labels of a horizon ``h`` are autocorrelated up to lag ``h - 1``. Bartlett weights with ``2h - 1`` lags capture
    three quarters of that, with ``h - 1`` lags two thirds. The rule ``4 (n / 100)^(2/9)`` of Newey and West (Review of
    Economic Studies 61, 1994) covers the autocorrelation of the scores themselves.
    """
    overlap = 2 * horizon - 1 if horizon > 1 else 0
    return min(max(overlap, int(4 * (sessions / 100) ** (2 / 9))), max(sessions - 1, 0))


def degrees_of_freedom(known: npt.ArrayLike, sessions: int, horizon: int) -> Floats:
    """Return the degrees of freedom of Student's law that a t with the errors of `newey_west_errors` follows.

    An error of few observations is itself unsure. With ``L`` lags of ``n`` values, Bartlett weights are worth
    ``1.5 n / (L + 1)`` independent squares (the equivalent degrees of freedom of Lazarus, Lewis, Stock and Watson,
    "HAR Inference", Journal of Business & Economic Statistics 36, 2018).

    Parameters
    ----------
    known
        Sessions with a value, per series.
    sessions
        Length of the series.
    horizon
        Horizon of the labels, in sessions.
    """
    return np.maximum(1.5 * np.asarray(known, dtype=np.float64) / (newey_west_lags(sessions, horizon) + 1), 1.0)


def newey_west_errors(series: Floats, horizon: int) -> Floats:
    """Compute standard errors of means that allow for heteroscedasticity and autocorrelation.

    Bartlett weights (Newey and West, Econometrica 55, 1987). Sessions without a value count as no deviation, and the
    sum is divided by those with one: the amplitude-modulated estimate (Parzen, Sankhyā A 25, 1963); with complete
    series it is the textbook one.

    Errors of labels that overlap stay too small: by a fifth at ten horizons, a tenth at fifty. Where there is nothing,
    `two_sided_p_values` is below 5 % in 12 % of samples of 10 horizons, 10 % of 25, 8 % of 50, and in 6 % where
    nothing overlaps (2 000 series of each kind, horizons of 5 to 60 sessions).

    Parameters
    ----------
    series
        Sessions × series; NaN where a session has no value.
    horizon
        Horizon of the labels, in sessions.

    Returns
    -------
    numpy.ndarray
        One standard error per series; NaN with fewer values than `smallest_sample`.
    """
    known = np.isfinite(series)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        gaps = np.where(known, series - means_of_known(series), 0.0)
        variance = (gaps * gaps).sum(axis=0)
        lags = newey_west_lags(len(series), horizon)
        for lag in range(1, lags + 1):
            variance += 2.0 * (1.0 - lag / (lags + 1)) * (gaps[lag:] * gaps[:-lag]).sum(axis=0)
        return np.where(count >= smallest_sample(horizon), np.sqrt(np.maximum(variance, 0.0)) / count, np.nan)


def newey_west_t(values: Floats, horizon: int) -> float:
    """Compute the t statistic of one mean against zero, with the errors of `newey_west_errors`.

    Parameters
    ----------
    values
        One value per session, NaN where there is none.
    horizon
        Horizon of the labels, in sessions.

    Returns
    -------
    float
        NaN with fewer values than `smallest_sample`, or when nothing varies.
    """
    error = float(newey_west_errors(values[:, None], horizon)[0])
    return float(means_of_known(values)) / error if error > 0 and np.ptp(values[np.isfinite(values)]) > 0 else np.nan


def block_length(sessions: int, horizon: int) -> int:
    """Choose the length of blocks: at least two horizons, else the cube root of the sample that theory asks for."""
    return min(max(2 * horizon, round(sessions ** (1 / 3)), 1), max(sessions, 1))


def bootstrap_bands(series: Floats, horizon: int, confidence: float, resamples: int, seed: int) -> ResampledBands:
    """Compute percentile bands of mean and of mean over deviation by the circular block bootstrap.

    Blocks of neighbouring sessions are drawn with replacement (Politis and Romano, "A circular block-resampling
    procedure for stationary data", 1992), the same ones for every series, so that series stay comparable. A resample
    is kept as the number of times that each session was drawn; all means then are one product of matrices.

    Bands are too narrow in small samples: a 95 % band covers the true mean of pure chance in 82 to 87 % of the smallest
    samples, and in 87 to 92 % at fifty horizons or 250 sessions that do not overlap (400 series of each kind).

    Parameters
    ----------
    series
        Sessions × series; NaN where a session has no value.
    horizon
        Horizon of the labels, in sessions.
    confidence
        Part of the resamples inside the band.
    resamples, seed
        Number of resamples, and the random seed.

    Returns
    -------
    ResampledBands
        NaN with fewer values than `smallest_sample`, so that a block is at most a fifth of the sample: one as long as
        the circle is always the whole sample, and its band has no width.
    """
    sessions = len(series)
    length = block_length(sessions, horizon)
    draws = _count_draws(sessions, length, resamples, np.random.default_rng(seed))
    known = np.isfinite(series)
    filled = np.where(known, series, 0.0)
    enough = known.sum(axis=0) >= smallest_sample(horizon)
    # Centred before squaring: the deviation of a tiny spread around a large mean would be lost.
    centre = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    gaps = np.where(known, filled - centre, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        count = draws @ known.astype("float64")
        gap = draws @ gaps / count
        spread = np.sqrt(np.maximum(draws @ (gaps * gaps) / count - gap * gap, 0.0) * count / (count - 1))
        means = gap + centre
        ratios = means / np.where(spread > 0, spread, np.nan)
    return ResampledBands(_percentiles(means, confidence, enough), _percentiles(ratios, confidence, enough))


def student_bands(mean: Floats, error: Floats, confidence: float, freedom: Floats) -> Bands:
    """Return the bands of means with errors of some degrees of freedom (`degrees_of_freedom`)."""
    reach = scipy.stats.t.ppf(0.5 + confidence / 2, freedom) * error
    return Bands(mean - reach, mean + reach)


def two_sided_p_values(t: Floats, freedom: Floats) -> Floats:
    """Return how likely so large a t is when there is nothing, by Student's law (`degrees_of_freedom`)."""
    return 2.0 * scipy.stats.t.sf(np.abs(t), freedom)


def false_discovery_rates(p_values: Floats) -> Floats:
    """Return the false discovery rate at which each of many tests would just be called a finding.

    The step-up procedure of Benjamini and Yekutieli (Annals of Statistics 29, 2001), which holds however the factors
    depend on each other. Missing p-values stay missing and are not counted as tests.
    """
    known = np.isfinite(p_values)
    rates = np.full(len(p_values), np.nan)
    if known.any():
        rates[known] = scipy.stats.false_discovery_control(p_values[known], method="by")
    return rates


def _count_draws(sessions: int, length: int, resamples: int, random: np.random.Generator) -> Floats:
    blocks = -(-sessions // length)
    starts = random.integers(0, sessions, size=(resamples, blocks))
    drawn = (starts[:, :, None] + np.arange(length)).reshape(resamples, -1)[:, :sessions] % sessions
    rows = np.repeat(np.arange(resamples), sessions) * sessions
    return (
        np.bincount(rows + drawn.ravel(), minlength=resamples * sessions).reshape(resamples, sessions).astype("float64")
    )


def _percentiles(values: Floats, confidence: float, enough: npt.NDArray[np.bool_]) -> Bands:
    tail = (1.0 - confidence) / 2
    known = np.isfinite(values)
    whole = known.all(axis=0)
    # A series of few sessions is in some resamples not at all; these say nothing about it.
    partly = known.any(axis=0) & ~whole
    ends = np.full((2, values.shape[1]), np.nan)
    ends[:, whole] = np.quantile(values[:, whole], [tail, 1.0 - tail], axis=0)
    ends[:, partly] = np.nanquantile(np.where(known, values, np.nan)[:, partly], [tail, 1.0 - tail], axis=0)
    lower, upper = np.where(enough, ends, np.nan)
    return Bands(lower, upper)
