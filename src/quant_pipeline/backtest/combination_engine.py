"""Exact backtests of very many combinations of models: the search runs the backtest itself, no approximation of it.

Memory does not grow with sessions × combinations: an account leaves a row of figures and sums per period, no curve.
:func:`~quant_pipeline.backtest.array_engine.run_backtest` on :func:`fuse_equally` gives the curve of a chosen one, to
the cent the same account.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest import combination_kernels as kernels
from quant_pipeline.backtest.combination_kernels import CombinationArrays
from quant_pipeline.backtest.session_loop import run_sessions
from quant_pipeline.backtest.session_step import Records, run_of
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.common.progress import track
from quant_pipeline.common.tasks import run_tasks
from quant_pipeline.exchange.account_arrays import FEES, SLIPPAGE
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import TICKS_PER_UNIT, cash_to_ticks
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.market.clock import SESSIONS_PER_YEAR, rate_per_session
from quant_pipeline.strategy.rules import StrategyRules

Combination = tuple[int, ...]

_ACCOUNTS_PER_BLOCK = 128
_NO_ROWS = np.empty((0, 0), dtype=np.int64)
_NO_RECORDS = Records(_NO_ROWS, _NO_ROWS, _NO_ROWS, _NO_ROWS)


FIGURES = (
    "total_return",
    "annualised_return",
    "annualised_volatility",
    "sharpe",
    "excess_sharpe",
    "maximum_drawdown",
    "annualised_turnover",
    "fees",
    "slippage",
    "mean_held",
    "final_value",
)
"""Figures of a combination, over the sessions that have a return: all but the first, see `BacktestResult.returns`.

``excess_sharpe`` is the information ratio when a benchmark is given.
"""


class CombinationBlock(NamedTuple):
    """Results of consecutive combinations, as arrays.

    Attributes
    ----------
    first
        Place of the first of them in lexicographic order.
    figures
        Combinations × :data:`FIGURES`.
    period_sums
        Combinations × periods × (sum, sum of squares) of excess returns, for tests on parts of the time; the first
        session is in no sum.
    """

    first: int
    figures: npt.NDArray[np.float64]
    period_sums: npt.NDArray[np.float64]


@dataclass(frozen=True)
class CombinationResults:
    """Results of a search.

    Attributes
    ----------
    combinations
        Model numbers of each combination, in lexicographic order.
    figures
        One row per combination, columns :data:`FIGURES`.
    period_sums
        As in :class:`CombinationBlock`.
    """

    combinations: list[Combination]
    figures: pd.DataFrame
    period_sums: npt.NDArray[np.float64]


@dataclass(frozen=True)
class CombinationSearch:
    """Everything a search over combinations needs.

    Attributes
    ----------
    scores
        Models × sessions × instruments on the market's axes, normalised so that an average makes sense; NaN where a
        model has no score. Known after the close of the session.
    market
        The market and its rules.
    rules, cost_rules
        Strategy and costs.
    initial_cash
        Cash of every account.
    benchmark_returns
        Return of the benchmark per session, of which the first is not used; None compares with zero.
    period_of_session
        Number of the period each session belongs to, from 0; None is one period.
    """

    scores: npt.NDArray[np.float64]
    market: TradingMarket
    rules: StrategyRules
    cost_rules: CostRules
    initial_cash: Decimal | float | int = 1_000_000
    benchmark_returns: npt.NDArray[np.float64] | None = None
    period_of_session: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Refuse scores that are not on the market's axes, and a market of one session, which has no return."""
        if len(self.market.sessions) < 2:
            raise StrategyError("A search needs at least two sessions: orders execute in the one after the decision.")
        expected = (len(self.market.sessions), len(self.market.instruments))
        if self.scores.ndim != 3 or self.scores.shape[1:] != expected:
            raise StrategyError(
                f"The scores have shape {self.scores.shape}; expected models, {expected[0]} sessions, {expected[1]} "
                "instruments. Arrange each model's scores with `TradingMarket.score_matrix`."
            )


def all_combinations(n_models: int, largest: int | None = None, smallest: int = 1) -> list[Combination]:
    """List every combination of models from `smallest` to `largest` members, in lexicographic order."""
    largest = n_models if largest is None else min(largest, n_models)
    sizes = range(smallest, largest + 1)
    return sorted(itertools.chain.from_iterable(itertools.combinations(range(n_models), size) for size in sizes))


def fuse_equally(scores: npt.NDArray[np.float64], combination: Sequence[int]) -> npt.NDArray[np.float64]:
    """Average the scores of the members in ascending order of their numbers, as the search does, bit for bit.

    Parameters
    ----------
    scores
        Models × sessions × instruments.
    combination
        Model numbers.

    Returns
    -------
    numpy.ndarray
        Sessions × instruments; NaN where any member has no score.
    """
    members = sorted(combination)
    total = scores[members[0]].copy()
    for member in members[1:]:
        total += scores[member]
    total *= 1.0 / len(members)
    return total


def run_combinations(
    search: CombinationSearch, combinations: Sequence[Combination], n_threads: int = 1
) -> CombinationResults:
    """Backtest every combination exactly and collect the figures.

    Parameters
    ----------
    search
        Scores, market and rules.
    combinations
        Model numbers of each combination, in any order.
    n_threads
        Threads; the result does not depend on it.

    Raises
    ------
    StrategyError
        As :func:`stream_combinations`.
    """
    ordered = in_order(combinations, search.scores.shape[0])
    n_blocks = -(-len(ordered) // _ACCOUNTS_PER_BLOCK)
    blocks = list(track(stream_combinations(search, ordered, n_threads), "backtesting combinations", n_blocks))
    return CombinationResults(
        combinations=ordered,
        figures=pd.DataFrame(np.concatenate([block.figures for block in blocks]), columns=list(FIGURES)),
        period_sums=np.concatenate([block.period_sums for block in blocks]),
    )


def stream_combinations(
    search: CombinationSearch, combinations: Sequence[Combination], n_threads: int = 1
) -> Iterator[CombinationBlock]:
    """Backtest combinations and yield their results block by block, in lexicographic order (:func:`in_order`).

    Blocks are tasks: the workers of the run, if it has any, or `n_threads` threads here run them. No more than a few
    are in memory at a time, whatever the number of combinations.

    Raises
    ------
    StrategyError
        If there is no combination, or one of them is empty, doubled within itself or names an unknown model.
    """
    arrays = kernels.combination_arrays(in_order(combinations, search.scores.shape[0]))
    starts = range(0, len(arrays.sizes), _ACCOUNTS_PER_BLOCK)
    blocks = (slice(start, start + _ACCOUNTS_PER_BLOCK) for start in starts)
    return run_tasks(_BlockRunner.run, _BlockRunner(search, arrays), blocks, threads=n_threads)


def in_order(combinations: Sequence[Combination], n_models: int) -> list[Combination]:
    """Sort combinations lexicographically, members ascending, doubles removed.

    Raises
    ------
    StrategyError
        If there is no combination, or one of them is empty, doubled within itself or names an unknown model.
    """
    rows = sorted({tuple(sorted(combination)) for combination in combinations})
    if not rows:
        raise StrategyError("There is no combination to backtest. Enable at least one model.")
    for row in rows:
        if not row or len(set(row)) != len(row) or row[0] < 0 or row[-1] >= n_models:
            raise StrategyError(
                f"Combination {row} is empty, names a model twice or names none of the {n_models} models."
            )
    return rows


class _BlockRunner:
    """Runs blocks of combinations; shared by tasks, changed by none."""

    def __init__(self, search: CombinationSearch, combinations: CombinationArrays) -> None:
        self.search = search
        self.combinations = combinations
        self.arrays = run_of(search.scores, search.market, search.rules, search.cost_rules)
        n_sessions = len(search.market.sessions)
        periods = search.period_of_session
        self.periods = np.zeros(n_sessions, dtype=np.int64) if periods is None else periods.astype(np.int64)
        benchmark = search.benchmark_returns
        self.benchmark = np.zeros(n_sessions) if benchmark is None else benchmark.astype(np.float64)
        self.cash = cash_to_ticks(search.initial_cash)

    def __reduce__(self) -> tuple[type[_BlockRunner], tuple[CombinationSearch, CombinationArrays]]:
        """Return what it is made from: a worker arranges the arrays itself, which is less than to send them."""
        return _BlockRunner, (self.search, self.combinations)

    def run(self, rows: slice) -> CombinationBlock:
        """Run the combinations of some rows."""
        members, sizes, shared = self.combinations
        block = CombinationArrays(members[rows], sizes[rows], shared[rows])
        measured = kernels.new_measured(len(block.sizes), self.cash, self.benchmark, self.periods)
        accounts, _ = run_sessions(self.arrays, block, self.cash, measured, _NO_RECORDS)
        free = rate_per_session(self.search.market.rules.risk_free_rate)
        figures = _figures(measured.statistics, accounts.totals, self.cash, len(self.periods) - 1, free)
        return CombinationBlock(rows.start, figures, measured.periods)


def _figures(
    statistics: npt.NDArray[np.float64], totals: npt.NDArray[np.int64], cash: int, n_returns: int, free: float
) -> npt.NDArray[np.float64]:
    growth = statistics[:, kernels.VALUE] / cash
    volatility = _deviation(statistics[:, kernels.SUM_RETURN], statistics[:, kernels.SUM_SQUARE], n_returns)
    excess = _deviation(statistics[:, kernels.SUM_EXCESS], statistics[:, kernels.SUM_EXCESS_SQUARE], n_returns)
    yearly = np.sqrt(SESSIONS_PER_YEAR)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = (
            growth - 1,
            growth ** (SESSIONS_PER_YEAR / n_returns) - 1,
            volatility * yearly,
            (statistics[:, kernels.SUM_RETURN] / n_returns - free) / _or_missing(volatility) * yearly,
            statistics[:, kernels.SUM_EXCESS] / n_returns / _or_missing(excess) * yearly,
            statistics[:, kernels.MAX_DRAWDOWN],
            statistics[:, kernels.TURNOVER] / n_returns * SESSIONS_PER_YEAR,
            totals[:, FEES] / TICKS_PER_UNIT,
            totals[:, SLIPPAGE] / TICKS_PER_UNIT,
            statistics[:, kernels.HELD_SUM] / n_returns,
            statistics[:, kernels.VALUE] / TICKS_PER_UNIT,
        )
    return np.column_stack(columns)


def _deviation(total: npt.NDArray[np.float64], squares: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    variance = np.maximum(squares - total**2 / count, 0.0) / max(count - 1, 1)
    # What is left of a constant after rounding is no variation.
    return np.where(variance > 1e-14 * squares / count, np.sqrt(variance), 0.0)


def _or_missing(deviation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return deviations to divide by: missing where nothing varies."""
    return np.where(deviation > 0, deviation, np.nan)
