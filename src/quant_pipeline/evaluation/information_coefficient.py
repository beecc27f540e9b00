"""Information coefficients: how well scores order the returns that follow, session by session."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.performance import sample_deviation
from quant_pipeline.factors.session_rows import SessionRows

SMALLEST_CROSS_SECTION = 3
"""Instruments below which a session has no coefficient."""


def information_coefficients(scores: pd.Series, labels: pd.Series) -> pd.DataFrame:
    """Correlate scores and labels within every session.

    Parameters
    ----------
    scores
        Indexed ``(datetime, instrument)``, known after the close of ``datetime``.
    labels
        Realised returns on the same kind of index. They are known only later: a coefficient is a verdict on the past,
        never an input of the decision of its own session.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``datetime``: ``ic`` (Pearson) and ``rank_ic`` (Spearman, ties averaged). Pairs with a missing value
        are left out; sessions with fewer than three pairs, or a constant side, are missing values or absent.
    """
    pairs = _pairs(scores, labels)
    return pd.DataFrame({"ic": _correlations(pairs), "rank_ic": _correlations(_ranks(pairs))})


def rank_information_coefficients(scores: pd.Series, labels: pd.Series) -> pd.Series:
    """Return the ``rank_ic`` of `information_coefficients` alone, for those that ask for it again and again."""
    return _correlations(_ranks(_pairs(scores, labels)))


def summarise(coefficients: pd.DataFrame) -> dict[str, float]:
    """Summarise the coefficients of many sessions.

    Parameters
    ----------
    coefficients
        As returned by `information_coefficients`.

    Returns
    -------
    dict
        ``ic``, ``rank_ic``: means. ``icir``, ``rank_icir``: mean over standard deviation (one degree of freedom), not
        annualised; NaN where nothing varies. ``positive_share``: part of sessions with a positive rank IC.
        ``sessions``: how many sessions count. How sure the mean is depends on the horizon of the labels, see
        `rank_ic_t`.
    """
    known = coefficients.dropna()
    mean, deviation = known.mean(), known.apply(sample_deviation)
    ratio = mean / deviation.where(deviation > 0)
    return {
        "ic": float(mean["ic"]),
        "icir": float(ratio["ic"]),
        "rank_ic": float(mean["rank_ic"]),
        "rank_icir": float(ratio["rank_ic"]),
        "positive_share": float((known["rank_ic"] > 0).mean()),
        "sessions": len(known),
    }


def rank_ic_t(coefficients: pd.DataFrame, horizon: int) -> float:
    """Compute the t statistic of the mean rank IC against zero, with Newey-West errors.

    Labels of a horizon above one overlap, so that neighbouring sessions repeat each other; with errors of independent
    sessions the t would be too large by about the root of the horizon.

    Parameters
    ----------
    coefficients
        As returned by `information_coefficients`.
    horizon
        Horizon of the labels, in sessions.

    Returns
    -------
    float
        NaN with fewer than 20 sessions or ten horizons, or when nothing varies.
    """
    # Imported when it is computed: what describes models reads this module, and needs no scipy.
    from quant_pipeline.evaluation.standard_errors import newey_west_t

    return newey_west_t(coefficients["rank_ic"].to_numpy(dtype="float64"), horizon)


def _pairs(scores: pd.Series, labels: pd.Series) -> pd.DataFrame:
    return pd.concat({"score": scores, "label": labels}, axis=1, join="inner").astype("float64").dropna()


def _ranks(pairs: pd.DataFrame) -> pd.DataFrame:
    rows = SessionRows(pairs.index)
    return pd.DataFrame({name: rows.rank(pairs[name].to_numpy()) for name in pairs}, index=pairs.index, copy=False)


def _correlations(pairs: pd.DataFrame) -> pd.Series:
    sessions = pairs.index.get_level_values("datetime")
    by_session = pairs.groupby(sessions, sort=True)
    centred = pairs - by_session.transform("mean")
    products = pd.DataFrame(
        {
            "cross": centred["score"] * centred["label"],
            "score": centred["score"] ** 2,
            "label": centred["label"] ** 2,
        }
    )
    sums = products.groupby(sessions, sort=True).sum()
    enough = by_session.size() >= SMALLEST_CROSS_SECTION
    spread = np.sqrt(sums["score"] * sums["label"])
    return (sums["cross"] / spread.where(spread > 0)).where(enough)
