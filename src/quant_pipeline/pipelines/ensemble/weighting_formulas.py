"""Weights of a combination, from what was realised before the weights are used."""

import logging
from collections.abc import Mapping

import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.pipelines.ensemble.parameters import Combination
from quant_pipeline.pipelines.ensemble.weighting_registry import MemberWeighting, weigh_members

logger = logging.getLogger(__name__)

FEWEST_SESSIONS = 20
"""Realised sessions below which dynamic weights are equal."""


def equal_weights(models: list[str]) -> pd.Series:
    """Give every model the same weight; they sum to one."""
    return pd.Series(1.0 / len(models), index=models)


def rank_coefficients(scores: dict[str, pd.Series], labels: pd.Series | Mapping[str, pd.Series]) -> pd.DataFrame:
    """Rank ICs of every model, sessions × models; a session's value is known only once its label is.

    Parameters
    ----------
    scores
        Scores by model.
    labels
        What was realised: the same for all, or by model.
    """
    of_model = labels if isinstance(labels, Mapping) else dict.fromkeys(scores, labels)
    return pd.DataFrame(
        {model: information_coefficients(score, of_model[model])["rank_ic"] for model, score in scores.items()}
    )


def dynamic_weights(
    coefficients: pd.DataFrame, sessions: pd.DatetimeIndex, scored: pd.DatetimeIndex, lag: int, combination: Combination
) -> pd.DataFrame:
    """Weigh models again and again by their latest rank ICs.

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
        First sessions × models; rows sum to one.
    """
    rows = {}
    first, last = sessions.get_indexer([scored[0], scored[-1]])
    for index in range(first, last + 1, combination.refresh):
        realised = coefficients[coefficients.index <= sessions[index - lag]] if index >= lag else coefficients[:0]
        seen = realised.tail(combination.window)
        rows[sessions[index]] = weigh_members(seen, combination)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("session")


def stability_weights(coefficients: pd.DataFrame) -> pd.Series:
    """Weigh models by the stability of their rank IC.

    Parameters
    ----------
    coefficients
        Rank ICs, sessions × models.

    Returns
    -------
    pandas.Series
        ``max(0, mean / standard deviation)`` of each column, normalised to one; equal when none is above zero.
    """
    ratios = (coefficients.mean() / coefficients.std(ddof=1)).clip(lower=0.0).fillna(0.0)
    if ratios.sum() <= 0:
        logger.warning(
            "no model of %s had a positive rank IC before its weights were used; weighing them equally",
            first_of(coefficients.columns),
        )
        return equal_weights(list(coefficients.columns))
    return ratios / ratios.sum()


def _weigh_equally(coefficients: pd.DataFrame, combination: Combination) -> pd.Series:
    return equal_weights(list(coefficients.columns))


def _weigh_as_given(coefficients: pd.DataFrame, combination: Combination) -> pd.Series:
    return pd.Series(combination.manual) / sum(combination.manual.values())


def _weigh_by_stability(coefficients: pd.DataFrame, combination: Combination) -> pd.Series:
    return stability_weights(coefficients)


def _weigh_by_latest_stability(coefficients: pd.DataFrame, combination: Combination) -> pd.Series:
    """Weigh by stability, or equally while fewer than `FEWEST_SESSIONS` are realised."""
    if len(coefficients) < FEWEST_SESSIONS:
        return equal_weights(list(coefficients.columns))
    return stability_weights(coefficients)


EQUAL = MemberWeighting(_weigh_equally, sees="nothing")
MANUAL = MemberWeighting(_weigh_as_given, sees="nothing")
ICIR = MemberWeighting(_weigh_by_stability, sees="validation")
DYNAMIC = MemberWeighting(_weigh_by_latest_stability, sees="latest")
