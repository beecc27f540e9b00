"""What other libraries measure of the same data; runs in an environment that has them and not the project.

Where a definition differs it is converted here, and the difference is listed in `DEFINITIONS`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from pathlib import Path

import alphalens
import empyrical
import numpy as np
import pandas as pd
import quantstats
from scipy import stats
from statsmodels.regression.linear_model import OLS

YEAR = 252
DEFINITIONS = [
    "alpha: quantstats multiplies the mean of a session by 252; here it is compounded, as ours and empyrical's.",
    "information ratio: neither peer annualises it; here times √252.",
    "risk-free rate: per year for quantstats and ours, per session for empyrical: (1 + rate)^(1/252) - 1.",
    "Sortino: empyrical takes the rate as the required return.",
    "longest drawdown: quantstats counts calendar days; here the sessions between its dates.",
    "returns that follow: alphalens measures from the price of the session itself, ours from the next session's open; "
    "it is given that price.",
    "quantiles: alphalens cuts at interpolated values (pandas.qcut), ours by average rank; the number of instruments "
    "is a multiple of the number of quantiles, where both are the same.",
    "spread: alphalens halves the difference of the quantiles (half of the money on each side); here twice its value.",
    "turnover: alphalens has one per quantile, ours is that of the lowest and the highest together: their mean.",
    "ICIR and share of positive sessions: from the series of alphalens and scipy; ICIR with one degree of freedom.",
    "labels: here in double precision; the factor engine stores them as float32, a relative difference of 6e-8.",
]


def main(folder: Path) -> None:
    """Read the inputs of a folder and write ``theirs.json``."""
    warnings.simplefilter("ignore")
    asked = json.loads((folder / "asked.json").read_text())
    daily = pd.read_parquet(folder / "daily.parquet")
    prices = pd.read_parquet(folder / "prices.parquet")
    factors = {name: pd.read_parquet(folder / f"{name}.parquet") for name in asked["factors"]}
    theirs = {
        "empyrical": _by_empyrical(daily, asked["risk_free_rates"]),
        "quantstats": _by_quantstats(daily, asked["risk_free_rates"]),
        "alphalens": {},
        "scipy": _by_scipy(factors, prices, asked["horizons"]),
    }
    for name, table in factors.items():
        theirs["alphalens"] |= _by_alphalens(name, table, prices, asked["horizons"], asked["quantiles"])
    theirs["scipy"] |= _ragged(pd.read_parquet(folder / "ragged.parquet"), prices)
    theirs["statsmodels"] = _by_statsmodels(theirs["scipy"], asked["horizons"])
    versions = {
        "empyrical": empyrical.__version__,
        "quantstats": quantstats.__version__,
        "alphalens": alphalens.__version__,
    }
    (folder / "theirs.json").write_text(
        json.dumps({"measures": theirs, "definitions": DEFINITIONS, "versions": versions})
    )


def _by_empyrical(daily: pd.DataFrame, rates: list[float]) -> dict:
    account, benchmark, costs = daily["account"], daily["benchmark"], daily["cost_share"]
    measures = {}
    for rate in rates:
        free = _free(rate)
        alpha, beta = empyrical.alpha_beta(account, benchmark, risk_free=free)
        yearly = empyrical.annual_return(account)
        found = {
            "total_return": empyrical.cum_returns_final(account),
            "annualised_return": yearly,
            "annualised_volatility": empyrical.annual_volatility(account),
            "sharpe": empyrical.sharpe_ratio(account, risk_free=free),
            "sortino": empyrical.sortino_ratio(account, required_return=free),
            "calmar": empyrical.calmar_ratio(account),
            "maximum_drawdown": empyrical.max_drawdown(account),
            "cost_drag": empyrical.annual_return(account + costs) - yearly,
            "benchmark_total_return": empyrical.cum_returns_final(benchmark),
            "benchmark_annualised_return": empyrical.annual_return(benchmark),
            "benchmark_maximum_drawdown": empyrical.max_drawdown(benchmark),
            "annualised_excess_return": yearly - empyrical.annual_return(benchmark),
            "tracking_error": empyrical.annual_volatility(account - benchmark),
            "information_ratio": empyrical.excess_sharpe(account, benchmark) * np.sqrt(YEAR),
            "alpha": alpha,
            "beta": beta,
        }
        measures |= {f"account, {rate:.0%} free: {name}": float(value) for name, value in found.items()}
    for side, returns in (("return", account), ("benchmark_return", benchmark)):
        for period, word in (("year", "yearly"), ("month", "monthly")):
            measures[f"account: {side} by {period}"] = empyrical.aggregate_returns(returns, word).tolist()
    return measures


def _by_quantstats(daily: pd.DataFrame, rates: list[float]) -> dict:
    account, benchmark = daily["account"], daily["benchmark"]
    measures = {}
    drawdown = quantstats.stats.to_drawdown_series(account)
    details = quantstats.stats.drawdown_details(drawdown)
    sessions = [((daily.index >= row.start) & (daily.index <= row.end)).sum() for row in details.itertuples()]
    for rate in rates:
        greeks = quantstats.stats.greeks(account - _free(rate), benchmark - _free(rate), periods=1)
        found = {
            "total_return": quantstats.stats.comp(account),
            "annualised_return": quantstats.stats.cagr(account, periods=YEAR),
            "annualised_volatility": quantstats.stats.volatility(account, periods=YEAR),
            "sharpe": quantstats.stats.sharpe(account, rf=rate, periods=YEAR),
            "sortino": quantstats.stats.sortino(account, rf=rate, periods=YEAR),
            "calmar": quantstats.stats.calmar(account, periods=YEAR),
            "maximum_drawdown": quantstats.stats.max_drawdown(account),
            "longest_drawdown_sessions": max(sessions),
            "win_rate": quantstats.stats.win_rate(account),
            "profit_factor": quantstats.stats.profit_factor(account),
            "benchmark_total_return": quantstats.stats.comp(benchmark),
            "benchmark_annualised_return": quantstats.stats.cagr(benchmark, periods=YEAR),
            "tracking_error": quantstats.stats.volatility(account - benchmark, periods=YEAR),
            "information_ratio": quantstats.stats.information_ratio(account, benchmark) * np.sqrt(YEAR),
            "alpha": (1 + greeks["alpha"]) ** YEAR - 1,
            "beta": greeks["beta"],
        }
        measures |= {f"account, {rate:.0%} free: {name}": float(value) for name, value in found.items()}
    measures["account: drawdown"] = drawdown.tolist()
    return measures


def _free(rate: float) -> float:
    return (1 + rate) ** (1 / YEAR) - 1


def _by_alphalens(name: str, table: pd.DataFrame, prices: pd.DataFrame, horizons: list[int], quantiles: int) -> dict:
    factor = _long(table)
    data = alphalens.utils.get_clean_factor_and_forward_returns(
        factor, prices[table.columns], quantiles=quantiles, periods=tuple(horizons), max_loss=0.0
    )
    performance = alphalens.performance
    rank_ic = performance.factor_information_coefficient(data).loc[table.index]
    returns, excess = (performance.mean_return_by_quantile(data, demeaned=demeaned)[0] for demeaned in (False, True))
    spread, _ = performance.compute_mean_returns_spread(
        performance.mean_return_by_quantile(data, by_date=True, demeaned=False)[0], quantiles, 1
    )
    turnover = [
        performance.quantile_turnover(data["factor_quantile"], quantile).reindex(table.index)
        for quantile in (1, quantiles)
    ]
    measures = {
        f"{name}: rank autocorrelation": performance.factor_rank_autocorrelation(data).reindex(table.index).tolist(),
        f"{name}: turnover": ((turnover[0] + turnover[1]) / 2).tolist(),
    }
    for index, horizon in enumerate(horizons):
        series = rank_ic.iloc[:, index]
        measures |= {
            f"{name}, {horizon}: rank_ic": series.tolist(),
            f"{name}, {horizon}: mean rank_ic": float(series.mean()),
            f"{name}, {horizon}: mean rank_icir": float(series.mean() / series.std(ddof=1)),
            f"{name}, {horizon}: mean positive_share": float((series > 0).mean()),
            f"{name}, {horizon}: quantile returns": returns.iloc[:, index].tolist(),
            f"{name}, {horizon}: quantile excess": excess.iloc[:, index].tolist(),
            f"{name}, {horizon}: mean spread": float(2 * spread.iloc[:, index].mean()),
        }
    return measures


def _by_scipy(factors: dict[str, pd.DataFrame], prices: pd.DataFrame, horizons: list[int]) -> dict:
    measures = {}
    for name, table in factors.items():
        for horizon in horizons:
            follows = (prices.shift(-horizon) / prices - 1).loc[table.index, table.columns]
            for measure, series in _correlate(table, follows).items():
                measures[f"{name}, {horizon}: {measure}"] = series.tolist()
                measures[f"{name}, {horizon}: mean {measure}"] = float(np.nanmean(series))
                ratio = np.nanmean(series) / np.nanstd(series, ddof=1)
                measures[f"{name}, {horizon}: mean {measure}ir"] = float(ratio)
    return measures


def _ragged(table: pd.DataFrame, prices: pd.DataFrame) -> dict:
    follows = (prices.shift(-1) / prices - 1).loc[table.index, table.columns]
    series = _correlate(table, follows)
    measures = {f"all names: {name}": values.tolist() for name, values in series.items()}
    for name, ratio in (("ic", "icir"), ("rank_ic", "rank_icir")):
        measures[f"all names: {ratio}"] = float(np.nanmean(series[name]) / np.nanstd(series[name], ddof=1))
    measures["all names: positive_share"] = float((series["rank_ic"] > 0).mean())
    return measures


def _correlate(table: pd.DataFrame, follows: pd.DataFrame) -> dict[str, np.ndarray]:
    found = {"ic": np.full(len(table), np.nan), "rank_ic": np.full(len(table), np.nan)}
    for row, (left, right) in enumerate(zip(table.to_numpy(), follows.to_numpy(), strict=True)):
        both = np.isfinite(left) & np.isfinite(right)
        found["ic"][row] = stats.pearsonr(left[both], right[both]).statistic
        found["rank_ic"][row] = stats.spearmanr(left[both], right[both]).statistic
    return found


def _by_statsmodels(series: dict, horizons: list[int]) -> dict:
    """Test means of the series by scipy with errors for heteroscedasticity and autocorrelation."""
    measures = {}
    for name, values in series.items():
        subject, _, measure = name.partition(": ")
        if measure not in ("ic", "rank_ic"):
            continue
        horizon = int(subject.rpartition(", ")[2]) if ", " in subject else 1
        overlap = 2 * horizon - 1 if horizon > 1 else 0
        lags = max(overlap, int(4 * (len(values) / 100) ** (2 / 9)))
        fitted = OLS(np.asarray(values), np.ones(len(values))).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
        if ", " in subject:
            measures[f"{subject}: mean {measure}_t"] = float(fitted.tvalues[0])
        elif measure == "rank_ic":
            measures[f"{subject}: {measure}_t"] = float(fitted.tvalues[0])
    return measures


def _long(table: pd.DataFrame) -> pd.Series:
    index = pd.MultiIndex.from_product([table.index, table.columns], names=["date", "asset"])
    return pd.Series(table.to_numpy().ravel(), index=index)


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # alphalens reports what it drops, which is nothing here.
        main(Path(sys.argv[1]))
