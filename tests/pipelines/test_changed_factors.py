"""A champion scores the factors that it was trained on, or nothing: an expression that was edited is another factor."""

from dataclasses import replace

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.models.training import train_bundle
from quant_pipeline.pipelines.prediction.nodes import COMPUTED_AS, compute_latest_features, score_latest
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel

PANEL = planted_panel()
SESSION = PANEL.segments["test"][-1]


@pytest.fixture(scope="module")
def bundle():
    planted = planted_facts("ridge")
    # The last day of the planted window is a holiday of the exchange.
    window = planted.window | {"valid": ["2020-06-01", "2020-07-02"]}
    facts = replace(planted, label="Ref($open, -2)/Ref($open, -1)-1", window=window, inputs={})
    return train_bundle(facts, PANEL.features, PANEL.labels, PANEL.members, PANEL.segments)


def score(bundle, **changed):
    latest = PANEL.features.copy()
    latest.attrs[COMPUTED_AS] = {**bundle.facts.expressions, **changed}
    return score_latest(bundle, latest, PANEL.members, MarketRules(), f"{SESSION:%Y-%m-%d}")


def test_an_edited_expression_is_refused_with_both_and_the_remedy(bundle):
    said = r"ridge on .* was trained on signal = \$signal, which is Ref\(\$signal, 1\) by now\. Set it back, or train"
    with pytest.raises(ModelError, match=said):
        score(bundle, signal="Ref($signal, 1)")


def test_blanks_and_factors_that_it_does_not_read_change_nothing(bundle):
    assert len(score(bundle, signal=" $signal ", another="$volume"))


def test_the_newest_features_say_how_they_were_computed():
    days = pd.bdate_range("2024-01-01", periods=6)
    bars = pd.DataFrame({"date": days, "instrument": "A", "close": 10.0, "sector": 0.0, "factor": 1.0})
    bars = bars.assign(**dict.fromkeys(("open", "high", "low", "vwap"), 10.0), volume=1.0)
    feature_set = FeatureSet(expressions={"MINE": "Mean($close, 3)"})
    spec = {"algorithm": "ridge", "features": "mine"}
    found = compute_latest_features(bars, pd.DataFrame({"date": days}), feature_set, f"{days[-1]:%Y-%m-%d}", ridge=spec)
    assert found.attrs[COMPUTED_AS] == {"MINE": "Mean($close, 3)"}
