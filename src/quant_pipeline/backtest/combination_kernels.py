"""Many accounts through the market side by side, compiled: one account per combination of models.

Accounts of a block advance together, session by session, so that a session's scores and prices stay in the cache. The
members of consecutive combinations share sums: with combinations in lexicographic order almost every fused score is
its predecessor plus one member. Every account runs the same kernels as a single backtest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined, kernel
from quant_pipeline.exchange.account_arrays import BOUGHT, HELD, ORDERS, SOLD, AccountArrays, net_asset_value
from quant_pipeline.exchange.costs import CostSchedule, costs_of_session
from quant_pipeline.exchange.kernels import ExchangeTerms, count_close, execute_pending_orders
from quant_pipeline.exchange.market import MarketArrays
from quant_pipeline.exchange.session_kernels import apply_session_actions, quotes_of_session
from quant_pipeline.strategy.decision import decide
from quant_pipeline.strategy.fused_scores import FusedScores, ScoreTable, rough_gap
from quant_pipeline.strategy.ranking import DecisionBuffers
from quant_pipeline.strategy.terms import StrategyTerms

# Columns of the running statistics of an account.
VALUE, PEAK, MAX_DRAWDOWN, SUM_RETURN, SUM_SQUARE, SUM_EXCESS, SUM_EXCESS_SQUARE, TURNOVER, HELD_SUM, TRADED = range(10)
N_STATISTICS = 10


class CombinationArrays(NamedTuple):
    """Combinations in lexicographic order.

    ``members`` (combinations × largest size) holds model numbers, ``sizes`` how many of a row count, ``shared`` how
    many leading members a row has in common with the row before.
    """

    members: npt.NDArray[np.uint32]
    sizes: npt.NDArray[np.int64]
    shared: npt.NDArray[np.int64]


class BlockBuffers(NamedTuple):
    """Scratch space of one thread: rough partial sums of members (largest size + 1 rows, the first zero)."""

    sums: npt.NDArray[np.float32]
    no_record: npt.NDArray[np.int64]


@inlined
def fuse_next(
    table: ScoreTable,
    t: int,
    combinations: CombinationArrays,
    row: int,
    is_first: bool,
    buffers: BlockBuffers,
) -> FusedScores:
    """Return the equally weighted score of one combination: the sum in member order, divided by their number.

    Rough sums shared with the row before are taken from the buffers, unless this is the first row of the block.
    """
    size = combinations.sizes[row]
    start = 0 if is_first else min(combinations.shared[row], size - 1)
    for level in range(start, size):
        member = table.rough[t, combinations.members[row, level]]
        before = buffers.sums[level]  # Row 0 stays zero, and adding zero changes no score.
        total = buffers.sums[level + 1]
        for j in range(total.size):
            total[j] = before[j] + member[j]
    return FusedScores(
        table.exact[t],
        combinations.members[row],
        size,
        1.0 / size,
        buffers.sums[size],
        rough_gap(size, table.largest[t]),
    )


@inlined
def _count_session(
    statistics: npt.NDArray[np.float64],
    periods: npt.NDArray[np.float64],
    value: float,
    traded: float,
    held: int,
    benchmark_return: float,
) -> None:
    """Add one session to the statistics of an account."""
    previous = statistics[VALUE]
    simple_return = value / previous - 1.0
    excess = simple_return - benchmark_return
    statistics[VALUE] = value
    statistics[PEAK] = max(statistics[PEAK], value)
    statistics[MAX_DRAWDOWN] = min(statistics[MAX_DRAWDOWN], value / statistics[PEAK] - 1.0)
    statistics[SUM_RETURN] += simple_return
    statistics[SUM_SQUARE] += simple_return * simple_return
    statistics[SUM_EXCESS] += excess
    statistics[SUM_EXCESS_SQUARE] += excess * excess
    statistics[TURNOVER] += (traded - statistics[TRADED]) / previous
    statistics[TRADED] = traded
    statistics[HELD_SUM] += held
    periods[0] += excess
    periods[1] += excess * excess


@kernel
def run_block(
    accounts: AccountArrays,
    market: MarketArrays,
    table: ScoreTable,
    combinations: CombinationArrays,
    first: int,
    decides: npt.NDArray[np.bool_],
    period_of_session: npt.NDArray[np.int64],
    benchmark_returns: npt.NDArray[np.float64],
    preferred: npt.NDArray[np.float64],
    terms: StrategyTerms,
    exchange: ExchangeTerms,
    schedule: CostSchedule,
    buffers: DecisionBuffers,
    block: BlockBuffers,
    statistics: npt.NDArray[np.float64],
    periods: npt.NDArray[np.float64],
) -> None:
    """Run the accounts of one block through every session; the first has no return, because nothing is held yet.

    Parameters
    ----------
    accounts
        Fresh accounts, one per row of `statistics`.
    market
        The market.
    table
        Scores of the models, known after the close of the session.
    combinations, first
        All combinations, and the row of the one account 0 trades; account ``a`` trades row ``first + a``.
    decides
        Sessions with a decision.
    period_of_session
        Period whose sums a session counts into.
    benchmark_returns
        Return of the benchmark per session; that of the first is not used.
    preferred
        Factors of the weights, sessions × instruments.
    terms, exchange, schedule
        Rules.
    buffers, block
        Scratch space.
    statistics
        Accounts × :data:`N_STATISTICS`, with value, peak and zeros set; updated.
    periods
        Accounts × periods × (sum, sum of squares) of excess returns; updated.
    """
    n_accounts = statistics.shape[0]
    n_sessions = decides.shape[0]
    for t in range(n_sessions):
        quotes = quotes_of_session(market, t)
        costs = costs_of_session(schedule, t)
        mark = market.mark[t]
        has_bar = market.has_bar[t]
        has_actions = market.interest[t] > 0.0 or market.actions.offsets[t] < market.actions.offsets[t + 1]
        deciding = decides[t] and t + 1 < n_sessions
        for a in range(n_accounts):
            if has_actions:
                apply_session_actions(accounts, a, t, market, terms.lot, block.no_record, 0)
            if accounts.totals[a, ORDERS] > 0:
                execute_pending_orders(accounts, a, t, quotes, exchange, costs, block.no_record, 0)
            count_close(accounts, a)
            value = net_asset_value(accounts, a, mark)
            if t > 0:
                _count_session(
                    statistics[a],
                    periods[a, period_of_session[t]],
                    float(value),
                    float(accounts.totals[a, BOUGHT] + accounts.totals[a, SOLD]),
                    accounts.totals[a, HELD],
                    benchmark_returns[t],
                )
            if deciding:
                fused = fuse_next(table, t, combinations, first + a, a == 0, block)
                decide(accounts, a, value, fused, has_bar, mark, preferred[t], terms, costs, buffers)
