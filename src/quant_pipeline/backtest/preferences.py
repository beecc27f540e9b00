"""What target weights are multiplied with, per session and instrument."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.backtest.market import MarketArrays, TradingMarket, reference_closes
from quant_pipeline.strategy.rules import StrategyRules


def preferences(market: TradingMarket, rules: StrategyRules) -> npt.NDArray[np.float64]:
    """Return the factor of each instrument's weight, sessions × instruments, known after the close of the session.

    Parameters
    ----------
    market
        The market. Volatilities need `rules.volatility_sessions` sessions of it before they are known.
    rules
        The strategy: ones, unless it weighs by inverse volatility.
    """
    shape = market.arrays.mark.shape
    if rules.method != "target_weights" or rules.weighting != "inverse_volatility":
        return np.broadcast_to(np.ones(shape[1]), shape).copy()
    volatility = realised_volatility(market.arrays, rules.volatility_sessions)
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
    if len(returns) >= n_sessions:
        windows = np.lib.stride_tricks.sliding_window_view(returns, n_sessions, axis=0)
        volatility[n_sessions - 1 :] = windows.std(axis=-1, ddof=1)
    return volatility
