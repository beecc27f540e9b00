"""Combinations of models as accounts trade them, compiled: fused scores, and running statistics instead of curves.

The members of consecutive combinations share sums: with combinations in lexicographic order almost every fused score is
its predecessor plus one member.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined
from quant_pipeline.strategy.fused_scores import FusedScores, ScoreTable, padded_width, rough_gap

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


@inlined
def fuse_next(
    table: ScoreTable,
    t: int,
    combinations: CombinationArrays,
    row: int,
    sums: npt.NDArray[np.float32],
) -> FusedScores:
    """Return the equally weighted score of one combination: the sum in member order, divided by their number.

    `sums` holds the rough partial sums of the row before (:func:`new_sums`), of which those of shared members are kept;
    the first row shares none.
    """
    size = combinations.sizes[row]
    start = 0 if row == 0 else min(combinations.shared[row], size - 1)
    for level in range(start, size):
        member = table.rough[t, combinations.members[row, level]]
        before = sums[level]  # Row 0 stays zero, and adding zero changes no score.
        total = sums[level + 1]
        for j in range(total.size):
            total[j] = before[j] + member[j]
    return FusedScores(
        table.exact[t],
        combinations.members[row],
        size,
        1.0 / size,
        sums[size],
        rough_gap(size, table.largest[t]),
    )


@inlined
def count_session(
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


def combination_arrays(rows: Sequence[tuple[int, ...]]) -> CombinationArrays:
    """Put combinations in lexicographic order, members ascending, into arrays."""
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    members = np.zeros((len(rows), int(sizes.max())), dtype=np.uint32)
    for index, row in enumerate(rows):
        members[index, : len(row)] = row
    shared = np.zeros(len(rows), dtype=np.int64)
    for index in range(1, len(rows)):
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(rows[index - 1], rows[index], strict=False))
        shared[index] = sum(1 for _ in same)
    return CombinationArrays(members, sizes, shared)


def new_sums(combinations: CombinationArrays, n_instruments: int) -> npt.NDArray[np.float32]:
    """Create room for the rough partial sums of the largest combination: a row more than members, the first zero."""
    return np.zeros((combinations.members.shape[1] + 1, padded_width(n_instruments)), dtype=np.float32)


def new_measured(
    n_accounts: int,
    cash: int,
    benchmark_returns: npt.NDArray[np.float64],
    period_of_session: npt.NDArray[np.int64],
) -> Measured:
    """Begin to measure accounts that hold so much cash, in ticks."""
    statistics = np.zeros((n_accounts, N_STATISTICS))
    statistics[:, [VALUE, PEAK]] = cash
    periods = np.zeros((n_accounts, int(period_of_session.max()) + 1, 2))
    return Measured(period_of_session, benchmark_returns, statistics, periods)
