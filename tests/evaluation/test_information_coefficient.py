"""Information coefficients by hand and against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from quant_pipeline.evaluation.information_coefficient import information_coefficients, rank_ic_t, summarise


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


def test_a_session_with_two_pairs_does_not_count():
    coefficients = information_coefficients(series([[1, 2]], "score"), series([[1, 2]], "label"))
    assert coefficients["rank_ic"].isna().all()


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
