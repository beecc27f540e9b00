"""A model of five-session returns beside one of one-session returns, from features to orders, in memory."""

import numpy as np
import pandas as pd
import pytest
from kedro.framework.project import settings

from quant_pipeline.factors.labels import expression_of
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.pipeline_registry import register_pipelines
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.project import model_registry
from quant_pipeline.project.configuration import ProjectConfigLoader
from tests.helpers.whole_path import AS_OF, FACTORS

DAY, WEEK = "Ref($open, -2)/Ref($open, -1)-1", "Ref($open, -6)/Ref($open, -1)-1"
STAGES = ("features", "training", "prediction", "ensemble", "backtest", "post_trade", "order_generation")
RIDGE = {"algorithm": "ridge", "features": "alpha158"}
MODELS = {"day": RIDGE, "week": {**RIDGE, "label": {"horizon": 5}}}
ENSEMBLE = {
    "default": "both",
    "combinations": {
        "both": {"models": list(MODELS), "member_weights": "icir", "shrinkage": 0.5},
        "all_equal": {"enabled": False},
        "all_icir": {"enabled": False},
        "without_network": {"enabled": False},
    },
}


@pytest.fixture(scope="module")
def made(project_path, run_in_memory, clean_run):
    """What a run has made whose registry holds both models and no other."""
    shipped = {key: {"enabled": False} for key in ("lightgbm_alpha158", "ridge_alpha158", "gru_alpha158")}
    given = {"models": {**shipped, **MODELS}, "ensemble": ENSEMBLE}
    options = settings.CONFIG_LOADER_ARGS
    loader = ProjectConfigLoader(str(project_path / "conf"), env="sim", runtime_params=given, **options)
    specs = {
        f"models.{name}": ModelSpec.model_validate({**entry, "factors": FACTORS}) for name, entry in MODELS.items()
    }
    combinations = {"both": ENSEMBLE["combinations"]["both"]}
    ensemble = EnsembleParameters.model_validate({"default": "both", "combinations": combinations})
    values = {**specs, "models.week.label": LabelParameters(horizon=5), "ensemble": ensemble}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_registry, "_session_loader", loader)
        stages = {"registered": register_pipelines(), "models": list(MODELS)}
        return run_in_memory(None, stages=STAGES, continues=clean_run, **stages, **values)


def test_each_model_learns_and_scores_its_own_label(made):
    assert [made(f"{name}.bundle@champion").facts.label for name in MODELS] == [DAY, WEEK]
    for name, label in zip(MODELS, (DAY, WEEK), strict=True):
        assert set(made(f"{name}_predictions")["label"]) == {label}
        assert set(made(f"{name}_latest_scores")["label"]) == {label}
    # The longer label ends valid four sessions earlier.
    last = {name: made(f"{name}.bundle@champion").facts.window["valid"][1] for name in MODELS}
    sessions = pd.DatetimeIndex(made("sessions")["date"]).strftime("%Y-%m-%d").tolist()
    assert sessions.index(last["day"]) - sessions.index(last["week"]) == 4
    assert expression_of(LabelParameters(horizon=5), "open") == WEEK


def test_each_is_measured_by_training_on_the_returns_that_it_learned(made):
    scores = made("week_predictions").query("segment == 'test'")["score"]
    both = pd.concat({"score": scores, "label": made("horizon_5.labels")["label"]}, axis=1).dropna()
    by_hand = both.groupby(level="datetime").apply(lambda day: day["score"].rank().corr(day["label"].rank()))
    metrics = made("week.metrics")
    assert metrics["sessions"] == len(by_hand)
    assert metrics["rank_ic"] == pytest.approx(by_hand.mean())
    # Six sessions of the year have no label yet, and two of one session.
    of_year = scores.index.get_level_values("datetime").nunique()
    assert (metrics["sessions"], made("day.metrics")["sessions"]) == (of_year - 6, of_year - 2)


def test_the_table_of_all_measures_every_model_on_the_label_of_the_account(made):
    series = made("ic_series")
    measured = series.dropna(subset="rank_ic").groupby("model")["rank_ic"]
    assert measured.size().nunique() == 1
    assert measured.mean()["week"] != pytest.approx(made("week.metrics")["rank_ic"])


def test_weights_and_orders_name_the_bundles_of_both(made):
    bundles = {name: made(f"{name}.bundle@champion").identity for name in MODELS}
    weights = made("ensemble_weights").set_index("model")
    assert weights["bundle"].to_dict() == bundles
    assert weights["weight"].sum() == pytest.approx(1.0)
    assert (weights["weight"] > 0.2).all()
    assert made("backtest_facts")["bundles"] == bundles
    fused = made("latest_fused_scores")
    assert set(fused["label"]) == {f"{DAY}; {WEEK}"}
    plan = made("ledger_planned")[0]
    assert plan.key == "plan:2024-01-02:0"
    assert {f"bundle.{name}": identity for name, identity in bundles.items()}.items() <= plan.payload[
        "provenance"
    ].items()
    orders = made("orders")
    assert (orders["side"] == "buy").sum() == 4
    best = fused.set_index("instrument")["score"].nlargest(4).index
    assert set(orders.loc[orders["side"] == "buy", "instrument"]) == set(best)
    assert np.isfinite(made("backtest_nav")["nav"]).all()
    assert fused["datetime"].unique().tolist() == [pd.Timestamp(AS_OF)]
