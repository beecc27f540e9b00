"""Information coefficients by hand and against scipy."""

import os

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.evaluation import information_coefficient
from quant_pipeline.evaluation.information_coefficient import (
    LabelledRows,
    information_coefficients,
    rank_ic_t,
    rank_information_coefficients,
    summarise,
)


def series(rows, name):
    days = pd.bdate_range("2020-01-06", periods=len(rows))
    index = pd.MultiIndex.from_product([days, [f"I{n}" for n in range(len(rows[0]))]], names=["datetime", "instrument"])
    return pd.Series(np.asarray(rows, dtype=float).ravel(), index=index, name=name)


def test_perfect_opposite_and_constant_sessions():
    scores = series([[1, 2, 3], [1, 2, 3], [5, 5, 5]], "score")
    labels = series([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]], "label")
    coefficients = information_coefficients(scores, labels)
    assert coefficients["ic"].tolist()[:2] == pytest.approx([1.0, -1.0])
    assert coefficients["rank_ic"].tolist()[:2] == pytest.approx([1.0, -1.0])
    assert coefficients.iloc[2].isna().all()


def test_against_scipy_with_ties_and_missing_values():
    random = np.random.default_rng(5)
    score = random.normal(size=(4, 30)).round(1)
    label = random.normal(size=(4, 30))
    label[0, :4] = np.nan
    score[1, 3] = np.nan
    coefficients = information_coefficients(series(score, "score"), series(label, "label"))
    for t in range(4):
        both = ~np.isnan(score[t]) & ~np.isnan(label[t])
        assert coefficients["ic"].iloc[t] == pytest.approx(stats.pearsonr(score[t][both], label[t][both])[0])
        assert coefficients["rank_ic"].iloc[t] == pytest.approx(stats.spearmanr(score[t][both], label[t][both])[0])


@pytest.mark.parametrize("value", [0.1, -0.7, 1e16 + 2, 1e-310, 1e300])
@pytest.mark.parametrize("n", [3, 7, 301])
def test_a_side_of_equal_values_has_no_coefficient_whatever_its_mean_is_rounded_to(value, n):
    varying, constant = series([np.arange(n) ** 2.0], "score"), series([[value] * n], "label")
    for scores, labels in ((varying, constant), (constant, varying)):
        assert information_coefficients(scores, labels).isna().all(axis=None)
    # So it is where a missing score leaves equal labels.
    scores, labels = varying.copy(), constant.copy()
    scores.iloc[1], labels.iloc[1] = np.nan, 0.0
    assert information_coefficients(scores, labels).isna().all(axis=None)


@pytest.mark.parametrize("n", [3, 8, 9, 10, 16, 17, 128, 129, 130, 136, 250, 500, 1031])
def test_sums_have_the_bits_of_reduceat(n):
    random = np.random.default_rng(n)
    values = {name: np.exp(random.normal(size=2 * n)) for name in ("score", "label")}
    starts = np.array([0, n])

    def centred(side):
        return side - np.repeat(np.add.reduceat(side, starts) / n, n)

    score, label = (centred(side) for side in values.values())
    cross, *squares = (np.add.reduceat(each, starts) for each in (score * label, score**2, label**2))
    found = information_coefficients(*(series(side.reshape(2, n), name) for name, side in values.items()))
    np.testing.assert_array_equal(found["ic"], cross / np.sqrt(squares[0] * squares[1]))


def test_a_session_with_two_pairs_does_not_count():
    coefficients = information_coefficients(series([[1, 2]], "score"), series([[1, 2]], "label"))
    assert coefficients["rank_ic"].isna().all()


def by_session(scores, labels):
    """Coefficients of scipy, session by session."""
    pairs = pd.concat({"score": scores, "label": labels}, axis=1, join="inner").dropna()
    found = {
        day: (stats.pearsonr(*part.to_numpy().T)[0], stats.spearmanr(*part.to_numpy().T)[0])
        for day, part in pairs.groupby("datetime")
    }
    return pd.DataFrame.from_dict(found, orient="index", columns=["ic", "rank_ic"]).rename_axis("datetime")


@pytest.mark.parametrize("cores", [1, 2, 5, 300])
def test_rows_may_lie_in_any_order_and_labels_may_be_of_others(monkeypatch, cores):
    monkeypatch.setattr(information_coefficient, "PAIRS_AT_ONCE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    random = np.random.default_rng(6)
    scores, labels = (series(random.normal(size=(9, 20)), name) for name in ("score", "label"))
    scores.iloc[::11] = np.nan
    expected = by_session(scores, labels.iloc[5:170])
    mixed = scores.sample(frac=1, random_state=7)
    for given in (
        scores,
        mixed,
        pd.Series(mixed.to_numpy(), pd.MultiIndex.from_tuples(mixed.index.tolist(), names=mixed.index.names)),
    ):
        found = information_coefficients(given, labels.iloc[5:170].sample(frac=1, random_state=8))
        pd.testing.assert_frame_equal(found, expected, check_freq=False)
        ranked = rank_information_coefficients(given, labels.iloc[5:170])
        pd.testing.assert_series_equal(ranked, found["rank_ic"], check_exact=True)


def test_several_scores_with_the_labels_of_the_same_rows_have_the_bits_of_each_alone():
    random = np.random.default_rng(8)
    labels = series(random.normal(size=(5, 12)), "label").iloc[3:]
    all_scores = [series(random.normal(size=(5, 12)), "score") for _ in range(3)]
    all_scores[1].iloc[:20] = np.nan
    labelled = LabelledRows(all_scores[0].index, labels)
    labelled.prepare()
    for scores in all_scores:
        pd.testing.assert_frame_equal(
            labelled.coefficients(scores), information_coefficients(scores, labels), check_exact=True
        )


def test_an_infinite_value_leaves_its_session_alone_without_a_coefficient():
    scores, labels = (series(np.random.default_rng(9).normal(size=(3, 10)), name) for name in ("score", "label"))
    expected = information_coefficients(scores, labels)
    scores.iloc[14] = np.inf
    found = information_coefficients(scores, labels)
    assert np.isnan(found["ic"].iloc[1])
    pd.testing.assert_frame_equal(found.iloc[[0, 2]], expected.iloc[[0, 2]], check_exact=True)


def test_without_a_pair_there_is_no_session():
    scores = series([[1, 2, 3]], "score")
    for left, right in ((scores, scores * np.nan), (scores.iloc[:0], scores), (scores * np.nan, scores)):
        assert information_coefficients(left, right).to_dict() == {"ic": {}, "rank_ic": {}}


def test_two_labels_of_a_row_are_refused():
    labels = series([[1, 2, 3]], "label")
    with pytest.raises(ModelError, match="I0 has two labels on 2020-01-06"):
        information_coefficients(labels, pd.concat([labels, labels.iloc[:1]]))


@pytest.mark.parametrize("other", [False, True])
def test_two_scores_of_a_row_and_levels_in_another_order_are_refused(other):
    scores = series([[1, 2, 3]], "score")
    twice = pd.concat([scores, scores * 2])
    with pytest.raises(ModelError, match=r"I0 has two (scores|labels) on 2020-01-06"):
        information_coefficients(twice, scores if other else twice)
    swapped = scores.swaplevel()
    with pytest.raises(ModelError, match=r"index them \(datetime, instrument\)"):
        information_coefficients(*((scores, swapped) if other else (swapped, scores)))


def test_levels_in_another_order_are_known_by_their_names_where_dates_are_texts():
    index = pd.MultiIndex.from_product([list("ABC"), ["2020-01-06", "2020-01-07"]], names=["symbol", "datetime"])
    with pytest.raises(ModelError, match=r"scores are indexed \(symbol, datetime\)"):
        information_coefficients(pd.Series(range(6), index), pd.Series(range(6), index))


def test_ranks_of_many_names_are_counted_exactly():
    scores = series([range(2_000)], "score")
    assert information_coefficients(scores, scores)["rank_ic"].tolist() == [1.0]


@pytest.mark.parametrize("names", [(None, None), ("symbol", "datetime")])
def test_levels_in_another_order_are_known_by_their_type_too(names):
    scores = series([[1, 2, 3]], "score")
    with pytest.raises(ModelError, match=r"labels are indexed .*; index them \(datetime, instrument\)"):
        information_coefficients(scores, scores.swaplevel().rename_axis(names))
    with pytest.raises(ModelError, match="scores are indexed"):
        information_coefficients(scores.droplevel(0), scores)


@pytest.mark.parametrize("missing", [(pd.NaT, "I0"), (pd.Timestamp("2020-01-06"), None)])
def test_rows_of_no_session_or_of_no_instrument_may_come_twice(missing):
    known = series([[1, 2, 3, 5]], "score")
    none = pd.MultiIndex.from_tuples([missing] * 2, names=known.index.names)
    scores = pd.concat([known, pd.Series([4.0, 4.0], none)])
    pd.testing.assert_frame_equal(information_coefficients(scores, known), information_coefficients(known, known))
    pd.testing.assert_frame_equal(information_coefficients(known, scores), information_coefficients(known, known))
    of_none = scores.where(scores.index.isin(known.index), -scores * 100)
    pd.testing.assert_frame_equal(information_coefficients(scores, of_none), information_coefficients(known, known))


def test_a_row_twice_is_named_when_dates_are_texts():
    index = pd.MultiIndex.from_arrays([["2020-01-06"] * 3, list("ABB")], names=["datetime", "instrument"])
    with pytest.raises(ModelError, match="B has two scores on 2020-01-06"):
        information_coefficients(pd.Series([1.0, 2, 3], index), pd.Series([1.0, 2, 3], index))


def test_summary_by_hand():
    table = pd.DataFrame({"ic": [0.1, 0.3, np.nan], "rank_ic": [0.2, -0.1, np.nan]})
    summary = summarise(table)
    assert summary["ic"] == pytest.approx(0.2)
    assert summary["icir"] == pytest.approx(0.2 / np.std([0.1, 0.3], ddof=1))
    assert summary["positive_share"] == 0.5
    assert summary["sessions"] == 2


def test_t_of_the_mean_rank_ic_by_hand():
    # Three lags of deviations of ±0.5: 5 + 2 × (3/4 × 4.25 + 2/4 × 3.5 + 1/4 × 2.75) = 16.25.
    table = pd.DataFrame({"rank_ic": [1.0] * 10 + [0.0] * 10})
    assert rank_ic_t(table, horizon=2) == pytest.approx(10 / np.sqrt(16.25))
    assert np.isnan(rank_ic_t(table.iloc[1:], horizon=2))
    assert np.isnan(rank_ic_t(table, horizon=3))
    assert np.isnan(rank_ic_t(pd.DataFrame({"rank_ic": [0.1] * 30}), horizon=3))


@pytest.mark.parametrize(("horizon", "lags"), [(1, 4), (5, 9), (12, 23)])
def test_t_of_the_mean_rank_ic_is_that_of_statsmodels(horizon, lags):
    noise = np.random.default_rng(horizon).normal(0.02, 0.1, size=120 + horizon)
    overlapping = np.convolve(noise, np.ones(horizon) / horizon, mode="valid")[:120]
    fitted = OLS(overlapping, np.ones(120)).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    assert rank_ic_t(pd.DataFrame({"rank_ic": overlapping}), horizon) == pytest.approx(fitted.tvalues[0], rel=1e-12)


@pytest.mark.parametrize("value", [1.0, 0.1])
def test_a_coefficient_that_is_the_same_in_every_session_has_no_ratio(value):
    """An oracle orders returns perfectly every day: its mean is 1, over no deviation."""
    summary = summarise(pd.DataFrame({"ic": [value] * 30, "rank_ic": [value] * 30}))
    assert summary["rank_ic"] == pytest.approx(value)
    assert np.isnan([summary["icir"], summary["rank_icir"]]).all()
