"""The whole path in memory: what comes out, and that nothing of it knows the future."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.factors import panel_parts
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.pipelines.ensemble import nodes as ensemble_nodes
from quant_pipeline.pipelines.order_generation.nodes import generate_orders
from quant_pipeline.pipelines.prediction import nodes as prediction_nodes
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from tests.helpers.whole_path import AS_OF, FACTORS, MODELS, parameters

RESEARCH = ("ingestion", "features", "training", "prediction", "ensemble", "backtest")

CUT = pd.Timestamp("2023-08-31")
DATED = {
    "adjusted_bars": "date",
    "universe_members": "date",
    "alpha158_features": "datetime",
    "lightgbm_alpha158_predictions": "datetime",
    "ridge_alpha158_predictions": "datetime",
    "gru_alpha158_predictions": "datetime",
    "fused_scores": "datetime",
    "backtest_nav": "date",
    "backtest_trades": "date",
}
BEFORE_FEATURES = {"adjusted_bars", "universe_members"}


def known_at_the_cut(load, name):
    """Return the rows of a dated table up to the cut."""
    table, column = load(name), DATED[name]
    table = table.reset_index() if column not in table.columns else table
    return table[table[column] <= CUT].reset_index(drop=True)


def assert_knows_no_future(load, load_poisoned, name):
    """Compare what two runs, of which only the future differs, say of the time before; one bit is enough to fail."""
    before, after = known_at_the_cut(load, name), known_at_the_cut(load_poisoned, name)
    assert len(before) > 0
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def knows_the_future(load, load_poisoned, name):
    try:
        assert_knows_no_future(load, load_poisoned, name)
    except AssertionError:
        return True
    return False


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


@pytest.mark.parametrize("name", DATED)
def test_a_poisoned_future_changes_nothing_before_it_by_one_bit(clean_run, poisoned_run, name):
    assert_knows_no_future(clean_run, poisoned_run, name)


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


@pytest.fixture(scope="module")
def cheating_runs(run_in_memory, market):
    """A clean and a poisoned run of a pipeline whose models see a factor from five sessions ahead."""
    values, expressions = parameters(AS_OF), {"PEEK": "Ref($close, -5)/$close-1"}
    given = {"feature_sets.alpha158": FeatureSet(library="alpha158", expressions=expressions)}
    for name in MODELS:
        given[f"models.{name}"] = values[f"models.{name}"].model_copy(update={"factors": [*FACTORS, *expressions]})
    with pytest.MonkeyPatch.context() as patch:
        # The engine refuses a factor that looks ahead; the cheater gets past it.
        patch.setattr(panel_parts, "compile_factors", partial(compile_factors, allow_future=True))
        patch.setattr(prediction_nodes, "compute_factors", partial(compute_factors, allow_future=True))
        return tuple(run_in_memory(of, stages=RESEARCH, **given) for of in (market, poison(market)))


def test_the_engine_refuses_the_factor_of_the_cheater(clean_run):
    with pytest.raises(FactorError, match="looks ahead"):
        compute_factors(clean_run("adjusted_bars"), {"PEEK": "Ref($close, -5)/$close-1"}, None)


@pytest.mark.parametrize("name", DATED)
def test_a_cheater_planted_in_the_features_is_caught_in_every_table_after_them(cheating_runs, name):
    assert knows_the_future(*cheating_runs, name) == (name not in BEFORE_FEATURES)


def test_a_cheater_planted_in_the_weights_is_caught_in_the_fused_scores(run_in_memory, market, clean_run, poisoned_run):
    """Weights by the information coefficients of the test period are hindsight."""
    honest = ensemble_nodes._scores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble_nodes, "_scores", lambda predictions, segment: honest(predictions, "test"))
        runs = [run_in_memory(None, stages=("ensemble",), continues=earlier) for earlier in (clean_run, poisoned_run)]
    assert not runs[0]("ensemble_weights").equals(runs[1]("ensemble_weights"))
    assert knows_the_future(*runs, "fused_scores")


@pytest.mark.parametrize(("horizon", "earns"), [(0, False), (1, True)])
def test_an_oracle_earns_on_the_label_of_the_clock_and_on_no_other_return(clean_run, horizon, earns):
    """Knowing t+1 → t+2 at the execution price earns; knowing t → t+1, over when orders execute, earns nothing."""
    from quant_pipeline.backtest.array_engine import run_backtest
    from quant_pipeline.exchange.market import TradingMarket

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
        np.testing.assert_allclose(newest, history.reindex(newest.index), rtol=1e-6)


def test_orders_never_ask_for_more_cash_than_there_is(clean_run):
    orders = clean_run("orders")
    buys = orders[orders["side"] == "buy"]
    assert len(buys) == 4
    assert buys["estimated_value"].sum() <= 0.95 * 100_000
    assert buys["reason"].str.contains("rank").all()
    assert clean_run("ledger_planned")[0].key == "plan:2024-01-02:0"


def test_stale_account_is_refused(clean_run):
    from quant_pipeline.common.exceptions import StaleDataError

    def orders_of(as_of, ledger):
        values = parameters(as_of)
        rules = ("ensemble", "order_generation", "strategy", "market_rules", "cost_rules", "account", "as_of")
        tables = (
            "bars",
            "corporate_actions",
            "sessions",
            "instruments",
            "universe_members",
            "champions",
            "ensemble_weights",
            "latest_fused_scores",
        )
        return generate_orders(
            score_file=None,
            events=ledger,
            risk=RiskLimits(),
            **{name: values[name] for name in rules},
            **{name: clean_run(name) for name in tables},
        )

    with pytest.raises(StaleDataError, match="ledger is booked up to 2023-12-29"):
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
