"""Fusion of scores: cross-sectional normalisation, alignment, weighted mean."""

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.session_rows import SessionRows

GRID = 2.0**40
"""Normalised scores are whole multiples of ``1 / GRID``: their sums are exact, so that neither the order of the members
nor the engine that adds them up decides between instruments of equal score."""


def normalise(scores: pd.Series, method: str) -> pd.Series:
    """Make the scores of different models comparable within each session.

    Parameters
    ----------
    scores
        Indexed ``(datetime, instrument)``.
    method
        ``rank``: centred ranks in ``[-0.5, 0.5]``, ties averaged. ``zscore``: mean zero, deviation one.
    """
    by_session = scores.groupby(level="datetime", sort=False)
    if method == "rank":
        span = (by_session.transform("count") - 1).clip(lower=1)
        ranks = pd.Series(SessionRows(scores.index).rank(scores.to_numpy()), index=scores.index, name=scores.name)
        return _on_grid((ranks - 1) / span - 0.5)
    if method == "zscore":
        deviation = by_session.transform("std")
        return _on_grid((scores - by_session.transform("mean")) / deviation.where(deviation > 0, 1.0))
    raise ConfigurationError(f"unknown normalisation '{method}' in parameters_ensemble.yml; use rank or zscore")


def fuse(scores: dict[str, pd.Series], weights: pd.Series, normalisation: str, max_missing: int = 0) -> pd.Series:
    """Fuse the scores of several models into one.

    Parameters
    ----------
    scores
        Score of every member, indexed ``(datetime, instrument)``.
    weights
        Weight of every member; used as they are, so pass weights known before the first session of ``scores``.
    normalisation
        See `normalise`.
    max_missing
        How many members may lack an instrument, or a whole session; the fused score is then the weighted mean of the
        others.

    Returns
    -------
    pandas.Series
        Fused score, sorted by ``(datetime, instrument)``; instruments that more members lack are left out.

    Raises
    ------
    StaleDataError
        When more members than may miss have no score at all on a session on which another member has some.
    """
    panel = pd.DataFrame({model: normalise(scores[model].dropna(), normalisation) for model in weights.index})
    present = panel.notna().groupby(level="datetime").any()
    absent = present.loc[(~present).sum(axis=1) > max_missing]
    if len(absent):
        session = absent.index[0]
        missing = sorted(absent.columns[~absent.iloc[0]])
        raise StaleDataError(
            f"{first_of(missing)} has no scores for {session:%Y-%m-%d} while other members of the combination have; "
            f"{max_missing} may be missing. Run the prediction of that model, or raise `max_missing` in "
            "parameters_ensemble.yml."
        )
    # Equal weights become ones, so that they add scores exactly.
    relative = weights / weights.max()
    weighted = panel.mul(relative, axis=1)
    available = panel.notna().mul(relative, axis=1).sum(axis=1)
    enough = panel.isna().sum(axis=1) <= max_missing
    fused = weighted.sum(axis=1, min_count=1) / available.where(available > 0)
    return fused[enough & (available > 0)].sort_index().rename("score")


def _on_grid(values: pd.Series) -> pd.Series:
    return np.round(values * GRID) / GRID
