"""The whole path in memory: what comes out, and that nothing of it knows the future."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.pipelines.order_generation.nodes import generate_orders
from quant_pipeline.strategy.rules import CostRules, MarketRules, StrategyRules
from tests.helpers.whole_path import AS_OF

CUT = pd.Timestamp("2023-08-31")


def dated(load, name, column="datetime"):
    table = load(name)
    table = table.reset_index() if column not in table.columns else table
    return table[table[column] <= CUT].reset_index(drop=True)


def poison(market):
    """Replace everything after the cut by noise: prices, volumes, actions."""
    random = np.random.default_rng(99)
    bars = market.bars.copy()
    later = bars["date"] > CUT
    noise = random.uniform(0.3, 3.0, len(bars))
    for column in ("open", "high", "low", "close", "vendor_adjusted_close"):
        bars[column] = bars[column].where(~later, bars[column] * noise)
    bars["volume"] = bars["volume"].where(~later, np.round(bars["volume"] * noise))
    actions = market.corporate_actions
    known = actions[actions["date"] <= CUT]
    invented = pd.DataFrame(
        {
            "date": [d for d in sorted(bars["date"].unique()) if d > CUT][:3],
            "instrument": sorted(bars.loc[later, "instrument"].unique())[:3],
            "kind": ["split", "cash_dividend", "split"],
            "value": [3.0, 1.5, 0.1],
        }
    ).astype({"instrument": "str", "kind": "str"})
    benchmark = market.benchmark.copy()
    index = benchmark["total_return_close"]
    benchmark["total_return_close"] = index.where(benchmark["date"] <= CUT, index * 7)
    return replace(
        market, bars=bars, corporate_actions=pd.concat([known, invented], ignore_index=True), benchmark=benchmark
    )


@pytest.fixture(scope="module")
def poisoned_run(run_in_memory, market):
    return run_in_memory(poison(market))


DATED = [
    ("adjusted_bars", "date"),
    ("universe_members", "date"),
    ("alpha158_features", "datetime"),
    ("lightgbm_alpha158_predictions", "datetime"),
    ("ridge_alpha158_predictions", "datetime"),
    ("gru_alpha158_predictions", "datetime"),
    ("fused_scores", "datetime"),
    ("backtest_nav", "date"),
    ("backtest_trades", "date"),
]


@pytest.mark.parametrize(("name", "column"), DATED)
def test_a_poisoned_future_changes_nothing_before_it_by_one_bit(clean_run, poisoned_run, name, column):
    before, after = dated(clean_run, name, column), dated(poisoned_run, name, column)
    assert len(before) > 0
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_the_poison_is_poison(clean_run, poisoned_run):
    later = clean_run("fused_scores").query("datetime > @CUT")["score"].to_numpy()
    other = poisoned_run("fused_scores").query("datetime > @CUT")["score"].to_numpy()
    assert not np.array_equal(later, other)


def test_weights_and_bundles_do_not_know_the_test_period(clean_run, poisoned_run):
    pd.testing.assert_frame_equal(clean_run("ensemble_weights"), poisoned_run("ensemble_weights"), check_exact=True)
    for model in ("lightgbm_alpha158", "ridge_alpha158", "gru_alpha158"):
        bundles = [load(f"{model}.bundle@candidate") for load in (clean_run, poisoned_run)]
        assert bundles[0].identity == bundles[1].identity
        assert bundles[0].facts.inputs == bundles[1].facts.inputs


def test_a_planted_cheater_is_caught(clean_run, poisoned_run):
    """A score that looks one session ahead must differ at the cut, or this whole test could not fail."""

    def cheat(load):
        table = load("adjusted_bars").pivot(index="date", columns="instrument", values="close")
        return (table.shift(-1) / table - 1).loc[:CUT]

    assert not cheat(clean_run).equals(cheat(poisoned_run))


@pytest.mark.parametrize(("horizon", "earns"), [(0, False), (1, True)])
def test_an_oracle_earns_on_the_label_of_the_clock_and_on_no_other_return(clean_run, horizon, earns):
    """Knowing t+1 → t+2 at the deal price earns; knowing t → t+1, which is over when orders deal, earns nothing."""
    from quant_pipeline.backtest.array_engine import run_backtest
    from quant_pipeline.backtest.market import TradingMarket

    bars = clean_run("adjusted_bars")
    opens = bars.pivot(index="date", columns="instrument", values="open")
    known = opens.shift(-1 - horizon) / opens.shift(-horizon) - 1
    score = known.loc["2021-01-01":].stack().rename_axis(["datetime", "instrument"]).rename("score")
    sessions = pd.DatetimeIndex(clean_run("sessions")["date"])
    market = TradingMarket.from_bars(clean_run("bars"), clean_run("corporate_actions"), sessions, MarketRules())
    result = run_backtest(score, market, StrategyRules(topk=2, n_drop=2, risk_degree=0.95), CostRules(), 100_000)
    growth = result.nav.iloc[-1] / 100_000
    assert (growth > 20) == earns
    assert earns or growth < 4


def test_the_newest_scores_of_the_daily_run_are_those_of_training(clean_run):
    for model in ("lightgbm_alpha158", "ridge_alpha158", "gru_alpha158"):
        history = clean_run(f"{model}_predictions")["score"].xs(pd.Timestamp(AS_OF), level="datetime")
        newest = clean_run(f"{model}_latest_scores")["score"].droplevel("datetime")
        # Qlib's running sums depend on where the history begins, in the last bits of float32.
        np.testing.assert_allclose(newest, history.reindex(newest.index), rtol=0, atol=2e-3)


def test_orders_never_ask_for_more_cash_than_there_is(clean_run):
    orders = clean_run("orders")
    buys = orders[orders["side"] == "buy"]
    assert len(buys) == 4
    assert buys["estimated_value"].sum() <= 0.95 * 100_000
    assert buys["reason"].str.contains("rank").all()
    assert clean_run("ledger_planned")[0].key == "plan:2024-01-02:0"


def test_stale_scores_and_a_stale_account_are_refused(clean_run):
    from quant_pipeline.exceptions import StaleDataError

    def orders_of(as_of, ledger):
        from tests.helpers.whole_path import parameters

        values = parameters(as_of)
        return generate_orders(
            None,
            ledger,
            clean_run("bars"),
            clean_run("corporate_actions"),
            clean_run("sessions"),
            values["ensemble"],
            values["order_generation"],
            values["strategy"],
            values["market_rules"],
            values["cost_rules"],
            as_of,
            latest_fused_scores=clean_run("latest_fused_scores"),
        )

    with pytest.raises(StaleDataError, match="they are of 2023-12-29"):
        orders_of("2024-01-02", clean_run("ledger_booked"))
    with pytest.raises(StaleDataError, match="ledger is booked up to None"):
        orders_of(AS_OF, ())


def test_the_comparison_covers_every_combination(clean_run):
    comparison = clean_run("combination_comparison").set_index("combination")
    assert comparison.index.tolist() == ["all_icir", "all_equal"]
    nav = clean_run("backtest_nav")
    assert nav["nav"].iloc[0] == pytest.approx(100_000)
    assert nav["benchmark"].iloc[0] == pytest.approx(100_000)
    total = nav["nav"].iloc[-1] / nav["nav"].iloc[0] - 1
    assert clean_run("backtest_performance")["total_return"] == pytest.approx(total)
