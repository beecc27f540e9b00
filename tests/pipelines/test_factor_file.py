"""Factors of a file are part of a feature set: joined point in time, trained on, and served as research has them."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError, FactorError, ModelError, StaleDataError
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.factors.labels import compute_labels
from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.inference import InferenceEngine
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.store import BundleStore
from quant_pipeline.models.training import train_bundle
from quant_pipeline.pipelines.factor_evaluation.nodes import _computed
from quant_pipeline.pipelines.features.nodes import compute_feature_set
from quant_pipeline.pipelines.prediction.nodes import compute_latest_features
from tests.helpers.suspended_bars import NO_ACTIONS, SESSIONS, TODAY, same_bits, suspended_bars, traded_today

JOINED = FeatureSet(expressions={"REVERSAL": "$close/Ref($close, 5)-1"}, file="found", file_factors=["a,b", "中文"])
CALENDAR = pd.DataFrame({"date": SESSIONS})
AS_OF = f"{SESSIONS[TODAY]:%Y-%m-%d}"


@pytest.fixture(scope="module")
def bars():
    return suspended_bars()


@pytest.fixture(scope="module")
def file(bars):
    """A file in RD-Agent's layout, with gaps: two factors that are taken and one that is not."""
    rows = bars[["date", "instrument"]].iloc[::1]
    random = np.random.default_rng(4)
    rows = rows[random.random(len(rows)) < 0.97].reset_index(drop=True)
    values = random.normal(size=(len(rows), 3))
    columns = pd.MultiIndex.from_tuples([("feature", "a,b"), ("feature", "中文"), ("feature", "unused")])
    index = pd.MultiIndex.from_frame(rows.rename(columns={"date": "datetime"}))
    return pd.DataFrame(values, index=index, columns=columns)


def latest(bars, file, as_of=AS_OF):
    model = {"algorithm": "gru", "features": "joined", "hyper": {"window": 3}}
    return compute_latest_features(bars, CALENDAR, JOINED, as_of, file, gru=model)


def test_every_value_is_that_of_its_own_row_and_what_the_file_lacks_is_missing(bars, file):
    panel = compute_feature_set(bars, CALENDAR, JOINED, file)
    assert list(panel.columns) == ["REVERSAL", "$traded", "a,b", "中文"]
    given = file[("feature", "中文")].astype("float32")
    joined = panel["中文"].dropna()
    assert len(joined) == len(given)
    pd.testing.assert_series_equal(joined, given.reindex(joined.index), check_names=False, check_exact=True)


def test_the_daily_run_has_the_bits_of_research_although_the_file_has_gone_on(bars, file):
    research = compute_feature_set(bars, CALENDAR, JOINED, file)
    daily = latest(bars, file)
    wanted = research.loc[SESSIONS[TODAY]].loc[traded_today(bars)]
    assert same_bits(daily.loc[SESSIONS[TODAY]].loc[traded_today(bars)], wanted)
    assert wanted["中文"].notna().sum() > 5


def test_what_the_file_says_of_later_sessions_changes_nothing_of_today(bars, file):
    poisoned = file.copy()
    later = poisoned.index.get_level_values("datetime") > SESSIONS[TODAY]
    poisoned[later] = 1e9
    assert same_bits(latest(bars, poisoned), latest(bars, file))
    cut = file[~later]
    assert same_bits(latest(bars, cut), latest(bars, file))
    # Neither does a row that is on no session, as long as it lies behind the day.
    sunday = pd.MultiIndex.from_tuples([(SESSIONS[-1] + pd.Timedelta(days=2), "I0")], names=file.index.names)
    beyond = pd.concat([file, pd.DataFrame([[1.0, 1.0, 1.0]], index=sunday, columns=file.columns)])
    assert same_bits(latest(bars, beyond), latest(bars, file))


def test_a_file_that_does_not_reach_the_session_is_refused_and_not_taken_as_missing(bars, file):
    old = file[file.index.get_level_values("datetime") < SESSIONS[TODAY]]
    day = f"{SESSIONS[TODAY]:%Y-%m-%d}"
    with pytest.raises(StaleDataError, match=f"'found' has no row of {day}, its newest row up to then is of"):
        latest(bars, old)
    new = file[file.index.get_level_values("datetime") > SESSIONS[TODAY]]
    with pytest.raises(StaleDataError, match=f"has no row of {day}, nor any before it"):
        latest(bars, new)


def test_a_factor_that_the_file_does_not_have_is_named_with_those_it_has(bars, file):
    wrong = JOINED.model_copy(update={"file_factors": ["c"]})
    with pytest.raises(FactorError, match="'found' has no factors c; it has a,b, 中文, unused"):
        compute_feature_set(bars, CALENDAR, wrong, file)


def test_a_model_is_trained_on_it_and_a_changed_value_is_another_model(bars, file):
    labels = compute_labels(bars, NO_ACTIONS, SESSIONS, "open", {"label": 1})["label"]
    spec = ModelSpec.model_validate({"algorithm": "ridge", "features": "joined"})
    segments = {"train": SESSIONS[20:300], "valid": SESSIONS[310:380]}
    window = {name: [f"{days[end]:%Y-%m-%d}" for end in (0, -1)] for name, days in segments.items()}
    facts = BundleFacts(spec, JOINED.all_expressions(), "Ref($open,-2)/Ref($open,-1)-1", window, calendar="XNYS")
    assert facts.expressions["a,b"] == "factor file found"

    def train(given):
        panel = compute_feature_set(bars, CALENDAR, JOINED, given)
        members = panel.index.to_frame(index=False).rename(columns={"datetime": "date"})
        return train_bundle(facts, panel, labels.reindex(panel.index), members, segments), panel

    bundle, panel = train(file)
    assert set(bundle.importance["factor"]) == {"REVERSAL", "a,b", "中文"}
    daily = latest(bars, file)
    rows = np.flatnonzero(daily.index.get_level_values("datetime") == SESSIONS[TODAY])
    served = bundle.predict(daily, rows)
    pd.testing.assert_series_equal(served, bundle.predict(panel).reindex(served.index), check_exact=True)
    other, _ = train(file * 1.5)
    assert other.identity != bundle.identity


def test_the_engine_of_bars_refuses_a_champion_that_reads_a_file(bars, file, tmp_path):
    labels = compute_labels(bars, NO_ACTIONS, SESSIONS, "open", {"label": 1})["label"]
    spec = ModelSpec.model_validate({"algorithm": "ridge", "features": "joined"})
    segments = {"train": SESSIONS[20:300], "valid": SESSIONS[310:380]}
    window = {name: [f"{days[end]:%Y-%m-%d}" for end in (0, -1)] for name, days in segments.items()}
    facts = BundleFacts(spec, JOINED.all_expressions(), "Ref($open,-2)/Ref($open,-1)-1", window, calendar="XNYS")
    panel = compute_feature_set(bars, CALENDAR, JOINED, file)
    members = panel.index.to_frame(index=False).rename(columns={"datetime": "date"})
    store = BundleStore(tmp_path / "store")
    store.add(train_bundle(facts, panel, labels.reindex(panel.index), members, segments), promote=True)
    with pytest.raises(ModelError, match="from a factor file found, which the engine cannot compute from bars"):
        InferenceEngine(store)


def test_evaluation_leads_to_the_parameter_that_takes_a_file():
    with pytest.raises(ConfigurationError, match="the file by --params factor_file=PATH"):
        _computed("joined", {"joined": JOINED.model_dump()})
