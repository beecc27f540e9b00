"""Candidates: the scores that compete, on common sessions, and which of these the search may see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.market.clock import label_lag
from quant_pipeline.pipelines.ensemble.fusion import normalise
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters


@dataclass(frozen=True)
class SearchSpan:
    """Sessions of a search.

    Attributes
    ----------
    selection
        Sessions that rank, search and test.
    whole
        The same and the embargo and the holdout after them.
    measured_from
        First session of the holdout, None without one.
    """

    selection: pd.DatetimeIndex
    whole: pd.DatetimeIndex
    measured_from: pd.Timestamp | None


def align_scores(
    predictions: dict[str, pd.DataFrame], chosen: list[str] | None, normalisation: str
) -> dict[str, pd.Series]:
    """Normalise the out-of-sample scores of the candidates.

    Parameters
    ----------
    predictions
        Model to panel with ``score`` and ``segment``; only the segment ``test`` competes, because training has seen
        the others.
    chosen
        Models that compete; None takes all.
    normalisation
        As of the ensemble, so that a combination found here is the one that is fused there.

    Returns
    -------
    dict
        Model to scores, in the order of names.

    Raises
    ------
    ConfigurationError
        If a chosen model has no predictions, or none is left.
    StaleDataError
        If the candidates have scores on different sessions: they would be compared on different markets.
    """
    wanted = sorted(predictions if chosen is None else chosen)
    unknown = [model for model in wanted if model not in predictions]
    if unknown or not wanted:
        raise ConfigurationError(
            f"`ensemble_search.models` names {first_of(unknown) or 'no model'}; enabled are "
            f"{first_of(sorted(predictions))}. Correct it in parameters_ensemble_search.yml."
        )
    scores = {}
    for model in wanted:
        table = predictions[model]
        scores[model] = normalise(table.loc[table["segment"] == "test", "score"].dropna(), normalisation)
    scored = {model: score.index.get_level_values("datetime").unique() for model, score in scores.items()}
    everywhere = reduce(pd.Index.union, scored.values())
    for model in wanted:
        absent = everywhere.difference(scored[model])
        if len(absent):
            raise StaleDataError(
                f"{model} has no scores on {len(absent)} sessions from {absent[0]:%Y-%m-%d} on which other candidates "
                "have. Train all candidates on the same split, or leave it out of `ensemble_search.models`."
            )
    return scores


def search_span(
    scored: pd.DatetimeIndex, sessions: pd.DatetimeIndex, search: EnsembleSearchParameters, horizon: int
) -> SearchSpan:
    """Divide the sessions of the search.

    Parameters
    ----------
    scored
        Sessions with scores.
    sessions
        Sessions of the market.
    search
        Lengths.
    horizon
        Horizon of the label.

    Raises
    ------
    ConfigurationError
        If the embargo is shorter than the label reaches, or nothing is left to search on.
    """
    embargo = search.embargo_periods * search.period_sessions
    if embargo < label_lag(horizon):
        raise ConfigurationError(
            f"An embargo of {embargo} sessions is shorter than the {label_lag(horizon)} sessions until a label is "
            "known. Raise `embargo_periods` in parameters_ensemble_search.yml."
        )
    whole = sessions[(sessions >= scored.min()) & (sessions <= scored.max())]
    holdout = search.holdout_periods * search.period_sessions
    reserved = holdout + embargo if holdout else 0
    if len(whole) <= reserved:
        raise ConfigurationError(
            f"{len(whole)} scored sessions cannot spare {reserved} for holdout and embargo. Lower `holdout_periods` in "
            "parameters_ensemble_search.yml."
        )
    selection = whole[: len(whole) - reserved]
    return SearchSpan(selection, whole, whole[-holdout] if holdout else None)
