"""What target weights are multiplied with, per session and instrument."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.market import MarketArrays, TradingMarket, reference_ticks
from quant_pipeline.strategy.rules import StrategyRules

FloatArray = npt.NDArray[np.float64]
Weigh = Callable[[FloatArray], FloatArray]

_CELLS_AT_ONCE = 2**22


class _Kept(NamedTuple):
    """The factors of a market, and what was asked: how returns are weighed, and how many of them."""

    of: weakref.ref[TradingMarket]
    asked: tuple[Weigh | None, int]
    factors: FloatArray


_kept: dict[int, _Kept] = {}
"""The last factors of each market that is held, by its identity: each of many combinations asks for the same."""


def sessions_looked_back_over(
    rules: StrategyRules, calendar: pd.DatetimeIndex, first: pd.Timestamp
) -> pd.DatetimeIndex:
    """Return the sessions before the first traded one that a market needs as history.

    All there are, as the daily decision has them, when the strategy weighs by past returns; else none.
    """
    return calendar[calendar < first] if rules.weighs_by_returns else calendar[:0]


def preferences(market: TradingMarket, rules: StrategyRules) -> FloatArray:
    """Return the factor of each instrument's weight, sessions × instruments, known after the close of the session.

    Backtests of one market and strategy share them: do not write to them.

    Parameters
    ----------
    market
        The market. Weights that depend on returns need `rules.weight_sessions` sessions of it, or of its history,
        before they are known.
    rules
        The strategy: ones, unless it weighs by past returns.

    Raises
    ------
    StrategyError
        When the weighting returns something else than one factor per session and instrument.
    """
    weigh = rules.weighting.of_returns if rules.weighs_by_returns else None
    asked, kept = (weigh, rules.weight_sessions), _kept.get(id(market))
    if kept is None or kept.of() is not market or kept.asked != asked:
        forget = partial(_kept.pop, id(market), None)
        kept = _Kept(weakref.ref(market, lambda _: forget()), asked, _preferences(market, *asked))
        _kept[id(market)] = kept
    return kept.factors


def _preferences(market: TradingMarket, weigh: Weigh | None, n_sessions: int) -> FloatArray:
    if weigh is None:
        return np.ones(market.arrays.mark.shape)
    whole = market.history or market
    factors = over_windows(daily_returns(whole.arrays), n_sessions, weigh)
    return factors[-len(market.sessions) :]


def newest_preferences(market: TradingMarket, rules: StrategyRules) -> FloatArray:
    """Return the last row of `preferences`, one factor for each instrument, without computing the others."""
    weigh = rules.weighting.of_returns
    if weigh is None or not rules.weighs_by_returns:
        return np.ones(len(market.instruments))
    returns = daily_returns((market.history or market).arrays)
    newest: FloatArray = over_windows(returns[-rules.weight_sessions :], rules.weight_sessions, weigh)[-1]
    return newest


def daily_returns(arrays: MarketArrays) -> FloatArray:
    """Return the total return of every session and instrument, NaN before the second close."""
    reference = reference_ticks(arrays.mark, arrays.actions)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(reference > 0, arrays.mark / reference - 1, np.nan)


def over_windows(
    returns: FloatArray,
    n_sessions: int,
    weigh: Weigh,
) -> FloatArray:
    """Compute a factor of every session and instrument from its last `n_sessions` returns, NaN where there are fewer.

    Every window is computed afresh, so a value does not depend on where the market's history begins.

    Parameters
    ----------
    returns
        Sessions × instruments; a session without bar counts with a return of zero, an unknown return is NaN.
    n_sessions
        Returns in a window.
    weigh
        As `PositionWeighting.of_returns`.
    """
    factors = np.full(returns.shape, np.nan)
    if len(returns) < n_sessions:
        return factors
    windows = np.lib.stride_tricks.sliding_window_view(returns, n_sessions, axis=0)
    complete = factors[n_sessions - 1 :]
    # All windows together would take many times the memory of the market.
    step = max(_CELLS_AT_ONCE // windows[0].size, 1)
    for start in range(0, len(windows), step):
        part = windows[start : start + step]
        given = np.asarray(weigh(part), dtype=np.float64)
        if given.shape != part.shape[:2]:
            raise StrategyError(
                f"the weighting of positions returned an array of shape {given.shape} for windows of {part.shape}; "
                "`of_returns` has to return one factor per session and instrument"
            )
        complete[start : start + step] = given
    return factors
