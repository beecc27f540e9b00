"""The backtest pipeline with either engine."""

import os

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.pipelines.backtest.nodes import backtest_combinations
from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
from quant_pipeline.pipelines.ensemble.nodes import fuse_history
from tests.helpers.representatives import representatives
from tests.helpers.whole_path import AS_OF, MODELS, parameters

TABLES = ["fused_scores", "bars", "corporate_actions", "sessions", "benchmark", "instruments", "labels"]
RULES = ["ensemble", "strategy", "market_rules", "cost_rules", "account"]


def backtest(load, strategy=None, tables=None, **settings):
    nav, trades, *_ = backtest_all(load, strategy, tables, **settings)
    return nav, trades


def backtest_all(load, strategy=None, tables=None, **settings):
    rules = parameters(AS_OF)
    rules["strategy"] = rules["strategy"].model_copy(update=strategy or {})
    rules["market_rules"] = rules["market_rules"].model_copy(update={"deal_price": settings.pop("deal_price", "open")})
    chosen = BacktestParameters.model_validate(settings)
    given = {name: load(name) for name in TABLES} | (tables or {})
    return backtest_combinations(*given.values(), *(rules[name] for name in RULES), chosen)


def test_either_engine_earns_the_same_to_the_cent(clean_run):
    nav, trades = backtest(clean_run, engine="event")
    pd.testing.assert_frame_equal(nav, clean_run("backtest_nav"), check_exact=True)
    expected = clean_run("backtest_trades").drop(columns="reason")
    pd.testing.assert_frame_equal(trades[expected.columns], expected, check_exact=True)
    assert trades["reason"].str.startswith(("bought", "sold")).all()


def test_combinations_have_the_same_bits_on_one_core_and_on_two_and_in_any_order(clean_run, monkeypatch):
    scores = clean_run("fused_scores")
    found = []
    for cores, rows in (({0}, scores), ({0, 1}, scores), ({0, 1}, scores.sort_values("datetime", kind="stable"))):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: cores, raising=False)
        found.append(backtest_all(clean_run, tables={"fused_scores": rows}))
    assert found[0][4]["combination"].nunique() > 1
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            if isinstance(one, pd.DataFrame):
                pd.testing.assert_frame_equal(one, other, check_exact=True)
            else:
                assert one == other


def test_protective_rules_sell_in_the_middle_of_a_session(clean_run):
    _, trades = backtest(clean_run, engine="event", events={"protective": {"stop_loss": 0.05}})
    stopped = trades[trades["reason"] == "stop loss"]
    assert len(stopped) > 3
    assert (stopped["kind"] == "stop").all()
    at_open = stopped["time"].dt.strftime("%H:%M") == "09:30"
    assert (stopped["time"][~at_open].dt.strftime("%H:%M") == "16:00").all()
    assert 0 < at_open.sum() < len(stopped)
    bars = clean_run("bars").set_index(["date", "instrument"])
    gaps = stopped[at_open].set_index(["date", "instrument"])
    np.testing.assert_allclose(gaps["market_price"], bars["open"].reindex(gaps.index), atol=1e-4)


# Either engine earns the same, as the first test holds.
@pytest.mark.parametrize("engine", representatives(["array", "event"], {"array"}))
def test_volatilities_are_known_at_the_first_test_session(clean_run, engine):
    nav, trades = backtest(
        clean_run, {"method": "target_weights", "position_weights": "inverse_volatility"}, engine=engine
    )
    assert trades["date"].min() == nav["date"].iloc[1]
    assert (trades["status"] == "filled").sum() > 10


def test_scores_of_another_execution_price_are_not_backtested(clean_run):
    with pytest.raises(ConfigurationError) as refused:
        backtest(clean_run, deal_price="close")
    assert str(refused.value) == (
        "the scores of combination 'all_icir' predict Ref($open, -2)/Ref($open, -1)-1, but market_rules.deal_price is "
        "close. Set it back, or train for it: `kedro run --pipelines features,training,ensemble`."
    )


def test_a_combination_of_members_for_two_prices_is_not_backtested(clean_run):
    predictions = {f"{model}_predictions": clean_run(f"{model}_predictions") for model in MODELS}
    name = "ridge_alpha158_predictions"
    predictions[name] = predictions[name].assign(label="Ref($close, -2)/Ref($close, -1)-1")
    fused = fuse_history(clean_run("ensemble_weight_history"), parameters(AS_OF)["ensemble"], **predictions)
    for price in ("open", "close"):
        with pytest.raises(ConfigurationError, match=rf"predict Ref\(\$close.*; Ref\(\$open.*, but .* is {price}"):
            backtest(clean_run, tables={"fused_scores": fused}, deal_price=price)


def test_scores_that_do_not_state_what_they_predict_are_not_backtested(clean_run):
    earlier = clean_run("fused_scores").drop(columns="label")
    with pytest.raises(
        StaleDataError, match=r"do not state what they predict; predict again: `kedro run --pipelines tr"
    ):
        backtest(clean_run, tables={"fused_scores": earlier})


def test_rules_without_their_engine_are_refused():
    with pytest.raises(ValidationError, match=r"Set backtest\.engine to event"):
        BacktestParameters.model_validate({"events": {"latency_seconds": 1}})
