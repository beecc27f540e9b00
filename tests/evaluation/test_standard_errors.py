"""Errors and bands against statsmodels, scipy and known laws."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from quant_pipeline.evaluation import standard_errors as statistics


def autocorrelated(sessions, series, seed=3, weight=0.6):
    noise = np.random.default_rng(seed).normal(size=(sessions, series))
    for t in range(1, sessions):
        noise[t] += weight * noise[t - 1]
    return noise * 0.05 + 0.01


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_newey_west_errors_are_those_of_statsmodels(horizon):
    series = autocorrelated(400, 3)
    lags = statistics.newey_west_lags(400, horizon)
    expected = [
        OLS(series[:, k], np.ones(400)).fit(cov_type="HAC", cov_kwds={"maxlags": lags}).bse[0] for k in range(3)
    ]
    assert statistics.newey_west_errors(series, horizon) == pytest.approx(expected, rel=1e-12)


def test_lags_grow_with_the_horizon_and_the_sample():
    assert statistics.newey_west_lags(100, 1) == 4
    assert statistics.newey_west_lags(100, 2) == 4
    assert statistics.newey_west_lags(100, 20) == 39
    assert statistics.newey_west_lags(2500, 1) == 8
    assert statistics.newey_west_lags(3, 20) == 2


def overlapping_chance(sessions, horizon, series=2000):
    """Return sums of `horizon` independent steps that begin at each session, as labels of that horizon overlap."""
    steps = np.random.default_rng(1).standard_normal((sessions + horizon - 1, series))
    sums = np.vstack([np.zeros(series), steps.cumsum(axis=0)])
    return sums[horizon:] - sums[:-horizon]


@pytest.mark.parametrize(
    ("horizon", "sessions", "most"),
    # The normal law with max(h - 1, rule) lags found 10, 6, 16, 15, 12 and 11 %.
    [(1, 20, 0.08), (1, 250, 0.07), (5, 50, 0.13), (20, 200, 0.13), (5, 252, 0.095), (20, 1000, 0.095)],
)
def test_chance_is_called_significant_no_more_often_than_the_docstring_says(horizon, sessions, most):
    series = overlapping_chance(sessions, horizon)
    t = series.mean(axis=0) / statistics.newey_west_errors(series, horizon)
    freedom = statistics.degrees_of_freedom(np.full(2000, sessions), sessions, horizon)
    assert 0.04 < np.mean(statistics.two_sided_p_values(t, freedom) < 0.05) < most


@pytest.mark.parametrize(
    ("horizon", "sessions"), [(5, 49), (20, 199), (20, 63), (20, 25), (60, 252), (60, 126), (60, 40), (60, 21)]
)
def test_fewer_than_ten_horizons_have_neither_error_nor_t_nor_bands(horizon, sessions):
    series = overlapping_chance(sessions, horizon, 2) + 2.0
    assert np.isnan(statistics.newey_west_errors(series, horizon)).all()
    assert np.isnan(statistics.newey_west_t(series[:, 0], horizon))
    bands = statistics.bootstrap_bands(series, horizon, 0.95, 50, 7)
    assert np.isnan([bands.mean, bands.ratio]).all()


@pytest.mark.parametrize(("horizon", "sessions"), [(1, 20), (5, 50), (20, 200), (60, 600)])
def test_bands_of_the_smallest_sample_have_a_width_and_blocks_of_a_fifth_of_it(horizon, sessions):
    assert statistics.smallest_sample(horizon) == sessions
    assert statistics.block_length(sessions, horizon) <= sessions / 5
    bands = statistics.bootstrap_bands(overlapping_chance(sessions, horizon, 20), horizon, 0.95, 200, 7).mean
    errors = statistics.newey_west_errors(overlapping_chance(sessions, horizon, 20), horizon)
    assert ((bands.upper - bands.lower) > 2 * errors).all()


def test_degrees_of_freedom_by_hand():
    # 39 lags of 200 sessions: 1.5 × 200 / 40; of a series with 100 values half as many.
    assert statistics.degrees_of_freedom([200, 100, 0], 200, 20).tolist() == [7.5, 3.75, 1.0]


def test_missing_sessions_count_as_no_deviation():
    series = autocorrelated(300, 1)
    with_gaps = np.insert(series, [50, 120, 120, 200], np.nan, axis=0)
    error = statistics.newey_west_errors(with_gaps, 1)
    assert error == pytest.approx(statistics.newey_west_errors(series, 1), rel=0.05)
    assert error < 3 * series.std() / np.sqrt(300)


def test_a_short_series_has_neither_error_nor_bands():
    series = autocorrelated(19, 1)
    assert np.isnan(statistics.newey_west_errors(series, 1)).all()
    assert np.isnan(statistics.bootstrap_bands(series, 1, 0.95, 50, 7).ratio.lower).all()


def test_bands_of_independent_sessions_are_the_normal_ones():
    series = np.random.default_rng(1).normal(0.02, 0.1, size=(3000, 1))
    bands = statistics.bootstrap_bands(series, 1, 0.9, 2000, 7)
    error = series.std() / np.sqrt(3000)
    assert bands.mean.lower == pytest.approx(series.mean() - stats.norm.ppf(0.95) * error, abs=error / 5)
    assert bands.mean.upper == pytest.approx(series.mean() + stats.norm.ppf(0.95) * error, abs=error / 5)
    # The error of a Sharpe-like ratio of normal values, Lo (2002): sqrt((1 + ratio² / 2) / n).
    ratio = series.mean() / series.std()
    ratio_error = np.sqrt((1 + ratio**2 / 2) / 3000)
    assert bands.ratio.lower == pytest.approx(ratio - stats.norm.ppf(0.95) * ratio_error, abs=ratio_error / 5)


def test_bands_cover_the_truth_as_often_as_they_say_when_sessions_depend_on_each_other():
    series = autocorrelated(500, 400, weight=0.5)
    blocks = statistics.bootstrap_bands(series, 5, 0.9, 400, 7).mean
    covered = np.mean((blocks.lower <= 0.01) & (blocks.upper >= 0.01))
    naive = stats.norm.ppf(0.95) * series.std(axis=0) / np.sqrt(500)
    covered_naively = np.mean(np.abs(series.mean(axis=0) - 0.01) <= naive)
    assert covered == pytest.approx(0.9, abs=0.07)
    assert covered_naively < 0.75


def test_bands_repeat_with_the_seed_and_move_with_it():
    series = autocorrelated(100, 2)
    first, again = (statistics.bootstrap_bands(series, 1, 0.95, 100, 7).ratio for _ in range(2))
    assert np.array_equal(first.lower, again.lower)
    assert not np.array_equal(first.lower, statistics.bootstrap_bands(series, 1, 0.95, 100, 8).ratio.lower)


def test_gaps_only_thin_the_resamples():
    series = autocorrelated(600, 1)
    with_gaps = series.copy()
    with_gaps[::7] = np.nan
    full, thin = (statistics.bootstrap_bands(values, 1, 0.95, 500, 7).mean for values in (series, with_gaps))
    assert thin.lower == pytest.approx(full.lower, abs=0.004)
    assert np.isfinite(thin.upper).all()


def test_resamples_without_any_session_of_a_late_series_do_not_count_as_zero():
    # 20 of 800 sessions have a value: one in thirty resamples draws none of the 28 blocks of 9 with one of them.
    series = np.full((800, 2), np.nan)
    series[-20:] = 0.5 + autocorrelated(20, 2)
    bands = statistics.bootstrap_bands(series, 2, 0.95, 400, 7)
    assert (bands.mean.lower > 0.4).all()
    assert (bands.mean.upper < 0.6).all()
    assert (bands.ratio.lower > 1.0).all()


def test_false_discovery_rates_are_those_of_statsmodels():
    p_values = np.random.default_rng(2).uniform(size=40) ** 3
    expected = multipletests(p_values, method="fdr_by")[1]
    with_gap = np.insert(p_values, 5, np.nan)
    rates = statistics.false_discovery_rates(with_gap)
    assert np.isnan(rates[5])
    assert np.delete(rates, 5) == pytest.approx(expected)
    assert np.isnan(statistics.false_discovery_rates(np.array([np.nan]))).all()


def test_two_sided_p_values_of_known_quantiles():
    """Tables of Student's law: 2.228 at 10 degrees of freedom, 1.960 at very many."""
    p_values = statistics.two_sided_p_values(
        np.array([0.0, 2.228139, -2.228139, 1.959964]), np.array([10, 10, 10, 1e9])
    )
    assert p_values == pytest.approx([1.0, 0.05, 0.05, 0.05])
    bands = statistics.student_bands(np.array([1.0]), np.array([0.5]), 0.95, np.array([10.0]))
    assert [*bands.lower, *bands.upper] == pytest.approx([1 - 0.5 * 2.228139, 1 + 0.5 * 2.228139])
