"""Nodes of the ensemble: member weights, fused scores of the past and of the newest session, their information."""

import logging
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import pairwise
from typing import assert_never

import pandas as pd

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation.decile_returns import HISTORY_COLUMNS, decile_returns, round_trip_cost
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.factors.labels import BETWEEN, known_after, stated_label
from quant_pipeline.market.clock import label_lag
from quant_pipeline.pipelines.ensemble.fusion import fuse
from quant_pipeline.pipelines.ensemble.parameters import Combination, EnsembleParameters
from quant_pipeline.pipelines.ensemble.provenance import (
    BUNDLES,
    WEIGHTS,
    bundle_of,
    fingerprint_of_weights,
    require_champions,
    state_bundles,
    weighed_by_others,
)
from quant_pipeline.pipelines.ensemble.weighting_formulas import dynamic_weights, rank_coefficients
from quant_pipeline.pipelines.ensemble.weighting_registry import weigh_members
from quant_pipeline.pipelines.features.nodes import LabelParameters

logger = logging.getLogger(__name__)

_RENEW = "Renew them: kedro run --pipelines features,training,ensemble"


def weigh_combinations(
    labels: pd.DataFrame,
    sessions: pd.DataFrame,
    ensemble: EnsembleParameters,
    label: LabelParameters,
    **tables: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Weigh the members of every combination by what was realised before the weights are used.

    Parameters
    ----------
    labels
        Panel with column ``label``.
    sessions
        Calendar: ``date``.
    ensemble, label
        Combinations, and the horizon. The validation segment ends a gap before the first test session, so every label
        it uses is realised by then; dynamic weights leave the same gap.
    **tables
        ``<model>_predictions``: panel with columns ``score``, ``segment`` and ``label``; ``<title>_labels``: as
        `labels`, for models with a label of their own. Each model is judged on the label that it states, and the gaps
        are those of the longest.

    Returns
    -------
    tuple of pandas.DataFrame
        ``ensemble_weights``, those newest in force, and ``ensemble_weight_history``, all: ``combination``, ``model``,
        ``weight``, ``session`` (the first one they hold for), ``bundle`` (whose scores they were estimated from, empty
        where the predictions do not state it). The weights of a combination sum to one in each session.
    """
    suffix = "_predictions"
    predictions = {name.removesuffix(suffix): table for name, table in tables.items() if name.endswith(suffix)}
    others = {table.attrs["expression"]: table["label"] for name, table in tables.items() if not name.endswith(suffix)}
    own = {name: others.get(stated_label(table), labels["label"]) for name, table in predictions.items()}
    lag = max(label_lag(label.horizon), *(known_after(expression) for expression in others), 0)
    calendar = pd.DatetimeIndex(sessions["date"])
    history = pd.concat(
        [
            _weights(combination, predictions, own, calendar, lag)
            .rename_axis(index="session", columns="model")
            .stack()
            .rename("weight")
            .reset_index()
            .assign(combination=name)
            for name, combination in ensemble.enabled.items()
        ],
        ignore_index=True,
    )[["combination", "model", "weight", "session"]]
    made_by = {name: bundle_of(table) for name, table in predictions.items()}
    history["bundle"] = history["model"].map(made_by).astype("str")
    newest = history["session"] == history.groupby("combination")["session"].transform("max")
    return history[newest].reset_index(drop=True), history


def _weights(
    combination: Combination,
    predictions: dict[str, pd.DataFrame],
    labels: dict[str, pd.Series],
    calendar: pd.DatetimeIndex,
    lag: int,
) -> pd.DataFrame:
    """Weights of one combination, first sessions × models."""
    members = {model: predictions[model] for model in combination.models}
    tested = _scores(members, "test")
    scored = reduce(pd.Index.union, (score.index.get_level_values("datetime").unique() for score in tested.values()))
    match combination.weighting.sees:
        case "latest":
            everything = {model: table["score"] for model, table in members.items()}
            coefficients = rank_coefficients(everything, labels)
            return dynamic_weights(coefficients, calendar, pd.DatetimeIndex(scored), lag, combination)
        case "validation":
            coefficients = rank_coefficients(_scores(members, "valid"), labels)
        case "nothing":
            coefficients = pd.DataFrame(columns=combination.models, dtype="float64")
        case unknown:
            assert_never(unknown)
    weights = weigh_members(coefficients, combination)
    return weights.rename(scored[0]).to_frame().T


def _scores(predictions: dict[str, pd.DataFrame], segment: str) -> dict[str, pd.Series]:
    return {model: table.loc[table["segment"] == segment, "score"] for model, table in predictions.items()}


def fuse_history(weights: pd.DataFrame, ensemble: EnsembleParameters, **predictions: pd.DataFrame) -> pd.DataFrame:
    """Fuse the out-of-sample scores of the test sessions, combination by combination.

    Parameters
    ----------
    weights
        ``ensemble_weight_history``; each session is fused with the weights in force.
    ensemble
        Combinations.
    **predictions
        ``<model>_predictions``.

    Returns
    -------
    pandas.DataFrame
        ``datetime``, ``instrument``, ``combination``, ``score``, and ``label``: what the members were trained to
        predict, empty when one of them does not state it.
    """
    tables = {name.removesuffix("_predictions"): table for name, table in predictions.items()}
    return _fuse_all(_scores(tables, "test"), weights, ensemble, _stated_labels(tables))


def fuse_latest(
    weights: pd.DataFrame,
    ensemble: EnsembleParameters,
    sessions: pd.DataFrame,
    champions: dict[str, str],
    **latest: pd.DataFrame,
) -> pd.DataFrame:
    """Fuse the scores of the newest session with the stored weights.

    Parameters
    ----------
    weights
        ``ensemble_weights``.
    ensemble
        Combinations.
    sessions
        Calendar: ``date``.
    champions
        Champion by model.
    **latest
        ``<model>_latest_scores``.

    Returns
    -------
    pandas.DataFrame
        ``datetime``, ``instrument``, ``combination``, ``score``; ``label``: what the members were trained to predict,
        empty when one of them does not state it; ``bundles``: what scored, as JSON by model; ``weights_sha256``: with
        which weights.

    Raises
    ------
    StaleDataError
        When weights of the latest sessions should have been renewed by now, or weights are of other models: a backtest
        would trade other ones. When a member was scored by a bundle that is not the champion.
    """
    tables = {name.removesuffix("_latest_scores"): table for name, table in latest.items()}
    scores = {model: table["score"] for model, table in tables.items()}
    newest = max(score.index.get_level_values("datetime").max() for score in scores.values())
    require_fresh_weights(weights, ensemble, sessions, newest)
    bundles = {model: bundle_of(table) for model, table in tables.items()}
    for model, made_by in bundles.items():
        require_champions(model, {model: made_by}, champions, newest)
    _tell_weights_of_others(weights, ensemble, champions)
    fused = _fuse_all(scores, weights, ensemble, _stated_labels(tables))
    made = pd.DataFrame(
        [
            (name, state_bundles({model: bundles[model] for model in c.models}), fingerprint_of_weights(weights, name))
            for name, c in ensemble.enabled.items()
        ],
        columns=["combination", BUNDLES, WEIGHTS],
        dtype="str",
    )
    return fused.merge(made, on="combination", how="left")


def require_fresh_weights(
    weights: pd.DataFrame, ensemble: EnsembleParameters, sessions: pd.DataFrame, session: pd.Timestamp
) -> None:
    """Refuse stored weights that are of other models, or too old for a session.

    Parameters
    ----------
    weights
        ``ensemble_weights``.
    ensemble
        Combinations.
    sessions
        Calendar: ``date``.
    session
        The session whose scores are to be fused.

    Raises
    ------
    StaleDataError
        When weights of the latest sessions should have been renewed by then, were estimated from later ones, or are of
        other models.
    """
    for name, combination in ensemble.enabled.items():
        own = weights[weights["combination"] == name]
        _require_members(name, combination, own["model"])
        since = own["session"].max()
        age = int(((sessions["date"] > since) & (sessions["date"] <= session)).sum())
        if combination.weighting.sees != "nothing" and since > session:
            raise StaleDataError(
                f"the weights of combination '{name}' hold from {since:%Y-%m-%d} on and were estimated from what was "
                f"known then, which is later than {session:%Y-%m-%d}. Estimate them as they were: `kedro run "
                f"--pipelines ensemble --params as_of={session:%Y-%m-%d}`"
            )
        if combination.weighting.sees == "latest" and age >= combination.refresh:
            raise StaleDataError(
                f"the weights of combination '{name}' are of {since:%Y-%m-%d}, {age} sessions before "
                f"{session:%Y-%m-%d}; they hold for {combination.refresh}. {_RENEW}"
            )


def _tell_weights_of_others(weights: pd.DataFrame, ensemble: EnsembleParameters, champions: Mapping[str, str]) -> None:
    """Name the weights that were estimated from scores of other bundles than those that score now."""
    for name, combination in ensemble.enabled.items():
        others = {} if combination.weighting.sees == "nothing" else weighed_by_others(weights, name, champions)
        for model, bundle in others.items():
            logger.warning(
                "the weights of combination '%s' were estimated from scores of bundle %s of %s, and %s scores now; "
                "`kedro run --pipelines ensemble,backtest` estimates them again from its newest training",
                name, bundle, model, champions.get(model),
            )  # fmt: skip


def _require_members(name: str, combination: Combination, weighted: Iterable[str]) -> None:
    found = sorted(set(weighted))
    if found != sorted(set(combination.models)):
        stored = f"its stored weights are of {first_of(found)}" if found else "no weights of it are stored yet"
        raise StaleDataError(
            f"combination '{name}' fuses {first_of(sorted(combination.models))}, but {stored}. Estimate them: "
            "`kedro run --pipelines ensemble`"
        )


def _stated_labels(tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    return {model: stated_label(table) for model, table in tables.items()}


def _common_label(combination: Combination, stated: dict[str, str]) -> str:
    labels = {stated[model] for model in combination.models}
    return BETWEEN.join(sorted(labels)) if all(labels) else ""


def _fuse_all(
    scores: dict[str, pd.Series], weights: pd.DataFrame, ensemble: EnsembleParameters, stated: dict[str, str]
) -> pd.DataFrame:
    fused = []
    for name, combination in ensemble.enabled.items():
        in_force = weights[weights["combination"] == name].pivot(index="session", columns="model", values="weight")
        _require_members(name, combination, in_force.columns)
        # Whatever comes before the first weights were meant for is fused with these: there are no others.
        bounds = [pd.Timestamp.min, *in_force.index[1:], pd.Timestamp.max]
        for (_, members), (start, end) in zip(in_force.iterrows(), pairwise(bounds), strict=True):
            part = {model: _between(scores[model], start, end) for model in combination.models}
            score = fuse(part, members[combination.models], ensemble.normalisation, combination.max_missing)
            fused.append(score.reset_index().assign(combination=name))
    table = pd.concat(fused, ignore_index=True)[["datetime", "instrument", "combination", "score"]]
    labels = {name: _common_label(combination, stated) for name, combination in ensemble.enabled.items()}
    return table.assign(label=table["combination"].map(labels).astype("str"))


def _between(scores: pd.Series, start: pd.Timestamp, end: pd.Timestamp) -> pd.Series:
    dates = scores.index.get_level_values("datetime")
    return scores[(dates >= start) & (dates < end)]


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
    scores = _scores({name.removesuffix("_predictions"): table for name, table in predictions.items()}, "test")
    default = fused_scores[fused_scores["combination"] == ensemble.default]
    scores["fused"] = default.set_index(["datetime", "instrument"])["score"]
    series = [
        information_coefficients(score, labels["label"]).rename_axis("date").reset_index().assign(model=model)
        for model, score in scores.items()
    ]
    return pd.concat(series, ignore_index=True)[["date", "model", "ic", "rank_ic"]]


def measure_deciles(
    fused_scores: pd.DataFrame,
    labels: pd.DataFrame,
    label: LabelParameters,
    cost_rules: CostRules,
    **predictions: pd.DataFrame,
) -> pd.DataFrame:
    """Measure what the deciles of every combination and model have earned out of sample, after costs.

    Parameters
    ----------
    fused_scores
        ``datetime``, ``instrument``, ``combination``, ``score`` of the test sessions.
    labels
        Panel with column ``label``.
    label, cost_rules
        Horizon of the labels; costs, of which those of the newest session are taken.
    **predictions
        ``<model>_predictions``, of which the test segment is taken.

    Returns
    -------
    pandas.DataFrame
        ``source``, then the columns of `decile_returns`.
    """
    scores = _scores({name.removesuffix("_predictions"): table for name, table in predictions.items()}, "test")
    for name, table in fused_scores.groupby("combination", sort=False):
        scores[str(name)] = table.set_index(["datetime", "instrument"])["score"]
    cost = round_trip_cost(cost_rules, labels.index.get_level_values("datetime").max())
    tables = [
        decile_returns(score, labels["label"], label.horizon, cost).assign(source=name)
        for name, score in scores.items()
    ]
    return pd.concat(tables, ignore_index=True)[["source", *HISTORY_COLUMNS]].astype({"source": "str"})
