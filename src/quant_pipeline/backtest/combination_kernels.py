"""Many accounts through the market side by side, compiled: one account per combination of models.

Accounts of a block advance together, session by session, so that a session's scores and prices stay in the cache. The
members of consecutive combinations share sums: with combinations in lexicographic order almost every fused score is
its predecessor plus one member. Every account runs the same kernels as a single backtest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.backtest.session_step import Records, Run, close_account, decide_account, session_of
from quant_pipeline.common.compiled import inlined, kernel
from quant_pipeline.exchange.account_arrays import BOUGHT, HELD, SOLD, AccountArrays
from quant_pipeline.strategy.fused_scores import FusedScores, ScoreTable, rough_gap
from quant_pipeline.strategy.ranking import DecisionBuffers

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
    no_records: Records


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


class Measured(NamedTuple):
    """What a search keeps of its accounts.

    ``period_of_session`` is the period whose sums a session counts into, ``benchmark_returns`` the return of the
    benchmark per session, of which the first is not used; ``statistics`` is accounts × :data:`N_STATISTICS`, with value
    and peak set and zeros otherwise, ``periods`` accounts × periods × (sum, sum of squares) of excess returns.
    """

    period_of_session: npt.NDArray[np.int64]
    benchmark_returns: npt.NDArray[np.float64]
    statistics: npt.NDArray[np.float64]
    periods: npt.NDArray[np.float64]


@kernel
def run_block(
    run: Run,
    accounts: AccountArrays,
    combinations: CombinationArrays,
    first: int,
    measured: Measured,
    buffers: DecisionBuffers,
    block: BlockBuffers,
) -> None:
    """Run the accounts of one block through every session; the first has no return, because nothing is held yet.

    Parameters
    ----------
    run
        Market, scores of the models, and rules.
    accounts
        Fresh accounts, one per row of the statistics.
    combinations, first
        All combinations, and the row of the one account 0 trades; account ``a`` trades row ``first + a``.
    measured
        What is kept of the accounts; updated.
    buffers, block
        Scratch space.
    """
    for t in range(run.decides.shape[0]):
        session = session_of(run, t)
        for a in range(measured.statistics.shape[0]):
            value, _, _ = close_account(run, session, accounts, a, block.no_records, 0, 0)
            if t > 0:
                _count_session(
                    measured.statistics[a],
                    measured.periods[a, measured.period_of_session[t]],
                    float(value),
                    float(accounts.totals[a, BOUGHT] + accounts.totals[a, SOLD]),
                    accounts.totals[a, HELD],
                    measured.benchmark_returns[t],
                )
            if session.decides:
                fused = fuse_next(run.table, t, combinations, first + a, a == 0, block)
                decide_account(run, session, accounts, a, value, fused, buffers)
