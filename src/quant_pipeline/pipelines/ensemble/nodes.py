"""Nodes of the ensemble."""

import pandas as pd

from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.models.cross_validation import SplitParameters
from quant_pipeline.pipelines.ensemble.fusion import fuse
from quant_pipeline.pipelines.ensemble.parameters import Combination, EnsembleParameters
from quant_pipeline.pipelines.ensemble.weights import equal_weights, icir_weights


def weigh_combinations(
    labels: pd.DataFrame, ensemble: EnsembleParameters, split: SplitParameters, **predictions: pd.DataFrame
) -> pd.DataFrame:
    """Weigh the members of every combination by what the validation sessions showed.

    Parameters
    ----------
    labels
        Panel with column ``label``.
    ensemble, split
        Combinations, and the dates of the validation segment. It ends a gap before the first test session, so every
        label it uses is realised by then.
    **predictions
        ``<model>_predictions``: panel with columns ``score`` and ``segment``.

    Returns
    -------
    pandas.DataFrame
        ``combination``, ``model``, ``weight``; the weights of a combination sum to one.
    """
    validation = {
        name.removesuffix("_predictions"): table.loc[table["segment"] == "valid", "score"]
        for name, table in predictions.items()
    }
    rows = [
        (name, model, weight)
        for name, combination in ensemble.enabled.items()
        for model, weight in _weights(combination, validation, labels["label"]).items()
    ]
    return pd.DataFrame(rows, columns=["combination", "model", "weight"])


def _weights(combination: Combination, validation: dict[str, pd.Series], labels: pd.Series) -> pd.Series:
    if combination.weights == "equal":
        return equal_weights(combination.models)
    if combination.weights == "manual":
        manual = pd.Series(combination.manual)
        return manual / manual.sum()
    return icir_weights({model: validation[model] for model in combination.models}, labels)


def fuse_history(weights: pd.DataFrame, ensemble: EnsembleParameters, **predictions: pd.DataFrame) -> pd.DataFrame:
    """Fuse the out-of-sample scores of the test sessions, combination by combination.

    Returns
    -------
    pandas.DataFrame
        ``datetime``, ``instrument``, ``combination``, ``score``.
    """
    scores = {
        name.removesuffix("_predictions"): table.loc[table["segment"] == "test", "score"]
        for name, table in predictions.items()
    }
    return _fuse_all(scores, weights, ensemble)


def fuse_latest(weights: pd.DataFrame, ensemble: EnsembleParameters, **latest: pd.DataFrame) -> pd.DataFrame:
    """Fuse the scores of the newest session with the stored weights.

    Returns
    -------
    pandas.DataFrame
        ``datetime``, ``instrument``, ``combination``, ``score``.
    """
    scores = {name.removesuffix("_latest_scores"): table["score"] for name, table in latest.items()}
    return _fuse_all(scores, weights, ensemble)


def _fuse_all(scores: dict[str, pd.Series], weights: pd.DataFrame, ensemble: EnsembleParameters) -> pd.DataFrame:
    fused = []
    for name, combination in ensemble.enabled.items():
        members = weights[weights["combination"] == name].set_index("model")["weight"]
        score = fuse(scores, members, ensemble.normalisation, combination.may_miss)
        fused.append(score.reset_index().assign(combination=name))
    return pd.concat(fused, ignore_index=True)[["datetime", "instrument", "combination", "score"]]


def measure_information(
    fused_scores: pd.DataFrame, labels: pd.DataFrame, ensemble: EnsembleParameters, **predictions: pd.DataFrame
) -> pd.DataFrame:
    """Measure the information coefficient of every model and of the default combination, session by session.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``model``, ``ic``, ``rank_ic`` over the test sessions whose label is realised; the default
        combination is called ``fused``.
    """
    scores = {
        name.removesuffix("_predictions"): table.loc[table["segment"] == "test", "score"]
        for name, table in predictions.items()
    }
    default = fused_scores[fused_scores["combination"] == ensemble.default]
    scores["fused"] = default.set_index(["datetime", "instrument"])["score"]
    series = [
        information_coefficients(score, labels["label"]).rename_axis("date").reset_index().assign(model=model)
        for model, score in scores.items()
    ]
    return pd.concat(series, ignore_index=True)[["date", "model", "ic", "rank_ic"]]
