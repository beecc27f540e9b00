"""Nodes of prediction: features and scores of the newest session, by the champions."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError, ModelError, QuantPipelineError, StaleDataError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.feature_sets import FeatureSet, with_traded
from quant_pipeline.factors.labels import is_label_of
from quant_pipeline.factors.precomputed import check_file_factors, join_file_factors, require_session
from quant_pipeline.factors.sorted_panel import PANEL_INDEX
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.market.data import said_to_come_from, source_of
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.models.bundle import BundleFacts, ModelBundle
from quant_pipeline.models.panel_rows import is_member
from quant_pipeline.models.spec import ModelSpec

logger = logging.getLogger(__name__)

COMPUTED_AS: Final = "computed_as"
"""Attribute of the newest features: the expression of every factor that was computed."""


def compute_latest_features(
    adjusted_bars: pd.DataFrame,
    sessions: pd.DataFrame,
    feature_set: FeatureSet,
    as_of: str,
    factor_file: pd.DataFrame | None = None,
    **specs: Any,
) -> pd.DataFrame:
    """Evaluate the factors of the newest sessions, as many as the longest window of a model needs.

    Parameters
    ----------
    adjusted_bars, sessions
        The market; what came after ``as_of`` is not looked at.
    feature_set
        The factors.
    as_of
        Session to score.
    factor_file
        The file of the feature set; None without one.
    **specs
        Specification of every model that uses them; Kedro does not type variadic arguments, so they are validated here.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × factor``, float32; the rows of `compute_feature_set` for these sessions, bit
        for bit, of every instrument with a bar in ``as_of``.

    Raises
    ------
    StaleDataError
        When the market, or the file, does not reach ``as_of``.
    """
    days, adjusted_bars = known_at(as_of, sessions, adjusted_bars)
    window = max(ModelSpec.model_validate(spec).window for spec in specs.values())
    expressions = with_traded(feature_set.computed_expressions())
    panel = compute_factors(adjusted_bars, expressions, days, start=days[-window:][0])
    if factor_file is not None:
        names, file = feature_set.file_factors, str(feature_set.file)
        require_session(factor_file, days[-1], file)
        panel = join_file_factors(panel, check_file_factors(factor_file, names, days, panel.index.levels[1], file))
    latest = said_to_come_from(source_of(adjusted_bars), panel)
    latest.attrs[COMPUTED_AS] = feature_set.computed_expressions()
    return latest


def score_latest(
    bundle: ModelBundle,
    latest_features: pd.DataFrame,
    universe_members: pd.DataFrame,
    market_rules: MarketRules,
    as_of: str,
) -> pd.DataFrame:
    """Score the members of the newest session with a stored bundle.

    Parameters
    ----------
    bundle
        The champion.
    latest_features, universe_members
        Factors of the newest sessions, and who may be traded.
    market_rules
        Rules of the exchange, which name the price that orders execute at.
    as_of
        Session to score.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument)`` of one session: ``score``; ``bundle``, the identity of what scored; ``label``,
        what it was trained to predict.

    Raises
    ------
    ConfigurationError
        When the bundle predicts returns between other prices than those that orders execute at.
    ModelError
        When the bundle was trained on bars of another source than those to score, or on factors of other expressions,
        or has learned what came after them.
    StaleDataError
        When the features do not reach ``as_of``, or no member of that session can be scored.
    """
    if (learned := bundle.facts.source) != (given := source_of(latest_features)):
        raise ModelError(
            f"{bundle.facts.spec.title} was trained on bars of {learned or 'a source that it does not name'}, but "
            f"those to score come from {given or 'a source that they do not name'}. Train it on these, and promote "
            "where promotion is gated: `kedro run --pipelines ingestion,features,training`."
        )
    require_label(bundle.facts, market_rules.deal_price)
    require_factors(bundle.facts, latest_features.attrs.get(COMPUTED_AS, {}))
    session = pd.Timestamp(as_of)
    require_not_learned(bundle.facts, session)
    datetimes = latest_features.index.get_level_values("datetime")
    rows = np.flatnonzero((datetimes == session) & is_member(latest_features.index, universe_members))
    if len(rows) == 0:
        raise StaleDataError(
            f"no member of the universe has features for {as_of}; they end on {datetimes.max():%Y-%m-%d}. "
            "Run the ingestion of that session first: kedro run --pipelines ingestion --params as_of=" + as_of
        )
    scores = bundle.predict(latest_features, rows).dropna().to_frame()
    if scores.empty:
        raise StaleDataError(
            f"{bundle.facts.spec.title} can score none of the {len(rows)} members of {as_of}: no instrument has the "
            f"{bundle.facts.spec.window} sessions behind it that one score needs. Bring earlier bars."
        )
    return _with_facts(scores, bundle.identity, bundle.facts.label)


def score_unused(
    bundle: ModelBundle | None,
    latest_features: pd.DataFrame,
    universe_members: pd.DataFrame,
    market_rules: MarketRules,
    as_of: str,
    spec: ModelSpec,
) -> pd.DataFrame:
    """Score with a model that no combination in force uses: where it cannot score, that is a warning.

    Parameters
    ----------
    bundle
        The champion; None without one, or where it is damaged.
    latest_features, universe_members, market_rules, as_of
        As for `score_latest`.
    spec
        The entry of the registry, for the warning.

    Returns
    -------
    pandas.DataFrame
        As `score_latest`; without rows where the model cannot score.
    """
    try:
        if bundle is None:
            raise ModelError("it has no champion; train it with `kedro run --pipelines training`")
        return score_latest(bundle, latest_features, universe_members, market_rules, as_of)
    except QuantPipelineError as error:
        logger.warning("%s, which no combination uses, is not scored: %s", spec.title, error.message)
    nothing = pd.MultiIndex.from_arrays([pd.DatetimeIndex([]), pd.Index([], dtype="str")], names=PANEL_INDEX)
    return _with_facts(pd.DataFrame({"score": np.empty(0)}, index=nothing), "", "")


def require_label(facts: BundleFacts, deal_price: DealPrice) -> None:
    """Refuse a bundle that predicts returns between other prices than those that orders execute at.

    Raises
    ------
    ConfigurationError
        When it does.
    """
    if not is_label_of(facts.label, deal_price):
        raise ConfigurationError(
            f"{facts.spec.title} was trained to predict {facts.label}, but market_rules.deal_price is {deal_price}. "
            "Set it back, or train again, and promote where promotion is gated: "
            "`kedro run --pipelines features,training`."
        )


def require_factors(facts: BundleFacts, computed_as: Mapping[str, str]) -> None:
    """Refuse a bundle whose factors are computed in another way by now: its weights belong to the former ones.

    Parameters
    ----------
    facts
        Of the bundle.
    computed_as
        Factor to expression, as features are computed now; factors that are missing there are not compared.

    Raises
    ------
    ModelError
        When an expression differs by more than blanks.
    """
    changed = [
        name
        for name, learned in facts.expressions.items()
        if name in computed_as and "".join(computed_as[name].split()) != "".join(learned.split())
    ]
    if changed:
        name, others = changed[0], f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise ModelError(
            f"{facts.spec.title} was trained on {name} = {facts.expressions[name]}, which is {computed_as[name]} by "
            f"now{others}. Set it back, or train again, and promote where promotion is gated: "
            "`kedro run --pipelines features,training,ensemble`."
        )


def require_not_learned(facts: BundleFacts, session: pd.Timestamp) -> None:
    """Refuse a bundle that has learned returns that were not known at the close of a session: its score is no forecast.

    Raises
    ------
    ModelError
        When it has.
    """
    if (known := facts.learned_until) > session:
        raise ModelError(
            f"{facts.spec.title} has learned returns that were known on {known:%Y-%m-%d} only, so it cannot score "
            f"{session:%Y-%m-%d}. Bring back the champions of then: `kedro models as-of {session:%Y-%m-%d}`, or "
            f"train as it was then: `kedro run --pipelines training,ensemble --params as_of={session:%Y-%m-%d}`."
        )


def _with_facts(scores: pd.DataFrame, bundle: str, label: str) -> pd.DataFrame:
    facts = {"bundle": bundle, "label": label}
    return scores.assign(**{name: pd.array([fact] * len(scores), dtype="str") for name, fact in facts.items()})
