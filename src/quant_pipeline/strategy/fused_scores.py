"""Fused scores in the kernels: a rough sum for all instruments, the exact average where their order is open.

An ensemble scores an instrument with the average of its members. A decision looks at few instruments: the holdings and
the best candidates. So all are first summed in single precision, which is several times faster; only where two of these
sums are so close that their order is open, the averages in double precision decide. A single model is an ensemble of
one. The rough sums change the time, never the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined, kernel, shared

GROUP = 8
"""Instruments whose rough scores are compared together."""

_ROUGH_LARGEST = 1e30
_ROUGH_SMALLEST = 1e-30
_GAP_UNIT = 2.0**-21


class ScoreTable(NamedTuple):
    """Scores of models on the market's axes.

    ``exact`` is sessions × models × instruments, finite or NaN; ``rough`` the same in single precision, padded with
    NaN to a whole number of groups; ``largest`` the largest absolute score of each session. What a session needs lies
    together in memory.
    """

    exact: npt.NDArray[np.float64]
    rough: npt.NDArray[np.float32]
    largest: npt.NDArray[np.float64]


class FusedScores(NamedTuple):
    """The average score of some models in one session.

    ``exact`` is models × instruments, ``members`` are rows of it in the order in which they are added; ``rough`` is
    their sum, not their average, in single precision; two of them that differ by more than ``gap`` are in the right
    order.
    """

    exact: npt.NDArray[np.float64]
    members: npt.NDArray[np.uint32]
    size: int
    weight: float
    rough: npt.NDArray[np.float32]
    gap: np.float32


def padded_width(n_instruments: int) -> int:
    """Room for the rough scores of so many instruments: groups in multiples of eight."""
    return GROUP * 8 * -(-n_instruments // (GROUP * 8))


def score_table(scores: npt.NDArray[np.float64]) -> ScoreTable:
    """Prepare scores for decisions.

    Parameters
    ----------
    scores
        Models × sessions × instruments; NaN or infinite where a model has no score.
    """
    n_models, n_sessions, n_instruments = scores.shape
    table = ScoreTable(
        np.empty((n_sessions, n_models, n_instruments)),
        np.empty((n_sessions, n_models, padded_width(n_instruments)), dtype=np.float32),
        np.empty(n_sessions),
    )
    _fill_table(np.ascontiguousarray(scores), table)
    return table


@kernel
def _fill_table(scores: npt.NDArray[np.float64], table: ScoreTable) -> None:
    """Write all of a table in one pass through the scores."""
    n_models, n_sessions, n_instruments = scores.shape
    for t in range(n_sessions):
        largest = 0.0
        for m in range(n_models):
            exact, rough = table.exact[t, m], table.rough[t, m]
            for j in range(n_instruments):
                exact[j], rough[j] = np.nan, np.nan
                score = scores[m, t, j]
                if np.isfinite(score):
                    exact[j] = score
                    rough[j] = min(max(score, -_ROUGH_LARGEST), _ROUGH_LARGEST)
                    largest = max(largest, abs(score))
            rough[n_instruments:] = np.nan
        table.largest[t] = largest


@shared
def rough_gap(size: int, largest: float) -> np.float32:
    """Difference of two rough sums beyond which their order is that of the exact averages.

    A sum of ``n`` terms in floating point is off by less than ``n u Σ|x|`` (Higham, *Accuracy and Stability of
    Numerical Algorithms*, section 4.2), here with ``u = 2^-24``, one more rounding for the conversion, and two sums;
    four times as much leaves room for the comparison itself. Scores beyond single precision have no order but the
    exact one.

    Parameters
    ----------
    size
        Number of scores in a sum.
    largest
        Largest absolute value of one of them.
    """
    if largest > _ROUGH_LARGEST / size:
        return np.float32(np.inf)
    return np.float32(_GAP_UNIT * size * (size + 1) * largest + _ROUGH_SMALLEST)


@inlined
def exact_score(fused: FusedScores, instrument: int) -> float:
    """Average score of an instrument: the members added in their order, times the reciprocal of their number."""
    total = 0.0
    for i in range(fused.size):
        total += fused.exact[fused.members[i], instrument]
    return total * fused.weight


@inlined
def ranks_below(score: float, instrument: int, other_score: float, other: int) -> bool:
    """Whether an instrument ranks below another: lower score, or the same score and a later code."""
    return score < other_score or (score == other_score and instrument > other)


@inlined
def fused_below(fused: FusedScores, rough: float, instrument: int, other_rough: float, other: int) -> bool:
    """Whether an instrument ranks below another; the exact scores are asked only where the rough ones are close."""
    if rough < other_rough - fused.gap:
        return True
    if rough > other_rough + fused.gap:
        return False
    return ranks_below(exact_score(fused, instrument), instrument, exact_score(fused, other), other)
