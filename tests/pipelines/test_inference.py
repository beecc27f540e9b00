"""The process that scores all day: equal to the daily run, and never without a model that works."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError, ModelError, StaleDataError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.models.inference import InferenceEngine
from quant_pipeline.models.store import BundleStore
from quant_pipeline.pipelines.prediction.nodes import score_latest
from tests.helpers.whole_path import AS_OF, MODELS


@pytest.fixture
def newest(clean_run):
    return clean_run("adjusted_bars"), pd.DatetimeIndex(clean_run("sessions")["date"])


@pytest.fixture
def store(clean_run, tmp_path):
    store = BundleStore(tmp_path)
    store.add(clean_run("ridge_alpha158.bundle@candidate"), promote=True)
    return store


@pytest.mark.parametrize("model", MODELS)
def test_scores_equal_those_of_the_daily_run(clean_run, newest, tmp_path, model):
    store = BundleStore(tmp_path)
    store.add(clean_run(f"{model}.bundle@candidate"), promote=True)
    scores = InferenceEngine(store).score(*newest)
    daily = clean_run(f"{model}_latest_scores")
    expected = daily["score"].droplevel("datetime")
    pd.testing.assert_series_equal(scores.score.loc[expected.index], expected, check_exact=True)
    assert scores.bundle == daily["bundle"].iloc[0]
    assert scores.watermark == pd.Timestamp(AS_OF)


@pytest.mark.parametrize(("model", "sessions"), [("ridge_alpha158", 21), ("gru_alpha158", 25)])
def test_the_bars_that_the_engine_asks_for_are_enough(clean_run, newest, tmp_path, model, sessions):
    bars, days = newest
    store = BundleStore(tmp_path)
    store.add(clean_run(f"{model}.bundle@candidate"), promote=True)
    engine = InferenceEngine(store)
    assert engine.history == sessions
    recent = bars[bars["date"] >= days[-sessions]].reset_index(drop=True)
    pd.testing.assert_series_equal(engine.score(recent, days).score, engine.score(bars, days).score, check_exact=True)


def test_a_new_champion_takes_over_between_bars(clean_run, newest, store):
    engine = InferenceEngine(store)
    assert not engine.refresh()
    store.add(clean_run("lightgbm_alpha158.bundle@candidate"), promote=False)
    assert not engine.refresh()
    promoted = store.promote()
    assert engine.refresh()
    assert engine.score(*newest).bundle == promoted
    store.roll_back()
    assert engine.refresh()


def test_a_damaged_champion_is_refused_and_the_old_one_keeps_scoring(clean_run, newest, store, caplog):
    engine = InferenceEngine(store)
    before = engine.score(*newest)
    store.add(clean_run("lightgbm_alpha158.bundle@candidate"), promote=True)
    (store.folder_of("champion") / "processors.safetensors").write_bytes(b"")
    assert not engine.refresh()
    assert not engine.refresh()
    assert caplog.text.count("is refused") == 1
    after = engine.score(*newest)
    assert after.bundle == before.bundle
    pd.testing.assert_series_equal(after.score, before.score)


def test_an_engine_does_not_start_without_a_champion(tmp_path):
    with pytest.raises(ModelError, match="no champion"):
        InferenceEngine(BundleStore(tmp_path))


def test_a_session_without_bars_is_stale(newest, store):
    bars, sessions = newest
    with pytest.raises(StaleDataError, match="no bar of 2023-12-29 has arrived yet; the newest are of 2023-12-28"):
        InferenceEngine(store).score(bars[bars["date"] < AS_OF], sessions)


def test_a_daily_run_without_any_score_is_an_error(clean_run):
    bundle, features = clean_run("gru_alpha158.bundle@candidate"), clean_run("alpha158_features")
    alone = features[features.index.get_level_values("datetime") == AS_OF]
    with pytest.raises(StaleDataError, match=r"can score none of the 10 members of 2023-12-29: .* the 5 sessions"):
        score_latest(bundle, alone, clean_run("universe_members"), MarketRules(), AS_OF)


def test_a_model_of_another_execution_price_scores_nothing(clean_run):
    bundle, features = clean_run("ridge_alpha158.bundle@candidate"), clean_run("alpha158_features")
    rules = MarketRules(deal_price="close")
    with pytest.raises(
        ConfigurationError, match=r"trained to predict Ref\(\$open, -2\).*market_rules.deal_price is close"
    ):
        score_latest(bundle, features, clean_run("universe_members"), rules, AS_OF)
