"""How good a net asset value was: return, Sharpe ratio, drawdown, alpha, … with formulas; whole, by year and by month.

All functions take simple returns per session, in session order; nothing here looks at prices or dates beyond them.
A measure of returns with a missing value is NaN; :func:`report_performance` refuses them.
Annual figures count :data:`~quant_pipeline.market.clock.SESSIONS_PER_YEAR` sessions. The measures shared with
``empyrical`` and ``quantstats`` equal them (``make compare-peers``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.clock import SESSIONS_PER_YEAR, rate_per_session

ROUNDING = 1e-12
"""Part of the largest value by which values differ that are the same but for rounding."""


@dataclass(frozen=True)
class PerformanceReport:
    """Measures of one net asset value.

    Attributes
    ----------
    metrics
        Name to value; fractions, not percents. Those against the benchmark are present only if there is one.
    by_year, by_month
        One row per period: ``return``, ``volatility``, ``max_drawdown``, ``sessions`` and, with a benchmark,
        ``benchmark_return`` and ``excess_return``.
    drawdown
        Distance to the highest value so far in each session, 0 or negative.
    """

    metrics: dict[str, float]
    by_year: pd.DataFrame
    by_month: pd.DataFrame
    drawdown: pd.Series


def report_performance(
    returns: pd.Series,
    benchmark_returns: pd.Series | None = None,
    turnover: pd.Series | None = None,
    costs: pd.Series | None = None,
    risk_free_rate: float = 0.0,
) -> PerformanceReport:
    """Measure one account.

    Parameters
    ----------
    returns
        Net simple returns per session, indexed by session.
    benchmark_returns
        Simple returns of the benchmark; every session of `returns` must be there.
    turnover
        Value bought plus value sold per session as a fraction of the previous net asset value; every session of
        `returns` must be there.
    costs
        Fees plus slippage per session as a fraction of the previous net asset value; every session of `returns` must
        be there.
    risk_free_rate
        Return per year without risk, which Sharpe, Sortino and alpha are measured above; a session's part of it is
        that of `market.clock.rate_per_session`.

    Raises
    ------
    MarketDataError
        If there are no returns, or the account, its benchmark, turnover or costs lack the value of a session.
    """
    metrics = _measure(returns, benchmark_returns, turnover, costs, risk_free_rate)
    if benchmark_returns is not None:
        benchmark_returns = benchmark_returns.reindex(returns.index)
    return PerformanceReport(
        metrics=metrics,
        by_year=by_period(returns, "year", benchmark_returns),
        by_month=by_period(returns, "month", benchmark_returns),
        drawdown=drawdowns(returns),
    )


def measure_performance(
    nav: pd.Series,
    benchmark: pd.Series | None = None,
    turnover: pd.Series | None = None,
    risk_free_rate: float = 0.0,
) -> dict[str, float]:
    """Measure one net asset value against a benchmark value, both as levels.

    Parameters
    ----------
    nav
        Net asset value after each close, indexed by session.
    benchmark
        Value of the benchmark (for example its total-return close) in the same sessions.
    turnover
        As in :func:`report_performance`, for the sessions of `nav`.
    risk_free_rate
        As in :func:`report_performance`.

    Returns
    -------
    dict of str to float
        ``metrics`` of :class:`PerformanceReport`; the first session only starts the returns.
    """
    returns = (nav / nav.shift(1) - 1).iloc[1:]
    benchmark_returns = None if benchmark is None else (benchmark / benchmark.shift(1) - 1).iloc[1:]
    return _measure(returns, benchmark_returns, turnover, None, risk_free_rate)


def _measure(
    returns: pd.Series,
    benchmark_returns: pd.Series | None,
    turnover: pd.Series | None,
    costs: pd.Series | None,
    risk_free_rate: float,
) -> dict[str, float]:
    """Measure the whole span; the arguments are those of :func:`report_performance`."""
    _check_complete(returns, "account has no return")
    metrics = absolute_metrics(returns, risk_free_rate)
    if turnover is not None:
        turnover = turnover.reindex(returns.index)
        _check_complete(turnover, "account has no turnover")
        metrics["annualised_turnover"] = float(turnover.mean() * SESSIONS_PER_YEAR)
    if costs is not None:
        costs = costs.reindex(returns.index)
        _check_complete(costs, "account has no costs")
        metrics["cost_drag"] = cost_drag(returns, costs)
    if benchmark_returns is not None:
        benchmark_returns = benchmark_returns.reindex(returns.index)
        _check_complete(benchmark_returns, "benchmark has no return")
        metrics |= relative_metrics(returns, benchmark_returns, risk_free_rate)
    return metrics


def absolute_metrics(returns: pd.Series, risk_free_rate: float = 0.0) -> dict[str, float]:
    """Measures that need no benchmark; ``risk_free_rate`` is the one they were measured above."""
    return {
        "total_return": total_return(returns),
        "annualised_return": annualised_return(returns),
        "annualised_volatility": annualised_volatility(returns),
        "sharpe": sharpe_ratio(returns, risk_free_rate),
        "sortino": sortino_ratio(returns, risk_free_rate),
        "calmar": calmar_ratio(returns),
        "maximum_drawdown": max_drawdown(returns),
        "longest_drawdown_sessions": longest_drawdown(returns),
        "win_rate": win_rate(returns),
        "profit_factor": profit_factor(returns),
        "sessions": float(len(returns)),
        "risk_free_rate": risk_free_rate,
    }


def relative_metrics(returns: pd.Series, benchmark_returns: pd.Series, risk_free_rate: float = 0.0) -> dict[str, float]:
    """Measures against a benchmark with the same sessions."""
    alpha, beta = alpha_beta(returns, benchmark_returns, risk_free_rate)
    return {
        "benchmark_total_return": total_return(benchmark_returns),
        "benchmark_annualised_return": annualised_return(benchmark_returns),
        "benchmark_maximum_drawdown": max_drawdown(benchmark_returns),
        "annualised_excess_return": annualised_return(returns) - annualised_return(benchmark_returns),
        "tracking_error": annualised_volatility(returns - benchmark_returns),
        "information_ratio": sharpe_ratio(returns - benchmark_returns),
        "alpha": alpha,
        "beta": beta,
    }


def total_return(returns: pd.Series) -> float:
    """Compounded return: ``∏(1 + r) - 1``."""
    return float(np.prod(1 + returns.to_numpy(dtype=np.float64)) - 1)


def annualised_return(returns: pd.Series) -> float:
    """Geometric return per year: ``(1 + total) ^ (252 / sessions) - 1``; -1 once everything is lost, NaN of nothing."""
    if len(returns) == 0:
        return float("nan")
    growth = 1 + total_return(returns)
    return -1.0 if growth <= 0 else float(growth ** (SESSIONS_PER_YEAR / len(returns)) - 1)


def annualised_volatility(returns: pd.Series) -> float:
    """Sample standard deviation (ddof 1) per year: ``σ √252``; NaN below two sessions."""
    return float(returns.std(ddof=1, skipna=False) * np.sqrt(SESSIONS_PER_YEAR))


def sample_deviation(values: pd.Series) -> float:
    """Return the standard deviation (ddof 1): 0 of values that differ by rounding only, NaN where one is missing."""
    known = values.to_numpy(dtype=np.float64)
    if len(known) > 1 and np.ptp(known) <= ROUNDING * np.abs(known).max():
        return 0.0
    return float(values.std(ddof=1, skipna=False))


def sharpe_ratio(returns: pd.Series, risk_free_rate: float = 0.0) -> float:
    """Return per risk above a rate per year: ``mean / σ × √252`` on the arithmetic mean; NaN when nothing varies.

    On returns in excess of a benchmark, which is their own measure of what is free, it is the information ratio.
    """
    excess = returns - rate_per_session(risk_free_rate)
    deviation = sample_deviation(excess)
    return float(excess.mean() / deviation * np.sqrt(SESSIONS_PER_YEAR)) if deviation > 0 else float("nan")


def sortino_ratio(returns: pd.Series, risk_free_rate: float = 0.0) -> float:
    """Return per downside risk above a rate per year: ``mean / √mean(min(r, 0)²) × √252``; NaN without a loss."""
    excess = returns - rate_per_session(risk_free_rate)
    downside = float(np.sqrt(np.mean(np.minimum(excess.to_numpy(dtype=np.float64), 0.0) ** 2)))
    return float(excess.mean() / downside * np.sqrt(SESSIONS_PER_YEAR)) if downside > 0 else float("nan")


def drawdowns(returns: pd.Series) -> pd.Series:
    """Value over the highest value so far, minus 1; the value before the first session counts as 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.cumprod(1 + returns.to_numpy(dtype=np.float64))
        highest = np.maximum(np.maximum.accumulate(value), 1.0)
        return pd.Series(value / highest - 1, index=returns.index, name="drawdown")


def max_drawdown(returns: pd.Series) -> float:
    """Deepest drawdown, 0 or negative."""
    return float(np.minimum(drawdowns(returns).min(skipna=False), 0.0))


def longest_drawdown(returns: pd.Series) -> float:
    """Largest number of consecutive sessions below an earlier high; NaN of nothing."""
    if returns.isna().any() or returns.empty:
        return float("nan")
    # Between two sessions at the height all are below it; so they are before the first and behind the last one.
    at_height = np.flatnonzero(~(drawdowns(returns).to_numpy() < 0))
    return float(np.diff(at_height, prepend=-1, append=len(returns)).max() - 1)


def calmar_ratio(returns: pd.Series) -> float:
    """Annualised return over the deepest drawdown; NaN without a drawdown."""
    deepest = max_drawdown(returns)
    return annualised_return(returns) / -deepest if deepest < 0 else float("nan")


def win_rate(returns: pd.Series) -> float:
    """Sessions with a gain over sessions with a gain or a loss; NaN when nothing moved."""
    values = returns.to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        return float("nan")
    moved = np.count_nonzero(values)
    return float(np.count_nonzero(values > 0) / moved) if moved else float("nan")


def profit_factor(returns: pd.Series) -> float:
    """Sum of gains over sum of losses; NaN without a loss."""
    values = returns.to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        return float("nan")
    lost = -float(values[values < 0].sum())
    return float(values[values > 0].sum() / lost) if lost > 0 else float("nan")


def cost_drag(returns: pd.Series, costs: pd.Series) -> float:
    """Annualised return lost to costs: what the same returns with the costs given back would have made, minus net."""
    return annualised_return(returns + costs) - annualised_return(returns)


def alpha_beta(returns: pd.Series, benchmark_returns: pd.Series, risk_free_rate: float = 0.0) -> tuple[float, float]:
    """Least-squares beta to the benchmark and annualised alpha ``(1 + mean(r - β b)) ^ 252 - 1``.

    Both are of returns above the risk-free rate, given per year.
    """
    free = rate_per_session(risk_free_rate)
    account = returns.to_numpy(dtype=np.float64) - free
    benchmark = benchmark_returns.to_numpy(dtype=np.float64) - free
    deviation = benchmark - benchmark.mean()
    variance = float(np.mean(deviation**2))
    if not sample_deviation(benchmark_returns) > 0:
        return float("nan"), float("nan")
    beta = float(np.mean(deviation * account) / variance)
    alpha = float((1 + np.mean(account - beta * benchmark)) ** SESSIONS_PER_YEAR - 1)
    return alpha, beta


def by_period(
    returns: pd.Series, period: Literal["year", "month"], benchmark_returns: pd.Series | None = None
) -> pd.DataFrame:
    """Measures of each calendar period.

    Parameters
    ----------
    returns
        Returns indexed by session.
    period
        Length of the periods.
    benchmark_returns
        Benchmark with the same sessions.

    Returns
    -------
    pandas.DataFrame
        Indexed by period (``2024`` or ``2024-03``); periods without sessions are absent.
    """
    label = returns.index.strftime("%Y" if period == "year" else "%Y-%m")
    grouped = returns.groupby(pd.Index(label, name="period"))
    table = pd.DataFrame(
        {
            "return": grouped.apply(total_return),
            "volatility": grouped.apply(annualised_volatility),
            "max_drawdown": grouped.apply(max_drawdown),
            "sessions": grouped.size(),
        }
    )
    if benchmark_returns is not None:
        table["benchmark_return"] = benchmark_returns.groupby(pd.Index(label, name="period")).apply(total_return)
        table["excess_return"] = table["return"] - table["benchmark_return"]
    return table


def _check_complete(values: pd.Series, lack: str) -> None:
    """Check that every session has a finite value; `lack` says what the series lacks otherwise."""
    if values.empty:
        raise MarketDataError(f"The {lack} at all. Give at least one session.")
    missing = values.index[~np.isfinite(values.to_numpy(dtype=np.float64))]
    if len(missing):
        raise MarketDataError(f"The {lack} in session {missing[0]}. Complete it or shorten the period.")
