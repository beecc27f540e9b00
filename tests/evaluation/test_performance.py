import empyrical
import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.evaluation import performance
from quant_pipeline.market.clock import rate_per_session

SESSIONS = pd.bdate_range("2022-11-01", periods=400)
RNG = np.random.default_rng(0)
RETURNS = pd.Series(RNG.normal(0.0005, 0.012, 400), index=SESSIONS)
BENCHMARK = pd.Series(RNG.normal(0.0003, 0.01, 400), index=SESSIONS) + 0.3 * RETURNS


def series(*values: float) -> pd.Series:
    return pd.Series(values, index=SESSIONS[: len(values)], dtype="float64")


def test_two_sessions_by_hand():
    returns = series(0.1, -0.1)
    assert performance.total_return(returns) == pytest.approx(-0.01, abs=1e-15)
    assert performance.annualised_return(returns) == pytest.approx(0.99**126 - 1)
    assert performance.annualised_volatility(returns) == pytest.approx(np.sqrt(0.02 * 252))
    assert performance.max_drawdown(returns) == pytest.approx(-0.1)
    assert performance.sortino_ratio(series(0.2, -0.1)) == pytest.approx(0.05 / np.sqrt(0.005) * np.sqrt(252))


def test_first_loss_is_a_drawdown_from_the_initial_value():
    assert performance.max_drawdown(series(-0.2, 0.1)) == pytest.approx(-0.2)


def test_win_rate_ignores_sessions_that_did_not_move():
    assert performance.win_rate(series(0.1, 0.0, -0.1, 0.2)) == pytest.approx(2 / 3)


def test_profit_factor_is_gains_over_losses():
    assert performance.profit_factor(series(0.3, -0.1, 0.1, -0.1)) == pytest.approx(2.0)


def test_longest_drawdown_counts_sessions_below_the_high():
    assert performance.longest_drawdown(series(0.1, -0.1, 0.01, 0.01, 0.5, -0.1)) == 3
    assert performance.longest_drawdown(series(-0.1, 0.2, 0.1, -0.1, 0.01)) == 2
    assert performance.longest_drawdown(series(-0.1, 0.01, 0.5)) == 2
    assert performance.longest_drawdown(series(-0.1, 0.01)) == 2
    assert performance.longest_drawdown(series(0.1, 0.0, 0.1)) == 0
    assert np.isnan(performance.longest_drawdown(series()))


def test_calmar_is_annual_return_over_deepest_loss():
    returns = series(*([0.01] * 126 + [-0.5] + [0.01] * 125))
    assert performance.calmar_ratio(returns) == pytest.approx((1.01**251 * 0.5 - 1) / 0.5)


def test_no_returns_have_no_annual_figures():
    nothing = series()
    for measure in (performance.annualised_return, performance.annualised_volatility, performance.sharpe_ratio):
        assert np.isnan(measure(nothing))
    assert np.isnan(performance.cost_drag(nothing, nothing))


@pytest.mark.parametrize("sessions", [1, 2, 9, 130, 400])
def test_deviations_have_the_bits_of_pandas(sessions):
    returns = RETURNS.iloc[:sessions]
    deviation = returns.std(ddof=1, skipna=False)
    np.testing.assert_array_equal(performance.sample_deviation(returns), deviation)
    np.testing.assert_array_equal(performance.annualised_volatility(returns), deviation * np.sqrt(252))


def test_total_loss_is_minus_one_a_year():
    assert performance.annualised_return(series(0.1, -1.0, 0.3)) == -1.0


@pytest.mark.parametrize("name", ["sharpe_ratio", "sortino_ratio", "calmar_ratio", "profit_factor"])
def test_ratio_without_a_denominator_is_nan(name):
    assert np.isnan(getattr(performance, name)(series(0.0, 0.0, 0.0)))


@pytest.mark.parametrize("value", [0.1, 0.001, -0.0003, 0.0])
@pytest.mark.parametrize("sessions", [3, 7, 60, 252])
def test_what_differs_by_rounding_only_does_not_vary(value, sessions):
    """An account in cash, above a risk-free rate, had a Sharpe ratio of -1e17."""
    constant = series(*[value] * sessions)
    assert np.isnan(performance.sharpe_ratio(constant))
    assert np.isnan(performance.sharpe_ratio(constant, 0.02))
    assert np.isnan(performance.alpha_beta(constant, constant, 0.02)).all()
    tiny = constant.copy()
    tiny.iloc[0] += 1e-9
    assert np.isfinite(performance.sharpe_ratio(tiny))


def test_cost_drag_is_zero_without_costs_and_positive_with_them():
    assert performance.cost_drag(RETURNS, RETURNS * 0) == 0
    assert performance.cost_drag(series(0.0, 0.0), series(0.01, 0.0)) == pytest.approx(1.01**126 - 1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (performance.total_return, empyrical.cum_returns_final),
        (performance.annualised_return, empyrical.annual_return),
        (performance.annualised_volatility, empyrical.annual_volatility),
        (performance.sharpe_ratio, empyrical.sharpe_ratio),
        (performance.sortino_ratio, empyrical.sortino_ratio),
        (performance.calmar_ratio, empyrical.calmar_ratio),
        (performance.max_drawdown, empyrical.max_drawdown),
    ],
)
def test_measure_equals_empyrical(ours, theirs):
    assert ours(RETURNS) == pytest.approx(theirs(RETURNS), rel=1e-12)


def test_alpha_and_beta_equal_empyrical():
    assert performance.alpha_beta(RETURNS, BENCHMARK) == pytest.approx(
        tuple(empyrical.alpha_beta(RETURNS, BENCHMARK)), rel=1e-10
    )


def test_ratios_above_a_risk_free_rate_by_hand():
    rate = 1.01**252 - 1
    assert rate_per_session(rate) == pytest.approx(0.01)
    assert performance.sharpe_ratio(series(0.01, 0.03), rate) == pytest.approx(np.sqrt(0.5) * np.sqrt(252))
    assert performance.sortino_ratio(series(0.04, -0.01), rate) == pytest.approx(0.005 / np.sqrt(0.0002) * np.sqrt(252))


def test_measures_above_a_risk_free_rate_equal_empyrical():
    free = 1.03 ** (1 / 252) - 1
    metrics = performance.report_performance(RETURNS, BENCHMARK, risk_free_rate=0.03).metrics
    assert metrics["risk_free_rate"] == 0.03
    assert metrics["sharpe"] == pytest.approx(empyrical.sharpe_ratio(RETURNS, risk_free=free), rel=1e-12)
    assert metrics["sortino"] == pytest.approx(empyrical.sortino_ratio(RETURNS, required_return=free), rel=1e-12)
    assert (metrics["alpha"], metrics["beta"]) == pytest.approx(
        tuple(empyrical.alpha_beta(RETURNS, BENCHMARK, risk_free=free)), rel=1e-10
    )


def test_no_risk_free_rate_changes_no_bit():
    with_zero = performance.report_performance(RETURNS, BENCHMARK, risk_free_rate=0.0).metrics
    assert with_zero["sharpe"] == float(RETURNS.mean() / RETURNS.std(ddof=1) * np.sqrt(252))
    assert with_zero["information_ratio"] == performance.sharpe_ratio(RETURNS - BENCHMARK)


def test_relative_measures_of_an_account_that_beats_by_a_constant():
    metrics = performance.relative_metrics(BENCHMARK + 0.001, BENCHMARK)
    assert metrics["tracking_error"] == pytest.approx(0, abs=1e-12)
    assert metrics["beta"] == pytest.approx(1)
    assert metrics["alpha"] == pytest.approx(1.001**252 - 1)


def test_information_ratio_is_the_sharpe_ratio_of_the_excess():
    metrics = performance.relative_metrics(RETURNS, BENCHMARK)
    assert metrics["information_ratio"] == pytest.approx(empyrical.sharpe_ratio(RETURNS - BENCHMARK), rel=1e-12)


def test_years_and_months_compound_to_the_total():
    report = performance.report_performance(RETURNS, BENCHMARK, turnover=RETURNS.abs(), costs=RETURNS.abs() / 100)
    assert list(report.by_year.index) == ["2022", "2023", "2024"]
    assert report.by_month.index[0] == "2022-11"
    for table in (report.by_year, report.by_month):
        assert (1 + table["return"]).prod() - 1 == pytest.approx(report.metrics["total_return"])
        assert table["sessions"].sum() == 400
        assert (1 + table["benchmark_return"]).prod() - 1 == pytest.approx(report.metrics["benchmark_total_return"])
    assert report.by_year.loc["2023", "return"] == pytest.approx(empyrical.cum_returns_final(RETURNS["2023"]))
    assert report.metrics["annualised_turnover"] == pytest.approx(RETURNS.abs().mean() * 252)
    assert report.metrics["cost_drag"] > 0
    assert report.drawdown.min() == report.metrics["maximum_drawdown"]


def test_report_without_benchmark_has_no_relative_measures():
    assert "beta" not in performance.report_performance(RETURNS).metrics


def test_benchmark_that_lacks_a_session_is_an_error():
    with pytest.raises(MarketDataError, match="benchmark has no return in session 2022-11-04"):
        performance.report_performance(RETURNS, BENCHMARK.drop(SESSIONS[3]))


def test_empty_returns_are_an_error():
    with pytest.raises(MarketDataError, match="account has no return at all"):
        performance.report_performance(series())


def test_levels_measure_the_same_as_their_returns():
    nav = pd.Series([100.0, 110.0, 99.0], index=SESSIONS[:3])
    metrics = performance.measure_performance(nav, pd.Series([50.0, 50.0, 55.0], index=SESSIONS[:3]))
    assert metrics["total_return"] == pytest.approx(-0.01)
    assert metrics["maximum_drawdown"] == pytest.approx(-0.1)
    assert metrics["benchmark_total_return"] == pytest.approx(0.1)
    assert metrics["sessions"] == 2


@pytest.mark.parametrize("place", [0, 2, 3])
@pytest.mark.parametrize("name", sorted(performance.absolute_metrics(RETURNS).keys() - {"sessions", "risk_free_rate"}))
def test_a_missing_return_never_becomes_a_number(name, place):
    returns = series(0.02, -0.01, 0.03, -0.02)
    assert np.isfinite(performance.absolute_metrics(returns)[name])
    returns.iloc[place] = np.nan
    assert np.isnan(performance.absolute_metrics(returns)[name])


def test_cost_drag_of_a_missing_cost_is_missing():
    assert np.isnan(performance.cost_drag(series(0.01, 0.02), series(np.nan, 0.001)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("argument", "lack"),
    [
        ("benchmark_returns", "benchmark has no return"),
        ("turnover", "account has no turnover"),
        ("costs", "account has no costs"),
    ],
)
def test_a_gap_in_what_belongs_to_the_returns_is_refused_with_its_session(argument, lack, value):
    gap = series(0.1, value, 0.1)
    with pytest.raises(MarketDataError, match=f"{lack} in session 2022-11-02"):
        performance.report_performance(series(0.01, 0.02, 0.03), **{argument: gap})
    with pytest.raises(MarketDataError, match=f"{lack} in session 2022-11-03"):
        performance.report_performance(series(0.01, 0.02, 0.03), **{argument: series(0.1, 0.1)})


def test_levels_are_compared_session_by_session_whatever_their_order():
    nav, benchmark = (1 + RETURNS).cumprod(), (1 + BENCHMARK).cumprod()
    traded = pd.Series(np.where(np.arange(400) == 7, 0.9, 0.1), index=SESSIONS)
    expected = performance.measure_performance(nav, benchmark, traded)
    # More sessions, and another order, than the account has.
    longer = pd.concat([pd.Series(5.0, index=[SESSIONS[0] - pd.Timedelta(days=1)]), benchmark])
    assert performance.measure_performance(nav, longer, traded.iloc[::-1]) == expected


@pytest.mark.parametrize("which", ["nav", "benchmark", "turnover"])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_level_that_has_a_session_twice_is_refused(which, place):
    days = pd.bdate_range("2024-01-02", periods=4)
    given = {
        "nav": pd.Series([100.0, 110.0, 99.0, 99.0], index=days),
        "benchmark": pd.Series([10.0, 11.0, 9.0, 9.0], index=days),
        "turnover": pd.Series([0.0, 1.0, 0.5, 0.0], index=days),
    }
    assert performance.measure_performance(**given)
    given[which] = given[which].iloc[[*range(4), place]].sort_index()
    with pytest.raises(MarketDataError, match=rf"^Session {days[place]:%Y-%m-%d} has two values\. Give one"):
        performance.measure_performance(**given)


def test_turnover_per_year_is_over_the_sessions_that_have_a_return():
    days = pd.bdate_range("2024-01-02", periods=4)
    nav = pd.Series([100.0, 110.0, 99.0, 99.0], index=days)
    # The first session only decides: nothing is traded in it, and it has no return.
    turnover = pd.Series([0.0, 1.0, 0.5, 0.0], index=days)
    assert performance.measure_performance(nav, turnover=turnover)["annualised_turnover"] == pytest.approx(126.0)
