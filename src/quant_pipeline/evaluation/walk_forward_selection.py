"""Selection that walks forward: rank on the past, leave a gap, measure on what follows.

Everything is counted in periods: consecutive groups of sessions of which only the sum and the sum of squares of the
excess returns are known, the form in which a search over combinations streams its results.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.market.clock import SESSIONS_PER_YEAR


class Fold(NamedTuple):
    """One step of the walk, as numbers of periods.

    Attributes
    ----------
    ranked
        Periods ``0 … ranked - 1`` rank the combinations.
    first, last
        Periods ``first … last - 1`` measure the one chosen; those between `ranked` and `first` are the embargo.
    """

    ranked: int
    first: int
    last: int


def walk_forward_folds(n_periods: int, first_training: int, length: int, embargo: int) -> list[Fold]:
    """Cut time into folds; each is measured once, after everything it is ranked by.

    Parameters
    ----------
    n_periods
        Number of periods.
    first_training
        Periods before the first fold, its embargo among them.
    length
        Periods of a fold; the last one may be shorter.
    embargo
        Periods left out between ranking and measuring.

    Returns
    -------
    list of Fold
        In time order, without overlap; the ranking periods grow.

    Raises
    ------
    ConfigurationError
        If there is nothing to rank on or nothing left to measure.
    """
    if first_training <= embargo:
        raise ConfigurationError(
            f"{first_training} training periods with an embargo of {embargo} leave nothing to rank on. "
            "Lengthen `first_training_periods` or shorten `embargo_periods` in parameters_ensemble_search.yml."
        )
    if first_training >= n_periods:
        raise ConfigurationError(
            f"{n_periods} periods leave no fold after {first_training} periods of training. Shorten "
            "`first_training_periods`, `holdout_periods` or `period_sessions` in parameters_ensemble_search.yml, or "
            "lengthen the test segment."
        )
    return [
        Fold(first - embargo, first, min(first + length, n_periods))
        for first in range(first_training, n_periods, length)
    ]


def sharpe_of_periods(
    period_sums: npt.NDArray[np.float64], sessions: npt.NDArray[np.int64], first: int = 0, last: int | None = None
) -> npt.NDArray[np.float64]:
    """Annualised Sharpe ratio of each combination over some periods.

    ``mean / σ × √252`` on the excess returns of the sessions, sample deviation. Averages over rebalance phases pool the
    sessions of all phases: the ratio of a typical phase, without what spreading over phases would gain.

    Parameters
    ----------
    period_sums
        Combinations × periods × (sum, sum of squares).
    sessions
        Sessions of each period.
    first, last
        Periods ``first … last - 1``.

    Returns
    -------
    numpy.ndarray
        One value per combination; 0 where nothing varies.
    """
    total, squares = period_sums[:, first:last].sum(axis=1).T
    count = int(sessions[first:last].sum())
    variance = np.maximum(squares - total**2 / count, 0.0) / max(count - 1, 1)
    # What is left of a constant after rounding is no variation.
    varies = variance > 1e-14 * np.maximum(squares / count, 1e-300)
    deviation = np.sqrt(np.where(varies, variance, 1.0))
    ratio: npt.NDArray[np.float64] = np.where(varies, total / count / deviation * np.sqrt(SESSIONS_PER_YEAR), 0.0)
    return ratio


def group_periods(
    period_sums: npt.NDArray[np.float64], sessions: npt.NDArray[np.int64], n_blocks: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Add consecutive periods up to blocks of nearly equal numbers of periods.

    Parameters
    ----------
    period_sums, sessions
        As in :func:`sharpe_of_periods`.
    n_blocks
        Number of blocks.

    Returns
    -------
    tuple of numpy.ndarray
        Combinations × blocks × (sum, sum of squares), and the sessions of each block.

    Raises
    ------
    ConfigurationError
        If there are fewer periods than blocks.
    """
    n_periods = len(sessions)
    if n_periods < n_blocks:
        raise ConfigurationError(
            f"{n_periods} periods cannot be grouped into {n_blocks} blocks. Lower `overfitting_blocks` or "
            "`period_sessions` in parameters_ensemble_search.yml."
        )
    starts = np.array([part[0] for part in np.array_split(np.arange(n_periods), n_blocks)])
    return np.add.reduceat(period_sums, starts, axis=1), np.add.reduceat(sessions, starts)
