"""The backtest pipeline with either engine."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from quant_pipeline.pipelines.backtest.nodes import backtest_combinations
from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
from tests.helpers.whole_path import AS_OF, parameters

TABLES = ["fused_scores", "bars", "corporate_actions", "sessions", "benchmark", "labels"]
RULES = ["ensemble", "strategy", "market_rules", "cost_rules", "account"]


def backtest(load, strategy=None, **settings):
    rules = parameters(AS_OF)
    rules["strategy"] = rules["strategy"].model_copy(update=strategy or {})
    chosen = BacktestParameters.model_validate(settings)
    nav, trades, *_ = backtest_combinations(*map(load, TABLES), *(rules[name] for name in RULES), chosen)
    return nav, trades


def test_either_engine_earns_the_same_to_the_cent(clean_run):
    nav, trades = backtest(clean_run, engine="event")
    pd.testing.assert_frame_equal(nav, clean_run("backtest_nav"), check_exact=True)
    expected = clean_run("backtest_trades").drop(columns="reason")
    pd.testing.assert_frame_equal(trades[expected.columns], expected, check_exact=True)
    assert trades["reason"].str.startswith(("bought", "sold")).all()


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


@pytest.mark.parametrize("engine", ["array", "event"])
def test_volatilities_are_known_at_the_first_test_session(clean_run, engine):
    nav, trades = backtest(
        clean_run, {"method": "target_weights", "position_weights": "inverse_volatility"}, engine=engine
    )
    assert trades["date"].min() == nav["date"].iloc[1]
    assert (trades["status"] == "filled").sum() > 10


def test_rules_without_their_engine_are_refused():
    with pytest.raises(ValidationError, match=r"Set backtest\.engine to event"):
        BacktestParameters.model_validate({"events": {"latency_seconds": 1}})
