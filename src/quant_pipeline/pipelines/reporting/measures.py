"""Compute: tables that the report shows and no earlier stage has made. Every function takes and returns frames."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from quant_pipeline.common.json_files import parse_json
from quant_pipeline.evaluation import performance
from quant_pipeline.evaluation.information_coefficient import rank_ic_t, summarise
from quant_pipeline.market.quality import effect_rank

logger = logging.getLogger(__name__)

ROLLING_SESSIONS = 60
"""Sessions of the rolling mean of rank ICs, about a quarter."""

BEST_LIVE = 5
"""Instruments with the highest live scores that are named."""

MONTHS = [pd.Timestamp(2000, month, 1).strftime("%b") for month in range(1, 13)]


def session_returns(values: pd.Series) -> pd.Series:
    """Return simple returns of a value per session; the first session only starts them."""
    return (values / values.shift(1) - 1).iloc[1:]


def compare_measures(backtest_nav: pd.DataFrame, backtest_performance: Mapping[str, float | None]) -> pd.DataFrame:
    """Set the measures of the strategy beside those of the benchmark.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``, ``cost``.
    backtest_performance
        Measures of the strategy. ``cost_drag`` is computed from ``cost`` when it is not there. The benchmark is
        measured above the same ``risk_free_rate``.

    Returns
    -------
    pandas.DataFrame
        Indexed by measure: ``strategy``, ``benchmark``; a measure that does not apply is missing.
    """
    strategy = pd.Series(dict(backtest_performance), dtype="float64")
    if len(backtest_nav) < 2:
        return pd.DataFrame({"strategy": strategy, "benchmark": np.nan})
    levels = backtest_nav.set_index("date")
    if "cost_drag" not in strategy:
        costs = (levels["cost"] / levels["nav"].shift(1)).iloc[1:]
        strategy["cost_drag"] = performance.cost_drag(session_returns(levels["nav"]), costs)
    free = float(strategy.get("risk_free_rate", 0.0))
    benchmark = pd.Series(performance.absolute_metrics(session_returns(levels["benchmark"]), free))
    return pd.DataFrame({"strategy": strategy, "benchmark": benchmark})


def monthly_returns(backtest_nav: pd.DataFrame) -> pd.DataFrame:
    """Compound the returns of every month and year.

    Returns
    -------
    pandas.DataFrame
        Indexed by year, newest first: ``Jan`` … ``Dec``, ``strategy``, ``benchmark``, ``excess`` (of the year);
        fractions, missing where there was no session. The first and the last year may be partial.
    """
    levels = backtest_nav.set_index("date")
    returns, reference = session_returns(levels["nav"]), session_returns(levels["benchmark"])
    if returns.empty:
        return pd.DataFrame(columns=[*MONTHS, "strategy", "benchmark", "excess"], dtype="float64")
    monthly = performance.by_period(returns, "month")["return"]
    month = pd.PeriodIndex(monthly.index, freq="M")
    table = monthly.groupby([month.year, month.month]).first().unstack().reindex(columns=range(1, 13))
    table.columns = pd.Index(MONTHS)
    yearly = performance.by_period(returns, "year", reference)
    for name, column in (("strategy", "return"), ("benchmark", "benchmark_return"), ("excess", "excess_return")):
        table[name] = yearly[column].to_numpy()
    return table.rename_axis("year").sort_index(ascending=False)


def yearly_costs(backtest_nav: pd.DataFrame) -> pd.DataFrame:
    """Sum turnover and costs by calendar year.

    Returns
    -------
    pandas.DataFrame
        ``year``, newest first; ``turnover`` (value bought plus sold over net asset value, summed), ``cost``,
        ``cost_share`` (cost over the mean net asset value), ``sessions``.
    """
    years = backtest_nav.groupby(backtest_nav["date"].dt.year.rename("year"))
    table = years.agg(turnover=("turnover", "sum"), cost=("cost", "sum"), nav=("nav", "mean"), sessions=("nav", "size"))
    table["cost_share"] = table["cost"] / table["nav"]
    return table.drop(columns="nav").sort_index(ascending=False).reset_index()


def order_outcomes(backtest_trades: pd.DataFrame) -> pd.DataFrame:
    """Count how the orders of the backtest ended.

    Returns
    -------
    pandas.DataFrame
        ``status``, ``message``, ``orders``, ``share`` (of all orders), most frequent first.
    """
    counts = backtest_trades.groupby(["status", "message"], as_index=False).agg(orders=("status", "size"))
    counts["share"] = counts["orders"] / counts["orders"].sum()
    return counts.sort_values(["orders", "status", "message"], ascending=[False, True, True], ignore_index=True)


def information_table(ic_series: pd.DataFrame) -> pd.DataFrame:
    """Summarise the coefficients of every model, best rank IC first and the fused score last.

    Returns
    -------
    pandas.DataFrame
        ``model``, then the keys of `evaluation.information_coefficient.summarise`.
    """
    rows = []
    for model, series in ic_series.groupby("model"):
        coefficients = series[["ic", "rank_ic"]]
        rows.append({"model": model, **summarise(coefficients)})
    table = pd.DataFrame(rows).sort_values("rank_ic", ascending=False, ignore_index=True)
    fused = table["model"] == "fused"
    return pd.concat([table[~fused], table[fused]], ignore_index=True)


def rank_ic_tests(ic_series: pd.DataFrame, horizon: int) -> dict[str, float]:
    """Test the mean rank IC of every model against zero, see `evaluation.information_coefficient.rank_ic_t`."""
    return {str(model): rank_ic_t(series, horizon) for model, series in ic_series.groupby("model")}


def coefficients_by_model(ic_series: pd.DataFrame) -> pd.DataFrame:
    """Arrange rank ICs as ``date × model`` in the order of :func:`information_table`; unknown ones are missing."""
    wide = ic_series.pivot(index="date", columns="model", values="rank_ic").sort_index()
    return wide[information_table(ic_series)["model"].tolist()]


def order_totals(orders: pd.DataFrame) -> dict[str, tuple[int, float]]:
    """Count and value the orders of each side: ``sell``, ``buy``, ``hold``."""
    if orders.empty:
        return dict.fromkeys(("sell", "buy", "hold"), (0, 0.0))
    values = orders.groupby("side")["estimated_value"].agg(["size", "sum"])
    return {
        side: (int(values.loc[side, "size"]), float(values.loc[side, "sum"])) if side in values.index else (0, 0.0)
        for side in ("sell", "buy", "hold")
    }


def findings_by_check(data_quality: pd.DataFrame) -> pd.DataFrame:
    """Count findings by severity and check, errors first, then by what they can do to returns.

    Returns
    -------
    pandas.DataFrame
        ``severity``, ``check``, ``findings``, ``instruments`` (how many), ``first``, ``last`` (dates).
    """
    counts = data_quality.groupby(["severity", "check"], as_index=False).agg(
        findings=("check", "size"), instruments=("instrument", "nunique"), first=("date", "min"), last=("date", "max")
    )
    counts["is_error"] = counts["severity"] == "error"
    counts["rank"] = counts["check"].map(effect_rank)
    order = ["is_error", "severity", "rank", "check"]
    counts = counts.sort_values(order, ascending=[False, True, True, True], ignore_index=True)
    return counts.drop(columns=["is_error", "rank"])


def values_of_combinations(combination_nav: pd.DataFrame) -> pd.DataFrame:
    """Arrange net asset values as sessions × combinations, in the order in which they are configured."""
    order = list(dict.fromkeys(combination_nav["combination"]))
    return combination_nav.pivot(index="date", columns="combination", values="nav")[order]


def correlation_of_combinations(combination_nav: pd.DataFrame) -> pd.DataFrame:
    """Correlate the daily returns of the combinations; missing where one never moves."""
    return values_of_combinations(combination_nav).pct_change().corr().rename_axis(columns=None)


def live_scores_table(text: str | None, session: pd.Timestamp) -> pd.DataFrame:
    """Return the live scores of a session by model.

    Parameters
    ----------
    text
        What the process that watches the market has written, JSON: ``session``, ``at``, and by model ``bundle`` and
        ``scores``; None without one.
    session
        The session; scores of another one are none.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``bundle``, ``at`` (UTC), ``instruments`` (how many), ``best`` (the highest `BEST_LIVE` with their
        scores); empty when there are none, or the text cannot be read, which is logged.
    """
    columns = ["model", "bundle", "at", "instruments", "best"]
    try:
        found = {} if text is None else parse_json(text)
    except ValueError as error:
        logger.warning("the live scores cannot be read and are left out: %s", error)
        found = {}
    if not isinstance(found, dict) or found.get("session") != f"{session:%Y-%m-%d}":
        return pd.DataFrame(columns=columns)
    rows = []
    for model, said in sorted(found["models"].items()):
        scores = pd.Series(said["scores"], dtype="float64").sort_values(ascending=False, kind="stable")
        best = ", ".join(f"{name} {score:.4f}" for name, score in scores.head(BEST_LIVE).items())
        rows.append((model, said["bundle"], pd.Timestamp(found["at"]), len(scores), best))
    return pd.DataFrame(rows, columns=columns)
