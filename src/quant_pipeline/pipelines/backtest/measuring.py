"""From the result of a backtest to its table and its measures, the same for every pipeline that backtests scores."""

import numpy as np
import pandas as pd

from quant_pipeline.backtest.result import BacktestResult
from quant_pipeline.evaluation.performance import measure_performance


def measure_backtest(
    result: BacktestResult, benchmark: pd.Series, risk_free_rate: float
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Tabulate and measure a backtest.

    Parameters
    ----------
    result
        The backtest.
    benchmark
        Level of the benchmark in its sessions.
    risk_free_rate
        Per year; see `evaluation.performance.report_performance`.

    Returns
    -------
    tuple
        ``date``, ``nav``, ``cash``, ``benchmark`` (from the first cash of the account), ``turnover``, ``cost``; and the
        measures of `evaluation.performance`.
    """
    known = benchmark.to_numpy(dtype=np.float64)
    level = pd.Series(known / known[0] * result.initial_cash, index=result.nav.index)
    nav = pd.DataFrame(
        {
            "date": result.nav.index,
            "nav": result.nav.to_numpy(),
            "cash": result.cash.to_numpy(),
            "benchmark": level.to_numpy(),
            "turnover": result.turnover.to_numpy(),
            "cost": result.fees.to_numpy() + result.slippage.to_numpy(),
        }
    )
    return nav, measure_performance(result.nav, level, result.turnover, risk_free_rate)
