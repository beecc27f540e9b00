"""Our backtest against Qlib's on the scores of an account, as `kedro run --pipelines qlib_comparison` makes it."""

import logging

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.qlib_comparison import TOLERANCE, ranked
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.qlib_provider import write_provider
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.qlib_comparison.nodes import compare_backtests
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.qlib_backtest import random_scores


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    parameters = SimulatedMarketParameters(
        seed=5, n_instruments=25, start="2021-01-04", end="2021-12-31", halt_rate=0.01
    )
    market = generate_market(parameters).as_of(pd.Timestamp("2021-12-31"))
    bars = adjust_bars(market.bars, market.corporate_actions)
    sessions = pd.DatetimeIndex(np.sort(market.bars["date"].unique()))
    folder = tmp_path_factory.mktemp("comparison") / "qlib"
    write_provider(bars, sessions, folder, benchmark=market.benchmark)
    # Rounded, so that many are equal, and one in ten is missing.
    scores = random_scores(bars, sessions[30:], 2, missing=0.1).round(1)
    table = scores.rename_axis(["datetime", "instrument"]).reset_index().assign(combination="all_equal")
    other = table.assign(combination="another", score=-table["score"])
    return {
        "fused_scores": pd.concat([table, other], ignore_index=True),
        "adjusted_bars": bars,
        "sessions": pd.DataFrame({"date": sessions}),
        "qlib_provider": folder,
    }


def compare(tables, **changes):
    given = {
        "ensemble": EnsembleParameters.model_validate(
            {"combinations": {"all_equal": {"models": ["a"]}}, "default": "all_equal"}
        ),
        "strategy": StrategyRules(topk=6, n_drop=2),
        "market_rules": MarketRules(),
        "cost_rules": CostRules.preset("US"),
        "account": AccountParameters(name="sim", initial_cash=250_000),
    }
    return compare_backtests(**tables, **(given | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"market_rules": MarketRules(deal_price="vwap", lot=100)},
        {
            "market_rules": MarketRules(deal_price="close", lot=100, price_limits=({"prefix": "", "limit": 0.1},)),
            "cost_rules": CostRules(buy_rate=0.0003, sell_rate=0.0013, min_commission=5.0),
            "strategy": StrategyRules(topk=10, n_drop=3, hold_threshold=3, risk_degree=0.8),
        },
    ],
    ids=["US at the open", "vwap, lots of 100", "limits, minimum commission, holding threshold"],
)
def test_every_session_is_equal_with_equal_and_missing_scores(tables, caplog, changes):
    caplog.set_level(logging.INFO)
    compared = compare(tables, **changes)
    assert len(compared) == 220
    assert compared["difference"].max() <= TOLERANCE
    assert compared["total_turnover"].iloc[-1] > 250_000
    assert "our backtest and Qlib's agree in all of 220 sessions" in caplog.text


def test_a_provider_that_is_not_of_these_bars_is_found(tables):
    bars = tables["adjusted_bars"].copy()
    place = bars.index[bars["date"] == "2021-06-15"]
    bars.loc[place, ["open", "close"]] *= 1 + 1e-6
    with pytest.raises(StrategyError, match=r"differ by .*e-\d+ of the account on 2021-.*pipelines ingestion"):
        compare(tables | {"adjusted_bars": bars})


def test_scores_of_one_session_are_refused_with_the_command(tables):
    scores = tables["fused_scores"]
    scores = scores[scores["datetime"] == tables["sessions"]["date"].iloc[-1]]
    with pytest.raises(StrategyError, match="scores of one session only; run `kedro run --pipelines ensemble`"):
        compare(tables | {"fused_scores": scores})


def test_ranks_keep_the_order_and_leave_no_two_equal_and_none_missing():
    index = pd.MultiIndex.from_tuples(
        [(pd.Timestamp("2021-01-04"), name) for name in "ABCD"], names=["datetime", "instrument"]
    )
    scores = ranked(pd.Series([0.5, np.nan, 0.5, 0.9], index=index), pd.Index(list("ABCDE")))
    assert scores.droplevel(0).to_dict() == {"D": 5.0, "A": 4.0, "C": 3.0, "B": 2.0, "E": 1.0}
