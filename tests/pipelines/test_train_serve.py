"""The daily run computes of every factor what research computes, on every instrument of the newest session."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError, ModelError
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.expression.operators import OPERATORS, PAIR_ROLLING, ROLLING
from quant_pipeline.factors.feature_sets import TRADED, FeatureSet
from quant_pipeline.factors.labels import compute_labels
from quant_pipeline.factors.processors import ProcessorChain
from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.training import train_bundle
from quant_pipeline.pipelines.features.nodes import compute_feature_set
from quant_pipeline.pipelines.prediction.nodes import compute_latest_features
from tests.helpers.suspended_bars import NO_ACTIONS, SESSIONS, TODAY, same_bits, suspended_bars, traded_today
from tests.helpers.user_expressions import USER_EXPRESSIONS, WHOLE_HISTORY
from tests.helpers.whole_path import AS_OF, MODELS, small_market

WINDOW = 5
MODEL = {"algorithm": "gru", "features": "any", "hyper": {"window": WINDOW}}
SETS = {
    "alpha101": FeatureSet(library="alpha101"),
    "alpha158": FeatureSet(library="alpha158"),
    "alpha360": FeatureSet(library="alpha360"),
    "what users write": FeatureSet(expressions=USER_EXPRESSIONS),
    "both": FeatureSet(library="alpha158", expressions=USER_EXPRESSIONS),
}


@pytest.fixture(scope="module")
def bars():
    return suspended_bars()


def latest(bars, feature_set):
    """Features that the daily run of today computes, on a market that has gone on since."""
    sessions = pd.DataFrame({"date": SESSIONS})
    return compute_latest_features(bars, sessions, feature_set, f"{SESSIONS[TODAY]:%Y-%m-%d}", gru=MODEL)


@pytest.mark.parametrize("name", SETS)
def test_the_daily_run_has_the_bits_of_research_on_every_instrument_of_the_newest_session(bars, name):
    research = compute_feature_set(bars, pd.DataFrame({"date": SESSIONS}), SETS[name])
    daily = latest(bars, SETS[name])
    names = traded_today(bars)
    assert {"EDGE060", "EDGE250", "QUARTER", "YEAR", "NEW", "NEWEST"} < set(names)
    assert daily.loc[SESSIONS[TODAY]].index.tolist() == names
    # The sessions before it are what a sequence model looks back over.
    wanted = research[
        research.index.get_level_values("datetime").isin(SESSIONS[TODAY - WINDOW + 1 : TODAY + 1])
        & research.index.get_level_values("instrument").isin(names)
    ]
    found = daily[daily.index.get_level_values("instrument").isin(names)]
    assert found.index.equals(wanted.index)
    differing = [factor for factor in wanted if not same_bits(found[factor], wanted[factor])]
    assert differing == []
    complete = wanted.xs("I0", level="instrument").loc[SESSIONS[TODAY]]
    assert complete.notna().mean() > 0.95


def test_an_expression_depends_on_the_whole_history_or_on_its_longest_windows():
    back = {name: compile_factors({name: text}).program.back for name, text in USER_EXPRESSIONS.items()}
    assert {name for name, sessions in back.items() if np.isinf(sessions)} == WHOLE_HISTORY
    assert back["MOMENTUM_12_1"] == 252
    assert back["HIGH250"] == 249
    assert back["LONG_CORRELATION"] == 250
    assert back["BOLLINGER"] == 19


WINDOWS = (1, 2, 5, 61, 250)
ROLLING_EXPRESSIONS = [
    f"{operator.name}({'$close, ' if operator.kind == PAIR_ROLLING else ''}$volume, {window}"
    f"{', 0.3' if operator.name == 'Quantile' else ''})"
    for operator in OPERATORS.values()
    if operator.kind in (ROLLING, PAIR_ROLLING)
    for window in (0, 0.2, *WINDOWS)
    if (window >= operator.smallest or window == 0 or (window == 0.2 and operator.name in ("EMA", "Mean", "Std")))
]


@pytest.mark.parametrize("text", ["{}", "Mean(Ref({}, 7), 3)", "CSRank({})"])
def test_every_rolling_operator_states_its_reach(bars, text):
    for inner in ROLLING_EXPRESSIONS:
        expression = {"f": text.format(inner)}
        research = compute_factors(bars, expression, SESSIONS).loc[[SESSIONS[TODAY]]]
        daily = compute_factors(bars, expression, SESSIONS, start=SESSIONS[TODAY], end=SESSIONS[TODAY])
        assert same_bits(daily, research), inner


def test_whether_a_suspended_instrument_comes_back_changes_no_rank_of_today(bars):
    gone = bars[(bars["instrument"] != "TODAY") | (bars["date"] < SESSIONS[TODAY])].reset_index(drop=True)
    expressions = {name: USER_EXPRESSIONS[name] for name in ("RANKED_MOMENTUM", "RANKED_TREND", "OWN_SECTOR")}
    names = traded_today(bars)
    comes_back, stays_away = (compute_factors(table, expressions, SESSIONS) for table in (bars, gone))
    today = [panel.loc[SESSIONS[TODAY]].loc[names] for panel in (comes_back, stays_away)]
    assert same_bits(*today)


def test_an_instrument_that_an_expression_names_may_be_gone_but_not_unknown(bars):
    daily = latest(bars, FeatureSet(expressions={"gap": "$close-Mask(Mean($close, 5), 'GONE')"}))
    assert daily["gap"].isna().all()
    with pytest.raises(FactorError, match="reads GONNE, but the bars hold no such instrument"):
        latest(bars, FeatureSet(expressions={"gap": "$close-Mask($close, 'GONNE')"}))


COMPARED = FeatureSet(
    expressions={
        "SIZE": "Log(Mean($close*$volume, 20))",
        "SECTOR": "Max($sector, 5)",
        "REVERSAL5": "Ref($close, 5)/$close",
        "BODY": "$close/$open",
        # Known of a suspended instrument too, and missing where one is new.
        "VOLATILITY": "Std($close/Ref($close, 1)-1, 20)",
    }
)
COMPARING = {
    "cross_sectional_fill": {},
    "cross_sectional_zscore": {},
    "cross_sectional_zscore, robust": {"robust": True, "clip": 3.0},
    "cross_sectional_rank": {},
    "neutralise": {"sector": "SECTOR", "size": "SIZE"},
    "neutralise, size": {"size": "SIZE"},
}


def spec_of(comparing):
    steps = [{"kind": comparing.partition(",")[0], **COMPARING[comparing]}, {"kind": "robust_zscore"}, {"kind": "fill"}]
    return ModelSpec.model_validate({"algorithm": "ridge", "features": "any", "processors": steps})


def rows_of_today(panel, names):
    return np.flatnonzero(
        (panel.index.get_level_values("datetime") == SESSIONS[TODAY])
        & panel.index.get_level_values("instrument").isin(names)
    )


@pytest.mark.parametrize("comparing", COMPARING)
def test_a_model_that_compares_instruments_scores_as_in_research_while_one_is_suspended(bars, comparing):
    """TODAY is suspended today and trades again later: research has a row of it, the daily run cannot."""
    calendar = pd.DataFrame({"date": SESSIONS})
    research, daily = compute_feature_set(bars, calendar, COMPARED), latest(bars, COMPARED)
    assert (SESSIONS[TODAY], "TODAY") in research.index
    assert (SESSIONS[TODAY], "TODAY") not in daily.index
    horizons = {"label": 1}
    labels = compute_labels(bars, NO_ACTIONS, SESSIONS, "open", horizons)["label"]
    facts = BundleFacts(spec_of(comparing), COMPARED.all_expressions(), "", {"train": [], "valid": []}, "XNYS")
    segments = {"train": SESSIONS[60:300], "valid": SESSIONS[310:380]}
    bundle = train_bundle(facts, research, labels, bars[["date", "instrument"]], segments)
    names = traded_today(bars)
    scores = [bundle.predict(panel, rows_of_today(panel, names)) for panel in (research, daily)]
    assert len(scores[1]) == len(names)
    pd.testing.assert_series_equal(*scores, check_exact=True)
    # Without the mark the suspended instrument would move the scores of all others.
    unmarked = research.assign(**{TRADED: 1.0})
    assert not bundle.predict(unmarked, rows_of_today(unmarked, names)).equals(scores[1])
    with pytest.raises(ModelError, match=r"do not say which do \(column \$traded\)"):
        bundle.predict(research.drop(columns=TRADED))


@pytest.mark.parametrize("comparing", COMPARING)
def test_a_window_compares_each_of_its_sessions_as_it_was_that_day(bars, comparing):
    """Within the window of a sequence model, instruments were suspended that trade today."""
    calendar = pd.DataFrame({"date": SESSIONS})
    research, daily = compute_feature_set(bars, calendar, COMPARED), latest(bars, COMPARED)
    chain = ProcessorChain(spec_of(comparing).processors[:1])
    shared = daily.index
    assert daily[TRADED].isna().sum() > 3
    pd.testing.assert_frame_equal(
        chain.transform(research).loc[shared], chain.transform(daily).loc[shared], check_exact=True
    )


@pytest.fixture(scope="module")
def feature_set():
    return {"feature_sets.alpha158": FeatureSet(library="alpha158", expressions=USER_EXPRESSIONS)}


@pytest.fixture(scope="module")
def daily_run(run_in_memory, market, feature_set):
    """Models that read what users write, trained and asked for the scores of one session."""
    models = {
        f"models.{name}": ModelSpec.model_validate({"features": "alpha158", "factors": list(USER_EXPRESSIONS), **entry})
        for name, entry in MODELS.items()
    }
    stages = ("ingestion", "features", "training", "prediction", "ensemble")
    return run_in_memory(market, stages=stages, **models, **feature_set)


def test_the_daily_pipeline_has_the_features_of_a_research_run_one_year_later(run_in_memory, daily_run, feature_set):
    market = small_market().as_of(pd.Timestamp("2024-12-31"))
    later = run_in_memory(market, as_of="2024-12-31", stages=("ingestion", "features"), **feature_set)
    daily = daily_run("alpha158_latest_features").loc[[AS_OF]]
    assert len(daily) >= 10
    assert daily.shape[1] == 158 + len(USER_EXPRESSIONS) + len([TRADED])
    assert same_bits(daily, later("alpha158_features").reindex(daily.index))


@pytest.mark.parametrize("model", MODELS)
def test_the_daily_score_is_that_of_the_predictions(daily_run, model):
    daily, research = daily_run(f"{model}_latest_scores")["score"], daily_run(f"{model}_predictions")["score"]
    assert len(daily) >= 10
    np.testing.assert_allclose(daily, research.reindex(daily.index), rtol=1e-6)
