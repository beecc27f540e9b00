"""The report about models: what it says is what can be computed another way."""

import math

import pytest

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.evaluation.drift import DriftParameters
from quant_pipeline.evaluation.factor_scores import ScoringParameters
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.model_report import nodes
from quant_pipeline.pipelines.model_report.page import compose_model_page
from tests.helpers.browser import require_drawn
from tests.helpers.whole_path import MODELS

MONITORING = DriftParameters(recent_sessions=60, rolling_sessions=40, min_moved_psi=0.15)
ALPHA158 = FeatureSet(library="alpha158")
SCORING = ScoringParameters(horizons=(1, 5), resamples=20, confidence=0.9)


@pytest.fixture(scope="module")
def compared(clean_run):
    predictions = {f"{model}_predictions": clean_run(f"{model}_predictions") for model in MODELS}
    return nodes.compare_models(
        *(clean_run(name) for name in ("adjusted_bars", "corporate_actions", "sessions")),
        SCORING,
        MarketRules(),
        **predictions,
    )


@pytest.fixture(scope="module")
def monitored(clean_run):
    inputs = [clean_run(name) for name in ("alpha158_features", "labels", "universe_members")]
    return {
        model: nodes.monitor_model(
            clean_run(f"{model}.bundle@candidate"), *inputs, LabelParameters(), ALPHA158, MONITORING
        )
        for model in MODELS
    }


def test_the_comparison_agrees_with_the_metrics_of_training(clean_run, compared):
    summary = compared[0].set_index("factor")
    for model in MODELS:
        metrics = clean_run(f"{model}.metrics")
        assert summary.loc[model, "rank_ic"] == pytest.approx(metrics["rank_ic"], abs=1e-6)
        assert summary.loc[model, "sessions"] == metrics["sessions"]
        assert summary.loc[model, "rank_ic_t"] == pytest.approx(metrics["rank_ic_t"], rel=1e-4)


def test_years_are_means_of_their_sessions(clean_run, compared):
    years = compared[2].set_index(["model", "year"])
    predictions = clean_run("ridge_alpha158_predictions")
    test = predictions.loc[predictions["segment"] == "test", "score"]
    series = information_coefficients(test, clean_run("labels")["label"])["rank_ic"].dropna()
    assert years.loc[("ridge_alpha158", 2023), "rank_ic"] == pytest.approx(series.mean(), abs=1e-6)
    assert set(compared[1]["horizon"]) == {1, 5}


def test_health_is_measured_against_what_validation_promised(clean_run, monitored):
    _, band, health, _ = monitored["ridge_alpha158"]
    assert health["expected_rank_ic"] == pytest.approx(clean_run("ridge_alpha158.metrics")["valid_rank_ic"], abs=1e-6)
    assert health["recent_rank_ic"] == pytest.approx(band["rolling"].iloc[-1])
    assert (band["date"] > clean_run("ridge_alpha158.bundle@candidate").facts.window["valid"][1]).all()


def test_features_that_moved_are_found_and_speak_for_training_again(clean_run):
    features = clean_run("alpha158_features").copy()
    newest = features.index.get_level_values("datetime") >= "2023-09-01"
    features.loc[newest] += 10 * features.std().astype("float32")
    bundle = clean_run("ridge_alpha158.bundle@candidate")
    drift, _, health, _ = nodes.monitor_model(
        bundle, features, clean_run("labels"), clean_run("universe_members"), LabelParameters(), ALPHA158, MONITORING
    )
    assert (drift["verdict"] == "drifted").all()
    assert health["reasons"][0] == "factors with 100% of the importance have drifted"


def _with_another_mean(features):
    library = ALPHA158.computed_expressions()
    others = {name: expression for name, expression in library.items() if name != "MA10"}
    return features, FeatureSet(expressions={**others, "MA10": "Mean($close, 11)/$close"})


def _without_a_mean(features):
    library = ALPHA158.computed_expressions()
    others = {name: expression for name, expression in library.items() if name != "MA10"}
    return features.drop(columns="MA10"), FeatureSet(expressions=others)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (_with_another_mean, "was trained on MA10 = Mean($close, 10)/$close, which is Mean($close, 11)/$close by now"),
        (_without_a_mean, "needs factors that the features do not have: MA10"),
    ],
)
def test_a_model_of_other_factors_is_left_out_with_the_reason_and_the_others_are_compared(
    clean_run, compared, monitored, changed, said
):
    features, feature_set = changed(clean_run("alpha158_features"))
    inputs = features, clean_run("labels"), clean_run("universe_members"), LabelParameters(), feature_set, MONITORING
    left_out = nodes.monitor_model(clean_run("ridge_alpha158.bundle@candidate"), *inputs)
    drift, band, health, _ = left_out
    assert drift.empty
    assert band.empty
    assert not any(math.isfinite(health[key]) for key in ("score_psi", "expected_rank_ic", "recent_rank_ic"))
    (reason,) = health["reasons"]
    assert said in reason
    watched = {}
    for model, found in {**monitored, "ridge_alpha158": left_out}.items():
        parts = dict(zip(("drift", "rank_ic_band", "health", "importance"), found, strict=True))
        watched |= {f"{model}_{part}": value for part, value in parts.items()}
    page = compose_model_page(*compared, SCORING, MONITORING, **watched)
    assert said in page
    assert "To be trained again: ridge_alpha158" in page


def test_the_page_tells_who_leads_and_who_is_tired_in_a_browser_at_two_widths(clean_run, compared, monitored, tmp_path):
    watched = {}
    for model, found in monitored.items():
        parts = dict(zip(("drift", "rank_ic_band", "health", "importance"), found, strict=True))
        watched |= {f"{model}_{part}": value for part, value in parts.items()}
    watched["ridge_alpha158_health"] = {**watched["ridge_alpha158_health"], "reasons": ["<it> & it drifts"]}
    page = compose_model_page(*compared, SCORING, MONITORING, **watched)
    best = compared[0].sort_values("rank_ic").iloc[-1]
    assert f"{best['factor']} orders the next returns best, with a mean rank IC of {best['rank_ic']:+.4f} (t = " in page
    assert (", which may be chance. To be" in page) == (best["rank_ic_lower"] <= 0)
    unsure = compared[0].assign(rank_ic_lower=-0.01)
    assert ", which may be chance. To be" in compose_model_page(unsure, *compared[1:], SCORING, MONITORING, **watched)
    assert "To be trained again: ridge_alpha158." in page
    assert "&lt;it&gt; &amp; it drifts" in page
    assert "bands hold 90% by Newey-West errors" in page
    assert "0.15 has moved, 0.25 has drifted" in page
    require_drawn(page, tmp_path / "models.html")


@pytest.mark.parametrize(("lower", "word", "other"), [(0.01, "healthy", "unproven"), (-0.01, "unproven", "healthy")])
def test_a_model_is_healthy_only_where_its_rank_ic_is_above_zero(clean_run, compared, monitored, lower, word, other):
    watched = {}
    for model, (drift, band, health, importance) in monitored.items():
        watched |= {f"{model}_drift": drift, f"{model}_rank_ic_band": band, f"{model}_importance": importance}
        watched[f"{model}_health"] = {**health, "reasons": []}
    summary = compared[0].assign(rank_ic_lower=lower)
    page = compose_model_page(summary, *compared[1:], SCORING, MONITORING, **watched)
    assert page.count(f">{word}<") == len(summary)
    assert f">{other}<" not in page


def compare(clean_run, **predictions):
    summary, *_ = nodes.compare_models(
        *(clean_run(name) for name in ("adjusted_bars", "corporate_actions", "sessions")),
        ScoringParameters(horizons=(1,), resamples=20),
        MarketRules(),
        **predictions,
    )
    return summary.set_index("factor")


def test_models_are_compared_over_the_sessions_that_all_have_scored(clean_run):
    whole = clean_run("ridge_alpha158_predictions")
    late = whole[whole.index.get_level_values("datetime") >= "2023-07-01"]
    table = compare(clean_run, ridge_predictions=whole, late_predictions=late)
    # The same scores over the same sessions: the same figures.
    assert table.loc["late", "sessions"] == table.loc["ridge", "sessions"] < 130
    assert table.loc["late", "rank_ic"] == table.loc["ridge", "rank_ic"]


def test_models_without_a_common_session_are_not_compared(clean_run):
    whole = clean_run("ridge_alpha158_predictions")
    dates = whole.index.get_level_values("datetime")
    with pytest.raises(StaleDataError, match="early, late have no test session in common"):
        compare(clean_run, early_predictions=whole[dates < "2023-07-01"], late_predictions=whole[dates >= "2023-07-01"])
