"""Objectives of the trees, and what stops their growth."""

from dataclasses import replace

import lightgbm
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from quant_pipeline.models import gbdt, panels, processed
from quant_pipeline.models.algorithms.lightgbm import LightGBMHyper
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.gbdt import fit_trees, grade, load_trees, tree_parameters

SMALL = {"min_data_in_leaf": 20, "lambda_l2": 1.0, "threads": 1, "rounds": 40, "patience": 10}


@pytest.mark.parametrize("objective", ["regression", "regression_l1", "huber", "lambdarank", "rank_xendcg"])
def test_every_objective_orders_by_the_planted_factor(objective, samples, later_rows):
    model = fit_trees(samples["train"], samples["valid"], LightGBMHyper(objective=objective, **SMALL), seed=1)
    # The ranking objectives care for the best of a session more than for the rest.
    least = 0.7 if "rank" in objective else 0.9
    assert stats.spearmanr(model.predict(later_rows), later_rows.values[:, 0])[0] > least


def test_importance_is_in_the_unit_of_the_score_and_names_the_planted_factor(samples):
    model = fit_trees(samples["train"], samples["valid"], LightGBMHyper(**SMALL), seed=1)
    importance = model.importance.set_index("factor")["importance"]
    spread = np.abs(model.predict(samples["valid"]) - model.predict(samples["valid"]).mean()).mean()
    assert importance["signal"] == pytest.approx(spread, rel=0.15)
    assert importance[["noise_a", "noise_b"]].max() < importance["signal"] / 5


def test_training_can_stop_on_the_rank_ic(samples):
    hyper = LightGBMHyper(stop_on="rank_ic", **SMALL)
    model = fit_trees(samples["train"], samples["valid"], hyper, seed=1)
    curve = model.curve[model.curve["metric"] == "valid_rank_ic"].set_index("step")["value"]
    assert model.booster.num_trees() == curve.idxmax()
    assert len(curve) == min(curve.idxmax() + 10, 40)


def test_labels_of_a_session_are_divided_into_grades_of_equal_size(samples):
    grades = grade(samples["train"], 4)
    of_first_session = grades[samples["train"].sessions == 0]
    assert np.unique(of_first_session, return_counts=True)[1].tolist() == [5, 5, 5, 5]
    labels = samples["train"].labels[samples["train"].sessions == 0]
    assert labels[of_first_session == 3].min() > labels[of_first_session == 2].max()


def test_a_continuation_keeps_the_trees_that_are_there(samples):
    hyper = LightGBMHyper(**{**SMALL, "rounds": 5})
    first = fit_trees(samples["train"], samples["valid"], hyper, seed=1)
    second = fit_trees(samples["train"], samples["valid"], hyper, seed=1, previous=first)
    assert second.booster.num_trees() == 10
    kept = second.booster.predict(samples["valid"].values, num_iteration=5)
    np.testing.assert_array_equal(kept, first.predict(samples["valid"]))
    again = load_trees(second.weights())
    np.testing.assert_array_equal(again.predict(samples["valid"]), second.predict(samples["valid"]))


def test_the_array_of_training_is_gone_before_that_of_validation_is_made(samples, monkeypatch):
    held, make = [], gbdt._in_one_array

    def watch(given, **options):
        reference = options["reference"]
        held.append(None if reference is None else reference.data)
        return make(given, **options)

    monkeypatch.setattr(gbdt, "_in_one_array", watch)
    fit_trees(samples["train"], samples["valid"], LightGBMHyper(**{**SMALL, "rounds": 2}), seed=1)
    assert held == [None, None]


@pytest.mark.parametrize("kept_share", [1.0, 0.0], ids=["columns", "blocks_of_rows"])
@pytest.mark.parametrize(("sessions", "instruments"), [(200, 10), (300, 1000)], ids=["all_rows", "a_sample_of_rows"])
def test_columns_and_blocks_of_rows_give_the_trees_of_one_array(sessions, instruments, kept_share, monkeypatch):
    """Bins are chosen by all rows, or by the 200,000 that LightGBM draws; one factor divides no leaf.

    The trees to compare with are made row by row, on one thread.
    """
    days = pd.bdate_range("2020-01-01", periods=sessions)
    index = pd.MultiIndex.from_product([days, range(instruments)], names=["datetime", "instrument"])
    random = np.random.default_rng(8)
    values = random.normal(size=(len(index), 4)).astype("float32")
    values[random.random(len(index)) < 0.3, 1] = np.nan
    values[random.random(len(index)) < 0.5, 2] = 0.0
    values[:, 3] = random.random(len(index)) < 0.02
    labels = (values[:, 0] + 3 * values[:, 3] + random.normal(size=len(index))).astype("float32")
    rows = np.split(np.arange(len(index)), [len(index) * 3 // 4])
    train, valid = (Samples(pd.DataFrame(values, index).rename(columns=str), each, labels[each]) for each in rows)
    fewest = len(index) // 40
    hyper = LightGBMHyper(rounds=4, min_data_in_leaf=fewest, feature_fraction=0.5, threads=2)
    monkeypatch.setattr(panels, "AT_ONCE", values.size // 7)
    monkeypatch.setattr(processed, "KEPT_SHARE", kept_share)
    fitted = fit_trees(train, valid, hyper, seed=3)
    data = lightgbm.Dataset(values[rows[0]], train.labels)
    by_row = {"force_col_wise": False, "force_row_wise": True, "num_threads": 1, "feature_pre_filter": False}
    expected = lightgbm.train(
        tree_parameters(hyper, seed=3) | {"objective": "regression", "metric": "l2"} | by_row,
        data,
        num_boost_round=4,
        valid_sets=[data, lightgbm.Dataset(values[rows[1]], valid.labels, reference=data)],
        callbacks=[lightgbm.early_stopping(hyper.patience, verbose=False)],
    )
    kept = lightgbm.Booster(model_str=expected.model_to_string(num_iteration=expected.best_iteration))
    assert _trees(fitted.booster) == _trees(kept)
    assert fitted.booster.num_trees() == 4


def test_factors_that_lightgbm_bundles_are_filled_row_by_row():
    """Two flags meet in some rows, in which the later factor stays: not the one whose thread comes last."""
    index = pd.MultiIndex.from_product([pd.bdate_range("2020-01-01", periods=60), range(1000)])
    index.names = ["datetime", "instrument"]
    random = np.random.default_rng(8)
    flags = np.zeros((len(index), 2), dtype=np.float32)
    order = random.permutation(len(index)).reshape(2, -1)
    for place in (0, 1):
        flags[order[place, :10_000], place] = 1.0
    flags[order[:, -2:].ravel()] = 1.0
    labels = (flags @ [1, -1] + random.normal(size=len(index))).astype("float32")
    labels[order[:, -2:].ravel()] += 100
    rows = np.split(np.arange(len(index)), [50_000])
    train, valid = (Samples(pd.DataFrame(flags, index).rename(columns=str), each, labels[each]) for each in rows)
    hyper = LightGBMHyper(rounds=4, min_data_in_leaf=1, feature_fraction=1.0, bagging_fraction=1.0, threads=2)
    fitted = fit_trees(train, valid, hyper, seed=3).booster
    by_row = {"objective": "regression", "force_col_wise": False, "force_row_wise": True, "num_threads": 1}
    data = lightgbm.Dataset(flags[rows[0]], train.labels)
    expected = lightgbm.train(tree_parameters(hyper, seed=3) | by_row, data, num_boost_round=fitted.num_trees())
    assert _trees(fitted) == _trees(expected)


@pytest.mark.parametrize(
    ("share", "could_be"), [((0.0, 0.0), False), ((0.4, 0.5), False), ((0.5, 0.5), True), ((0.99, 0.01), True)]
)
@pytest.mark.parametrize("value", [0.0, 1e-40, 3.0, np.nan])
def test_factors_that_have_one_value_in_most_rows_could_be_bundled(share, could_be, value):
    random = np.random.default_rng(8)
    values = random.normal(size=(4, 30_000)).astype("float32")
    values[2:] = [[np.nan], [2.0]]  # Constant ones are not.
    for column, each in zip(values, share, strict=False):
        column[: round(each * len(column))] = value
    assert gbdt._could_be_bundled(values) == could_be


def test_trials_of_other_leaves_share_bins_and_give_the_trees_of_bins_of_their_own(samples, monkeypatch):
    """Also where a factor is there that a leaf of one of the sizes cannot divide."""
    flag = samples["train"].panel.assign(flag=np.float32(0))
    flag.iloc[samples["train"].rows[:50], -1] = 1
    train = replace(samples["train"], panel=flag, labels=samples["train"].labels.copy())
    train.labels[:50] += 1
    valid = replace(samples["valid"], panel=flag)
    hypers = [
        LightGBMHyper(**{**SMALL, "rounds": 10, "min_data_in_leaf": leaf, "feature_fraction": 0.6}) for leaf in (20, 90)
    ]
    alone = [fit_trees(train, valid, hyper, seed=1).weights() for hyper in hypers]
    assert fit_trees(train, valid, hypers[0], seed=1).booster.feature_importance()[-1] > 0
    binned, construct = [], lightgbm.Dataset.__init__
    monkeypatch.setattr(lightgbm.Dataset, "__init__", lambda *a, **k: binned.append(construct(*a, **k)))
    shared = train.kept()
    assert [fit_trees(shared, valid, hyper, seed=1).weights() for hyper in hypers] == alone
    assert len(binned) == 2


@pytest.mark.parametrize("leaf", [20, 90])
def test_trees_are_those_of_lightgbm_as_it_bins_by_itself(samples, leaf):
    """Unless a factor is there that no leaf of the smallest size could divide."""
    train, valid = samples["train"], samples["valid"]
    hyper = LightGBMHyper(**{**SMALL, "rounds": 10, "min_data_in_leaf": leaf, "feature_fraction": 0.6})
    data = lightgbm.Dataset(train.values, label=train.labels)
    booster = lightgbm.train(tree_parameters(hyper, seed=1) | {"objective": "regression"}, data, 10)
    fitted = fit_trees(train, valid, hyper, seed=1).booster
    rounds = fitted.num_trees()
    assert _trees(fitted) == _trees(lightgbm.Booster(model_str=booster.model_to_string(num_iteration=rounds)))


def _trees(booster):
    """Return the trees of a text, without the parameters behind them."""
    return booster.model_to_string().split("end of trees")[0]
