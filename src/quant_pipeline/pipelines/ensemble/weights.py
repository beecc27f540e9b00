"""Weights of a combination, from what was realised before the weights are used."""

import logging

import pandas as pd

from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.pipelines.ensemble.parameters import Combination

logger = logging.getLogger(__name__)

FEWEST_SESSIONS = 20
"""Realised sessions below which dynamic weights are equal."""


def equal_weights(models: list[str]) -> pd.Series:
    """Give every model the same weight; they sum to one."""
    return pd.Series(1.0 / len(models), index=models)


def icir_weights(scores: dict[str, pd.Series], labels: pd.Series) -> pd.Series:
    """Weigh models by the stability of their rank IC.

    Parameters
    ----------
    scores
        Score of every model, indexed ``(datetime, instrument)``. Pass the validation sessions only: their labels are
        realised before the first test session, so the weights are known before they are used.
    labels
        Realised returns on the same index.

    Returns
    -------
    pandas.Series
        ``max(0, mean / standard deviation)`` of the daily rank IC, normalised to one; equal when none is above zero.
    """
    return _stability(rank_coefficients(scores, labels))


def rank_coefficients(scores: dict[str, pd.Series], labels: pd.Series) -> pd.DataFrame:
    """Rank ICs of every model, sessions × models; a session's value is known only once its label is."""
    return pd.DataFrame({model: information_coefficients(score, labels)["rank_ic"] for model, score in scores.items()})


def dynamic_weights(
    coefficients: pd.DataFrame, sessions: pd.DatetimeIndex, scored: pd.DatetimeIndex, lag: int, combination: Combination
) -> pd.DataFrame:
    """Weigh models again and again by the stability of their latest rank ICs.

    Parameters
    ----------
    coefficients
        Rank ICs, sessions × models. Only those are looked at whose label is realised at the close of the session the
        weights start with.
    sessions
        Consecutive sessions of the calendar.
    scored
        Sessions to be fused; weights start with the first and then every `refresh` sessions.
    lag
        Sessions until the label of a session is known.
    combination
        Window, refresh and shrinkage.

    Returns
    -------
    pandas.DataFrame
        First sessions × models; rows sum to one. Equal while fewer than :data:`FEWEST_SESSIONS` are realised.
    """
    rows = {}
    first, last = sessions.get_indexer([scored[0], scored[-1]])
    for place in range(first, last + 1, combination.refresh):
        realised = coefficients[coefficients.index <= sessions[place - lag]] if place >= lag else coefficients[:0]
        seen = realised.tail(combination.window)
        enough = len(seen) >= FEWEST_SESSIONS
        weights = _stability(seen) if enough else equal_weights(list(coefficients.columns))
        rows[sessions[place]] = shrink(weights, combination.shrinkage)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("session")


def shrink(weights: pd.Series, towards_equal: float) -> pd.Series:
    """Move weights towards equal ones; estimates of so few sessions are mostly noise, equal weights have none."""
    return (1 - towards_equal) * weights + towards_equal / len(weights)


def _stability(coefficients: pd.DataFrame) -> pd.Series:
    ratios = (coefficients.mean() / coefficients.std(ddof=1)).clip(lower=0.0).fillna(0.0)
    if ratios.sum() <= 0:
        logger.warning(
            "no model of %s had a positive rank IC before its weights were used; weighing them equally",
            list(coefficients.columns),
        )
        return equal_weights(list(coefficients.columns))
    return ratios / ratios.sum()
