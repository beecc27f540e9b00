"""Nodes of the model report: compare the models, and find those whose data or scores have drifted."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError, StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation import factor_tables
from quant_pipeline.evaluation.drift import DriftParameters, advise, compare_distributions, rolling_rank_ic
from quant_pipeline.evaluation.factor_correlation import correlate_factors
from quant_pipeline.evaluation.factor_scores import ScoringParameters, score_factors
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.factors.labels import compute_labels
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.panel_rows import in_sessions, in_span, is_member
from quant_pipeline.models.panels import Features, take_rows
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.prediction.nodes import require_factors

CORRELATION_SESSIONS = 250
MOST_ROWS = 20_000
"""Rows that stand for a span when distributions are compared, drawn at random."""
SAMPLE_SEED = 0
"""Seed of the rows drawn: the same panel gives the same report."""


def compare_models(
    adjusted_bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    model_comparison: ScoringParameters,
    market_rules: MarketRules,
    **predictions: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Score the out-of-sample predictions of all models side by side, as one scores factors.

    Parameters
    ----------
    adjusted_bars, corporate_actions, sessions
        For the labels of every horizon.
    model_comparison
        Horizons and confidence.
    market_rules
        Execution price.
    **predictions
        ``<model>_predictions``: panel with ``score`` and ``segment``.

    Returns
    -------
    tuple of pandas.DataFrame
        Summary (one row per model, see `evaluation.factor_tables.summarise_factors`), decay over horizons, rank IC by
        year, and correlation of ranks between models.
    """
    panel = _test_scores(predictions)
    horizons = {f"return_{horizon}": horizon for horizon in model_comparison.horizons}
    calendar = pd.DatetimeIndex(sessions["date"])
    labels = compute_labels(adjusted_bars, corporate_actions, calendar, market_rules.deal_price, horizons)
    scores = score_factors(panel, labels.reindex(panel.index), model_comparison)
    models = list(panel.columns)
    correlations = factor_tables.tabulate_correlations(correlate_factors(panel, CORRELATION_SESSIONS), models, models)
    decay = factor_tables.tabulate_decay(scores, model_comparison)
    summary = factor_tables.summarise_factors(decay, scores, correlations, dict.fromkeys(models, "model"))
    return summary, decay, _by_year(factor_tables.tabulate_sessions(scores)), correlations


def monitor_model(
    bundle: ModelBundle,
    features: Features,
    labels: pd.DataFrame,
    universe_members: pd.DataFrame,
    label: LabelParameters,
    feature_set: FeatureSet,
    monitoring: DriftParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], pd.DataFrame]:
    """Compare the newest sessions with those that a model was trained on.

    A model whose factors have other expressions by now, or are gone, cannot be compared: nothing of it is measured, and
    that is its reason to be trained again. The others are compared all the same.

    Parameters
    ----------
    bundle
        The champion, with the window it was trained on.
    features, labels, universe_members
        Up to the newest session; labels only where they are realised.
    label
        Horizon.
    feature_set
        How the factors are computed now.
    monitoring
        Spans and thresholds.

    Returns
    -------
    tuple
        Drift by factor, the rolling rank IC since the end of validation with its band, and the health of the model:
        ``score_psi``, ``expected_rank_ic``, ``recent_rank_ic``, ``reasons`` to train it again (none: ``[]``); and
        the importance of its factors.
    """
    factors = list(bundle.facts.expressions)
    member = is_member(features.index, universe_members)
    window = {name: [pd.Timestamp(day) for day in span] for name, span in bundle.facts.window.items()}
    since = np.flatnonzero(member & in_span(features.index, window["valid"][0]))
    try:
        require_factors(bundle.facts, feature_set.computed_expressions())
        scores = bundle.predict(features, since)
    except ModelError as error:
        return _not_compared(bundle, error.message, label, monitoring)
    recent_days = features.index.unique("datetime")[-monitoring.recent_sessions :]
    in_training = member & in_span(features.index, *window["train"])
    is_recent = member & in_sessions(features.index, recent_days)
    learned, recent = (take_rows(features, sample_rows(chosen), factors) for chosen in (in_training, is_recent))
    drift = compare_distributions(learned, recent, monitoring)
    rank_ic = information_coefficients(scores, labels["label"])["rank_ic"].dropna()
    promised = rank_ic[rank_ic.index <= window["valid"][1]]
    live = rank_ic[rank_ic.index > window["valid"][1]]
    band = rolling_rank_ic(live, promised, label.horizon, monitoring)
    of_session = scores.index.get_level_values("datetime")
    score_psi = compare_distributions(
        scores[of_session <= window["valid"][1]].to_frame(), scores[of_session.isin(recent_days)].to_frame(), monitoring
    )["psi"].iloc[0]
    health = {
        "bundle": bundle.identity,
        "score_psi": float(score_psi),
        "expected_rank_ic": float(promised.mean()),
        "recent_rank_ic": float(live.tail(monitoring.rolling_sessions).mean()),
        "reasons": advise(drift, bundle.importance, float(score_psi), band, monitoring),
    }
    return drift, band, health, bundle.importance


def _not_compared(
    bundle: ModelBundle, reason: str, label: LabelParameters, monitoring: DriftParameters
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], pd.DataFrame]:
    """Return what `monitor_model` returns, of a model of which nothing can be measured."""
    nothing = pd.Series(dtype="float64", index=pd.DatetimeIndex([]))
    health = {
        "bundle": bundle.identity,
        **dict.fromkeys(("score_psi", "expected_rank_ic", "recent_rank_ic"), float("nan")),
        "reasons": [reason],
    }
    drift = compare_distributions(pd.DataFrame(), pd.DataFrame(), monitoring)
    return drift, rolling_rank_ic(nothing, nothing, label.horizon, monitoring), health, bundle.importance


def sample_rows(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Draw at most :data:`MOST_ROWS` of the chosen rows at random, each as likely as any other.

    A panel is sorted by session and instrument, so that every n-th row would be the same few instruments wherever n and
    their number share a factor.

    Returns
    -------
    numpy.ndarray
        Places of the rows, ascending; all that are chosen where they are few enough.
    """
    indices = np.flatnonzero(chosen)
    if len(indices) <= MOST_ROWS:
        return indices
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(indices, MOST_ROWS, replace=False))


def _test_scores(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the scores of the test sessions that every model has scored side by side; a missing score is NaN.

    Raises
    ------
    StaleDataError
        When there is no such session: means over other sessions cannot be compared.
    """
    columns = {
        name.removesuffix("_predictions"): table.loc[table["segment"] == "test", "score"]
        for name, table in predictions.items()
    }
    panel = pd.concat(columns, axis=1).sort_index()
    is_common = panel.notna().groupby(level="datetime").any().all(axis=1)
    common = is_common.index[is_common]
    if common.empty:
        raise StaleDataError(
            f"{first_of(columns)} have no test session in common; train them with the same `split`: "
            "kedro run --pipelines training"
        )
    return panel[panel.index.get_level_values("datetime").isin(common)]


def _by_year(by_session: pd.DataFrame) -> pd.DataFrame:
    """Average the rank IC by model and year: ``model``, ``year``, ``rank_ic``, ``sessions``."""
    known = by_session.dropna(subset="rank_ic")
    grouped = known.groupby(["factor", known["date"].dt.year.rename("year")])["rank_ic"]
    table = pd.DataFrame({"rank_ic": grouped.mean().astype("float64"), "sessions": grouped.size()})
    return table.reset_index().rename(columns={"factor": "model"})
