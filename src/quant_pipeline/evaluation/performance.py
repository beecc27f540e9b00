"""How good a net asset value was: return, Sharpe ratio, drawdown, alpha, … with formulas; whole, by year and by month.

All functions take simple returns per session, in session order; nothing here looks at prices or dates beyond them.
A measure of returns with a missing value is NaN; :func:`report_performance` refuses them.
Annual figures count :data:`~quant_pipeline.market.clock.SESSIONS_PER_YEAR` sessions. The measures shared with
``empyrical`` and ``quantstats`` equal them (``make compare-peers``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.clock import SESSIONS_PER_YEAR, rate_per_session

Values = npt.NDArray[np.float64]
Returns: TypeAlias = pd.Series | Values

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
        If there are no returns, or the account, its benchmark, turnover or costs lack the value of a session, or have
        two.
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

    Raises
    ------
    MarketDataError
        As :func:`report_performance`, also when a level has a session twice.
    """
    benchmark_returns = None if benchmark is None else _returns_of(benchmark)
    if turnover is not None and turnover.index.equals(nav.index):
        turnover = turnover.iloc[1:]
    return _measure(_returns_of(nav), benchmark_returns, turnover, None, risk_free_rate)


def _returns_of(level: pd.Series) -> pd.Series:
    _require_once(level.index)
    values = level.to_numpy(dtype=np.float64)
    # As pandas says of a level of zero.
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.Series(values[1:] / values[:-1] - 1, index=level.index[1:])


def _measure(
    returns: pd.Series,
    benchmark_returns: pd.Series | None,
    turnover: pd.Series | None,
    costs: pd.Series | None,
    risk_free_rate: float,
) -> dict[str, float]:
    """Measure the whole span; the arguments are those of :func:`report_performance`."""
    # Measures of some thousand numbers are many short calls, and take pandas four times as long as NumPy.
    _require_once(returns.index)
    sessions, own = returns.index, _complete(returns, returns.index, "account has no return")
    metrics = absolute_metrics(own, risk_free_rate)
    if turnover is not None:
        traded = _complete(turnover, sessions, "account has no turnover")
        metrics["annualised_turnover"] = float(traded.mean() * SESSIONS_PER_YEAR)
    if costs is not None:
        metrics["cost_drag"] = cost_drag(own, _complete(costs, sessions, "account has no costs"))
    if benchmark_returns is not None:
        benchmark = _complete(benchmark_returns, sessions, "benchmark has no return")
        metrics |= relative_metrics(own, benchmark, risk_free_rate)
    return metrics


def absolute_metrics(returns: Returns, risk_free_rate: float = 0.0) -> dict[str, float]:
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


def relative_metrics(returns: Returns, benchmark_returns: Returns, risk_free_rate: float = 0.0) -> dict[str, float]:
    """Measures against a benchmark with the same sessions."""
    alpha, beta = alpha_beta(returns, benchmark_returns, risk_free_rate)
    excess = _values(returns) - _values(benchmark_returns)
    return {
        "benchmark_total_return": total_return(benchmark_returns),
        "benchmark_annualised_return": annualised_return(benchmark_returns),
        "benchmark_maximum_drawdown": max_drawdown(benchmark_returns),
        "annualised_excess_return": annualised_return(returns) - annualised_return(benchmark_returns),
        "tracking_error": annualised_volatility(excess),
        "information_ratio": sharpe_ratio(excess),
        "alpha": alpha,
        "beta": beta,
    }


def total_return(returns: Returns) -> float:
    """Compounded return: ``∏(1 + r) - 1``."""
    return float(np.prod(1 + _values(returns)) - 1)


def annualised_return(returns: Returns) -> float:
    """Geometric return per year: ``(1 + total) ^ (252 / sessions) - 1``; -1 once everything is lost, NaN of nothing."""
    if len(returns) == 0:
        return float("nan")
    growth = 1 + total_return(returns)
    return -1.0 if growth <= 0 else float(growth ** (SESSIONS_PER_YEAR / len(returns)) - 1)


def annualised_volatility(returns: Returns) -> float:
    """Sample standard deviation (ddof 1) per year: ``σ √252``; NaN below two sessions."""
    return float(_deviation(_values(returns)) * np.sqrt(SESSIONS_PER_YEAR))


def sample_deviation(values: Returns) -> float:
    """Return the standard deviation (ddof 1): 0 of values that differ by rounding only, NaN where one is missing."""
    known = _values(values)
    if len(known) > 1 and np.ptp(known) <= ROUNDING * np.abs(known).max():
        return 0.0
    return _deviation(known)


def _deviation(values: Values) -> float:
    """Return the standard deviation (ddof 1) with the bits of pandas; NaN of less than two values."""
    with np.errstate(invalid="ignore"):
        return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def sharpe_ratio(returns: Returns, risk_free_rate: float = 0.0) -> float:
    """Return per risk above a rate per year: ``mean / σ × √252`` on the arithmetic mean; NaN when nothing varies.

    On returns in excess of a benchmark, which is their own measure of what is free, it is the information ratio.
    """
    excess = _values(returns) - rate_per_session(risk_free_rate)
    deviation = sample_deviation(excess)
    return float(excess.mean() / deviation * np.sqrt(SESSIONS_PER_YEAR)) if deviation > 0 else float("nan")


def sortino_ratio(returns: Returns, risk_free_rate: float = 0.0) -> float:
    """Return per downside risk above a rate per year: ``mean / √mean(min(r, 0)²) × √252``; NaN without a loss."""
    excess = _values(returns) - rate_per_session(risk_free_rate)
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    return float(excess.mean() / downside * np.sqrt(SESSIONS_PER_YEAR)) if downside > 0 else float("nan")


def drawdowns(returns: pd.Series) -> pd.Series:
    """Value over the highest value so far, minus 1; the value before the first session counts as 1."""
    return pd.Series(_drawdowns(_values(returns)), index=returns.index, name="drawdown")


def _drawdowns(returns: Values) -> Values:
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.cumprod(1 + returns)
        return value / np.maximum(np.maximum.accumulate(value), 1.0) - 1


def max_drawdown(returns: Returns) -> float:
    """Deepest drawdown, 0 or negative; NaN of nothing."""
    return float(np.minimum(_drawdowns(_values(returns)).min(), 0.0)) if len(returns) else float("nan")


def longest_drawdown(returns: Returns) -> float:
    """Largest number of consecutive sessions below an earlier high; NaN of nothing."""
    values = _values(returns)
    if np.isnan(values).any() or not len(values):
        return float("nan")
    # Between two sessions at the height all are below it; so they are before the first and behind the last one.
    at_height = np.flatnonzero(~(_drawdowns(values) < 0))
    return float(np.diff(at_height, prepend=-1, append=len(values)).max() - 1)


def calmar_ratio(returns: Returns) -> float:
    """Annualised return over the deepest drawdown; NaN without a drawdown."""
    deepest = max_drawdown(returns)
    return annualised_return(returns) / -deepest if deepest < 0 else float("nan")


def win_rate(returns: Returns) -> float:
    """Sessions with a gain over sessions with a gain or a loss; NaN when nothing moved."""
    values = _values(returns)
    if np.isnan(values).any():
        return float("nan")
    moved = np.count_nonzero(values)
    return float(np.count_nonzero(values > 0) / moved) if moved else float("nan")


def profit_factor(returns: Returns) -> float:
    """Sum of gains over sum of losses; NaN without a loss."""
    values = _values(returns)
    if np.isnan(values).any():
        return float("nan")
    lost = -float(values[values < 0].sum())
    return float(values[values > 0].sum() / lost) if lost > 0 else float("nan")


def cost_drag(returns: Returns, costs: Returns) -> float:
    """Annualised return lost to costs: what the same returns with the costs given back would have made, minus net."""
    return annualised_return(_values(returns) + _values(costs)) - annualised_return(returns)


def alpha_beta(returns: Returns, benchmark_returns: Returns, risk_free_rate: float = 0.0) -> tuple[float, float]:
    """Least-squares beta to the benchmark and annualised alpha ``(1 + mean(r - β b)) ^ 252 - 1``.

    Both are of returns above the risk-free rate, given per year.
    """
    free = rate_per_session(risk_free_rate)
    account, benchmark = _values(returns) - free, _values(benchmark_returns) - free
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


def _values(returns: Returns) -> Values:
    return np.asarray(returns, dtype=np.float64)


def _require_once(sessions: pd.Index) -> None:
    if not sessions.is_unique:
        twice = str(sessions[sessions.duplicated()][0])[:10]
        raise MarketDataError(f"Session {twice} has two values. Give one for each session.")


def _complete(values: pd.Series, sessions: pd.Index, lack: str) -> Values:
    """Return the finite value of every session; `lack` says what the series lacks otherwise."""
    if not len(sessions):
        raise MarketDataError(f"The {lack} at all. Give at least one session.")
    if not values.index.equals(sessions):
        _require_once(values.index)
        values = values.reindex(sessions)
    found = _values(values)
    missing = sessions[~np.isfinite(found)]
    if len(missing):
        raise MarketDataError(f"The {lack} in session {missing[0]}. Complete it or shorten the period.")
    return found
