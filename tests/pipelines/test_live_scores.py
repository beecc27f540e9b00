"""Scores of a session that goes on: those of the daily run after its close, bit for bit."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.models.inference import InferenceEngine
from quant_pipeline.models.live_scores import LiveScorer
from quant_pipeline.models.store import BundleStore
from quant_pipeline.pipelines.reporting.measures import live_scores_table
from tests.helpers.whole_path import AS_OF, MODELS

TODAY = pd.Timestamp(AS_OF)


@pytest.fixture
def tables(clean_run):
    bars, sessions = clean_run("bars"), pd.DatetimeIndex(clean_run("sessions")["date"])
    return bars, clean_run("adjusted_bars"), sessions, clean_run("corporate_actions")


def engine_of(bundle, folder):
    store = BundleStore(folder)
    store.add(bundle, promote=True)
    return InferenceEngine(store)


def before(tables):
    bars, adjusted, sessions, known = tables
    return (bars[bars["date"] < TODAY], adjusted[adjusted["date"] < TODAY], sessions[sessions < TODAY],
            known)  # fmt: skip


def today_of(bars):
    return bars.loc[bars["date"] == TODAY, ["instrument", "open", "high", "low", "close", "volume"]]


@pytest.mark.parametrize("model", MODELS)
def test_live_scores_equal_the_batch_after_the_close_bit_for_bit(clean_run, tables, tmp_path, model):
    engine = engine_of(clean_run(f"{model}.bundle@candidate"), tmp_path)
    scorer, bars = LiveScorer(engine, *before(tables)), today_of(tables[0])
    half = bars.assign(close=bars["open"] * 1.01, volume=bars["volume"] / 2, high=bars["high"] * 1.02)
    early = scorer.score(TODAY, half)
    scores = scorer.score(TODAY, bars)
    expected = engine.score(tables[1], tables[2])
    pd.testing.assert_series_equal(scores.score, expected.score, check_exact=True)
    assert (scores.bundle, scores.watermark) == (expected.bundle, expected.watermark)
    assert not early.score.equals(scores.score), "what had arrived at noon was another market"
    pd.testing.assert_series_equal(scorer.score(TODAY, bars).score, scores.score, check_exact=True)


def test_a_split_of_the_day_and_an_instrument_that_has_not_traded_are_those_of_the_batch(clean_run, tables, tmp_path):
    bars, _, sessions, actions = tables
    names = list(bars.loc[bars["date"] == TODAY, "instrument"])
    split = pd.DataFrame({"date": [TODAY, TODAY], "instrument": names[:2], "kind": ["split", "cash_dividend"],
                          "value": [3.0, 0.5]})  # fmt: skip
    bars = bars[(bars["date"] != TODAY) | (bars["instrument"] != names[2])].reset_index(drop=True)
    known = pd.concat([actions, split], ignore_index=True)
    engine = engine_of(clean_run("ridge_alpha158.bundle@candidate"), tmp_path)
    scorer = LiveScorer(engine, *before((bars, tables[1], sessions, known)))
    expected = engine.score(adjust_bars(bars, known), sessions)
    scores = scorer.score(TODAY, today_of(bars))
    pd.testing.assert_series_equal(scores.score, expected.score, check_exact=True)
    assert names[2] not in scores.score.index


def test_a_new_champion_scores_from_the_next_look_on(clean_run, tables, tmp_path):
    engine = engine_of(clean_run("ridge_alpha158.bundle@candidate"), tmp_path)
    scorer, bars = LiveScorer(engine, *before(tables)), today_of(tables[0])
    first = scorer.score(TODAY, bars)
    BundleStore(tmp_path).add(clean_run("lightgbm_alpha158.bundle@candidate"), promote=True)
    second = scorer.score(TODAY, bars)
    assert second.bundle != first.bundle
    pd.testing.assert_series_equal(second.score, engine.score(tables[1], tables[2]).score, check_exact=True)


def test_before_the_first_bar_there_is_no_score(clean_run, tables, tmp_path):
    engine = engine_of(clean_run("ridge_alpha158.bundle@candidate"), tmp_path)
    with pytest.raises(StaleDataError, match="no bar of 2023-12-29 has arrived yet; wait"):
        LiveScorer(engine, *before(tables)).score(TODAY, today_of(tables[0]).iloc[:0])


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_live_scores_that_cannot_be_read_are_left_out_of_the_report(text):
    assert live_scores_table(text, pd.Timestamp("2025-01-02")).empty
