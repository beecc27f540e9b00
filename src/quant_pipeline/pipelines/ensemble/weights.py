"""Weights of a combination, from what was realised before the weights are used."""

import logging

import pandas as pd

from quant_pipeline.evaluation.information_coefficient import information_coefficients

logger = logging.getLogger(__name__)


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
    ratios = {}
    for model, score in scores.items():
        rank_ic = information_coefficients(score, labels)["rank_ic"]
        ratios[model] = max(0.0, rank_ic.mean() / rank_ic.std(ddof=1))
    weights = pd.Series(ratios).fillna(0.0)
    if weights.sum() <= 0:
        logger.warning(
            "no model of %s had a positive rank IC before the test period; weighing them equally", list(scores)
        )
        return equal_weights(list(scores))
    return weights / weights.sum()
