"""The weightings of docs/extending/weighting.md, from outside of the package, weigh as their formulas say."""

import numpy as np
import pandas as pd
import pytest
import yaml

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.weight_multipliers import daily_returns, preferences
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.clock import label_lag
from quant_pipeline.pipelines.ensemble.nodes import fuse_history, weigh_combinations
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.weighting_formulas import rank_coefficients
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.documented_files import files_of, write_files
from tests.helpers.random_market import random_market

DAYS = pd.bdate_range("2023-01-02", periods=200, unit="ns")
MODELS = ["lightgbm_alpha158", "ridge_alpha158"]


@pytest.fixture
def blocks(tmp_path, monkeypatch, project_path):
    """Put the modules of the page on the path and return its parameters."""
    page = project_path / "docs" / "extending" / "weighting.md"
    assert all(len(text.splitlines()) < 60 for text in files_of(page).values())
    write_files(page, tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    read = {}
    for file in (tmp_path / "conf" / "base").glob("*.yml"):
        read |= yaml.safe_load(file.read_text())
    return read


def test_members_are_weighted_by_their_decayed_rank_ic_of_realised_sessions(blocks):
    random = np.random.default_rng(5)
    index = pd.MultiIndex.from_product([DAYS, [f"I{n:02d}" for n in range(20)]], names=["datetime", "instrument"])
    labels = pd.DataFrame({"label": random.normal(size=len(index))}, index=index)
    segment = np.where(index.get_level_values("datetime") < DAYS[60], "valid", "test")
    members = {
        model: pd.DataFrame({"score": skill * labels["label"] + random.normal(size=len(index)), "segment": segment})
        for model, skill in zip(MODELS, (0.4, 0.2), strict=True)
    }
    ensemble = EnsembleParameters.model_validate({"default": "recent", **blocks["ensemble"]})
    predictions = {f"{model}_predictions": table for model, table in members.items()}
    sessions, label = pd.DataFrame({"date": DAYS}), LabelParameters(horizon=1)
    newest, history = weigh_combinations(labels, sessions, ensemble, label, **predictions)
    assert history["session"].unique().tolist() == DAYS[60:200:21].tolist()

    at, lag = 60 + 3 * 21, label_lag(1)
    coefficients = rank_coefficients({model: table["score"] for model, table in members.items()}, labels["label"])
    seen = coefficients.to_numpy()[max(at - lag + 1 - 120, 0) : at - lag + 1]
    decay = 0.5 ** (np.arange(len(seen))[::-1] / 20)
    expected = np.maximum((seen * decay[:, np.newaxis]).sum(axis=0) / decay.sum(), 0)
    weights = history[history["session"] == DAYS[at]].set_index("model")["weight"]
    np.testing.assert_allclose(weights[MODELS], expected / expected.sum(), rtol=1e-9)
    fused = fuse_history(history, ensemble, **predictions)
    assert fused["score"].notna().all()
    assert newest["session"].unique().tolist() == [DAYS[60 + 6 * 21]]


def test_positions_are_weighted_by_their_downside_deviation(blocks):
    bars, actions, sessions, scores = random_market(21, n_sessions=90)
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules())
    rules = StrategyRules.model_validate({"topk": 5, **blocks["strategy"]})
    weights, returns = preferences(market, rules), daily_returns(market.arrays)
    assert np.isnan(weights[:59]).all()
    for session, instrument in np.argwhere(np.isfinite(weights))[::50]:
        window = returns[session - 59 : session + 1, instrument]
        losses = [min(value, 0.0) ** 2 for value in window]
        assert weights[session, instrument] == pytest.approx((sum(losses) / 60) ** -0.5)
    result = run_backtest(scores, market, rules, CostRules.preset("US"), 100_000)
    assert result.trades["date"].min() > sessions[59]
    assert (result.trades["status"] == "filled").sum() > 20
