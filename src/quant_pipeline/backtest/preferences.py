"""What target weights are multiplied with, per session and instrument."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.market import MarketArrays, TradingMarket, reference_closes
from quant_pipeline.strategy.rules import StrategyRules

_CELLS_AT_ONCE = 2**22


def sessions_looked_back_over(
    rules: StrategyRules, calendar: pd.DatetimeIndex, first: pd.Timestamp
) -> pd.DatetimeIndex:
    """Return the sessions before the first traded one that a market needs as history.

    All there are, as the daily decision has them, when the strategy weighs by volatility; else none.
    """
    return calendar[calendar < first] if rules.weighs_by_volatility else calendar[:0]


def preferences(market: TradingMarket, rules: StrategyRules) -> npt.NDArray[np.float64]:
    """Return the factor of each instrument's weight, sessions × instruments, known after the close of the session.

    Parameters
    ----------
    market
        The market. Volatilities need `rules.volatility_sessions` sessions of it, or of its history, before they are
        known.
    rules
        The strategy: ones, unless it weighs by inverse volatility.
    """
    if not rules.weighs_by_volatility:
        return np.ones(market.arrays.mark.shape)
    whole = market.history or market
    volatility = realised_volatility(whole.arrays, rules.volatility_sessions)[-len(market.sessions) :]
    with np.errstate(divide="ignore"):
        return np.where(volatility > 0, 1 / volatility, np.nan)


def daily_returns(arrays: MarketArrays) -> npt.NDArray[np.float64]:
    """Return the total return of every session and instrument, NaN before the second close."""
    reference = reference_closes(arrays.mark, arrays.actions)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference > 0, arrays.mark / reference - 1, np.nan)


def realised_volatility(arrays: MarketArrays, n_sessions: int) -> npt.NDArray[np.float64]:
    """Measure the standard deviation of the last `n_sessions` daily total returns, NaN where one is unknown.

    A session without bar counts with a return of zero. Every window is summed afresh, so a value does not depend on
    where the market's history begins.

    Parameters
    ----------
    arrays
        The market.
    n_sessions
        Returns in a window.
    """
    returns = daily_returns(arrays)
    volatility = np.full(returns.shape, np.nan)
    if len(returns) < n_sessions:
        return volatility
    windows = np.lib.stride_tricks.sliding_window_view(returns, n_sessions, axis=0)
    complete = volatility[n_sessions - 1 :]
    # All windows together would take many times the memory of the market.
    step = max(_CELLS_AT_ONCE // windows[0].size, 1)
    for start in range(0, len(windows), step):
        complete[start : start + step] = windows[start : start + step].std(axis=-1, ddof=1)
    return volatility
