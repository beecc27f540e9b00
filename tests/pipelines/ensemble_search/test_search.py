"""The search from scores to verdict, on a market on which the truth is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.evaluation.performance import max_drawdown, sharpe_ratio
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.ensemble.fusion import fuse
from quant_pipeline.pipelines.ensemble_search.candidates import search_span
from quant_pipeline.pipelines.ensemble_search.nodes import search_inputs
from quant_pipeline.pipelines.ensemble_search.parameters import EnsembleSearchParameters
from quant_pipeline.pipelines.ensemble_search.prepared_search import read_table
from quant_pipeline.pipelines.ensemble_search.trials import rules_of_phases
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import Schedule
from tests.helpers.toy_search import PARAMETERS, SECTORS, SESSIONS, toy

PLANTED = {"good": 0.2, "noise_a": 0.0, "noise_b": 0.0, "noise_c": 0.0, "noise_d": 0.0}
NOISE = {f"noise_{letter}": 0.0 for letter in "abcde"}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return toy(PLANTED).run(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    return [toy(NOISE, seed).run(tmp_path_factory.mktemp("noise")) for seed in range(6)]


def test_candidates_that_predict_another_price_than_orders_execute_at_are_not_searched():
    at_close = replace(toy(PLANTED), market_rules=MarketRules(deal_price="close"))
    with pytest.raises(
        ConfigurationError, match=r"scores of good predict Ref\(\$open.* is close\. Set it back, or train"
    ):
        at_close.candidates()


def test_a_planted_good_model_is_found(planted):
    verdict = planted["verdict"]
    assert verdict["verdict"] == "probably skill"
    assert "good" in verdict["chosen"].split(" + ")
    assert verdict["backtest_overfitting"] < 0.05
    assert verdict["deflated_sharpe"] > 0.95
    assert verdict["reality_check"] < 0.05
    assert verdict["superior_ability"] < 0.05
    assert verdict["walk_forward_percentile"] > 0.9
    assert verdict["holdout_excess_sharpe"] > 2
    assert (planted["folds"]["chosen"].str.contains("good")).all()


def test_smaller_combinations_are_backtested_and_do_not_compete(tmp_path):
    search = replace(toy(PLANTED), parameters=PARAMETERS.model_copy(update={"min_models": 3}))
    found = search.run(tmp_path)
    assert found["leaderboard"]["size"].tolist().count(3) == 10
    assert found["leaderboard"]["size"].tolist().count(4) == 5
    assert found["verdict"]["trials"] == 15
    assert set(found["attribution"]["model"]) == set(PLANTED)
    with pytest.raises(ValueError, match="min_models"):
        EnsembleSearchParameters(min_models=5, max_models=4)


def test_the_good_model_earns_and_noise_adds_nothing(planted):
    shapley = planted["attribution"].query("method == 'shapley'").set_index("model")
    assert shapley.loc["good", "t"] > 5
    others = shapley.drop("good")["value"]
    # Beside a good model noise costs a little: it dilutes.
    assert others.abs().max() < 0.2 * shapley.loc["good", "value"]
    assert others.max() < 0.02
    alone = planted["attribution"].query("method == 'leave_one_out'").set_index("model")
    assert alone.loc["good", "value"] > 0.2


def test_on_pure_noise_the_search_says_luck(noises):
    verdicts = pd.DataFrame([noise["verdict"] for noise in noises])
    assert verdicts["backtest_overfitting"].mean() == pytest.approx(0.5, abs=0.2)
    assert (verdicts["deflated_sharpe"] < 0.95).all()
    assert (verdicts["verdict"] != "probably skill").all()
    assert (verdicts["verdict"] == "probably luck").sum() >= 4
    assert abs(verdicts["walk_forward_percentile"].mean() - 0.5) < 0.15
    values = pd.concat([noise["attribution"] for noise in noises]).query("method == 'shapley'")
    assert abs(values["value"].mean()) < 0.02
    assert (values["t"].abs() < 3).all()


def test_folds_have_the_dates_of_the_calendar(planted):
    # 420 sessions, 50 in the holdout, 5 in its embargo: 365 are selected, 73 periods; the first fold is period 20.
    folds = planted["folds"]
    assert len(planted["periods"]) == 73
    assert folds["ranked_until"].dt.strftime("%Y-%m-%d").tolist() == [
        "2022-05-13", "2022-07-22", "2022-09-30", "2022-12-09", "2023-02-17", "2023-04-28",
    ]  # fmt: skip
    assert folds["first"].dt.strftime("%Y-%m-%d").tolist() == [
        "2022-05-23", "2022-08-01", "2022-10-10", "2022-12-19", "2023-02-27", "2023-05-08",
    ]  # fmt: skip
    assert folds["last"].iloc[-1] == SESSIONS[364] == pd.Timestamp("2023-05-26")
    assert folds["sessions"].tolist() == [50, 50, 50, 50, 50, 15]
    curves = planted["curves"]
    assert curves.loc[curves["is_holdout"], "date"].min() == SESSIONS[365]


def test_the_chosen_one_equals_its_single_backtest_with_the_score_the_ensemble_fuses(planted):
    market = toy(PLANTED)
    candidates = market.candidates()
    inputs = search_inputs(*market.market(candidates), *market.rules())
    rules = inputs.rules
    selected = inputs.market(with_holdout=False)
    reference = inputs.benchmark_returns(selected)
    trials, _ = read_table(planted["trials"])
    for members in (("good", "noise_a", "noise_b"), ("noise_c", "noise_d"), ("good",)):
        raw = {model: market.predictions[model]["score"] for model in members}
        fused = fuse(raw, pd.Series(1 / len(members), index=members), "rank")
        result = run_backtest(fused, selected, rules.strategy, rules.cost_rules, rules.account.initial_cash)
        place = trials.combinations.index(members)
        figures = trials.figures.iloc[place]
        assert figures["final_value"] == result.nav.iloc[-1]
        assert figures["maximum_drawdown"] == pytest.approx(max_drawdown(result.returns), rel=1e-9)
        excess = result.returns - reference[1:]
        assert figures["excess_sharpe"] == pytest.approx(sharpe_ratio(excess), rel=1e-9)
        board = planted["leaderboard"].set_index("combination").loc[" + ".join(members)]
        assert board["excess_sharpe"] == pytest.approx(sharpe_ratio(excess), rel=1e-9)
    assert len(candidates) == len(SESSIONS) * 40


def test_only_a_search_that_weighs_by_volatility_looks_at_the_sessions_before_it():
    market = toy(PLANTED)
    label, strategy, rules, costs, account, search = market.rules()
    span = search_span(pd.DatetimeIndex(SESSIONS[30:]), pd.DatetimeIndex(SESSIONS), search, label.horizon)
    calm = strategy.model_copy(update={"method": "target_weights", "position_weights": "inverse_volatility"})
    tables = MarketTables(market.bars, market.actions, pd.DataFrame({"date": SESSIONS}), market.benchmark, SECTORS)
    known = tables.market_of(span.selection, TradingRules(calm, rules, costs, account))
    assert known.sessions[0] == SESSIONS[30]
    assert known.history.sessions[[0, -1]].tolist() == [SESSIONS[0], span.selection[-1]]
    assert tables.market_of(span.selection, TradingRules(strategy, rules, costs, account)).history is None


def test_the_holdout_moves_no_ranking_and_no_measure(planted, tmp_path):
    clean = toy(PLANTED)
    after = clean.bars["date"] > SESSIONS[364]
    rng = np.random.default_rng(1)
    prices = ["open", "high", "low", "close"]
    clean.bars.loc[after, prices] = clean.bars.loc[after, prices].mul(rng.uniform(0.2, 5, after.sum()), axis=0).round(2)
    clean.benchmark.loc[clean.benchmark["date"] > SESSIONS[364], "total_return_close"] *= 7
    for table in clean.predictions.values():
        later = table.index.get_level_values("datetime") > SESSIONS[364]
        table.loc[later, "score"] = rng.normal(size=later.sum())
    poisoned = clean.run(tmp_path)
    for name in ("trials", "periods", "folds", "logits", "attribution", "correlations"):
        pd.testing.assert_frame_equal(planted[name], poisoned[name], check_exact=True)
    kept = [column for column in planted["leaderboard"] if not column.startswith("holdout")]
    pd.testing.assert_frame_equal(planted["leaderboard"][kept], poisoned["leaderboard"][kept], check_exact=True)
    changed = {key for key, value in planted["verdict"].items() if poisoned["verdict"][key] != value}
    assert changed == {"holdout_excess_sharpe"}


def test_a_later_fold_moves_no_earlier_choice(planted, tmp_path):
    # The poison starts in the third fold; what the first three folds choose and the first two measure stays.
    cut = pd.Timestamp("2022-10-09")
    market = toy(PLANTED)
    rng = np.random.default_rng(2)
    for table in market.predictions.values():
        later = table.index.get_level_values("datetime") > cut
        table.loc[later, "score"] = rng.normal(size=later.sum())
    poisoned = market.run(tmp_path)["folds"]
    pd.testing.assert_frame_equal(planted["folds"].iloc[:2], poisoned.iloc[:2], check_exact=True)
    chosen = ["ranked_until", "chosen", "ranked_sharpe"]
    pd.testing.assert_frame_equal(planted["folds"].loc[:2, chosen], poisoned.loc[:2, chosen], check_exact=True)
    assert planted["folds"]["sharpe"].iloc[4] != poisoned["sharpe"].iloc[4]


def test_phases_are_averaged():
    weekly = StrategyRules(topk=8, n_drop=4, schedule=Schedule(frequency="weekly", phase=2))
    phases = rules_of_phases(weekly, average=True)
    assert [rules.schedule.phase for rules in phases] == [0, 1, 2, 3, 4]
    assert rules_of_phases(weekly, average=False) == [weekly]
    assert rules_of_phases(StrategyRules(), average=True) == [StrategyRules()]
    every = StrategyRules(schedule=Schedule(frequency="every_n_sessions", sessions=3, phase=1, anchor="2022-01-03"))
    assert [rules.schedule.phase for rules in rules_of_phases(every, average=True)] == [0, 1, 2]


def test_the_mean_over_phases_is_the_mean_of_single_searches(tmp_path):
    market = toy({"good": 0.2, "noise_a": 0.0})
    weekly = replace(market, strategy=StrategyRules(topk=8, n_drop=4, schedule=Schedule(frequency="weekly")))
    weekly.backtest(tmp_path)
    together = weekly.collect(tmp_path)[0]
    singles = []
    for phase in range(5):
        rules = StrategyRules(topk=8, n_drop=4, schedule=Schedule(frequency="weekly", phase=phase))
        one = replace(market, strategy=rules).after(average_phases=False)
        one.backtest(tmp_path)
        singles.append(one.collect(tmp_path)[0])
    columns = ["annualised_return", "sum_3", "square_3"]
    mean = sum(single[columns] for single in singles) / 5
    pd.testing.assert_frame_equal(together[columns], mean, rtol=1e-12)
    assert singles[0]["final_value"].tolist() != singles[1]["final_value"].tolist()


def test_models_that_competed_on_other_sessions_are_an_error():
    market = toy({"good": 0.2, "stale": 0.0})
    market.predictions["stale"] = market.predictions["stale"].iloc[:-40]
    with pytest.raises(StaleDataError, match="stale has no scores on 1 sessions"):
        market.candidates()


def test_validation_scores_do_not_compete():
    market = toy({"good": 0.2, "noise_a": 0.0})
    for table in market.predictions.values():
        table.loc[table.index.get_level_values("datetime") < SESSIONS[50], "segment"] = "valid"
    assert market.candidates().index.get_level_values("datetime").min() == SESSIONS[50]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ["absent"]}, "names absent; enabled are good, noise_a"),
        ({"holdout_periods": 90}, "cannot spare 455"),
        ({"embargo_periods": 0}, "embargo of 0 sessions is shorter than the 2 sessions"),
        ({"first_training_periods": 80}, "leave no fold"),
        ({"max_models": 1, "models": ["good"]}, "at least two combinations"),
    ],
)
def test_impossible_searches_are_refused_with_the_remedy(changes, words, tmp_path):
    with pytest.raises(ConfigurationError, match=words):
        toy({"good": 0.2, "noise_a": 0.0}).after(**changes).run(tmp_path)
