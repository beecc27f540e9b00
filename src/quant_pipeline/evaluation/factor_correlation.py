"""How alike factors are: correlation of their ranks within sessions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.evaluation import factor_kernels as kernels

Floats = npt.NDArray[np.float64]

SMALLEST_CROSS_SECTION = 5
"""Common instruments below which a session says nothing about a pair of factors."""


def correlate_factors(panel: pd.DataFrame, most_sessions: int) -> pd.DataFrame:
    """Correlate the ranks of every pair of factors within sessions and average over sessions.

    Parameters
    ----------
    panel
        ``(datetime, instrument) × factor``, sorted.
    most_sessions
        When there are more sessions, this many are taken at equal distances: time and memory stay bounded, and the
        mean over hundreds of sessions hardly moves.

    Returns
    -------
    pandas.DataFrame
        Factors × factors. Every factor is ranked among its own values, ties averaged, and a pair is correlated over
        the instruments that have both; without missing values this is Spearman's coefficient. NaN where no session
        has enough instruments, or one factor is constant.
    """
    starts = np.flatnonzero(~panel.index.get_level_values("datetime").duplicated())
    ends = np.append(starts[1:], len(panel))
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(most_sessions, len(starts))).round().astype(int))
    total = np.zeros((panel.shape[1], panel.shape[1]))
    count = np.zeros(total.shape, dtype=np.int64)
    values = panel.to_numpy()
    for session in chosen:
        daily = _correlate_session(_ranks(values[starts[session] : ends[session]]))
        known = np.isfinite(daily)
        total += np.where(known, daily, 0.0)
        count += known
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return pd.DataFrame(mean, index=panel.columns, columns=panel.columns)


def _ranks(values: npt.NDArray[np.floating]) -> Floats:
    rows = np.ascontiguousarray(np.where(np.isfinite(values), values, np.nan).T, dtype="float64")
    ranks = np.empty_like(rows)
    kernels.rank_rows(rows, np.argsort(rows, axis=1), np.empty(rows.shape[1], dtype=bool), ranks)
    return ranks


def _correlate_session(ranks: Floats) -> Floats:
    """Correlate rows over the columns that both have, all pairs at once, from five products of matrices."""
    known = np.isfinite(ranks)
    flags = known.astype("float64")
    centre = np.where(known, ranks, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    gaps = np.where(known, ranks - centre[:, None], 0.0)
    pairs = flags @ flags.T
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = gaps @ flags.T
        cross = gaps @ gaps.T - sums * sums.T / pairs
        squares = (gaps * gaps) @ flags.T - sums * sums / pairs
        # Ranks are halves of whole numbers: a spread below this is rounding around a constant.
        squares = np.where(squares > 1e-6, squares, np.nan)
        correlation = cross / np.sqrt(squares * squares.T)
    return np.where(pairs >= SMALLEST_CROSS_SECTION, np.clip(correlation, -1.0, 1.0), np.nan)
