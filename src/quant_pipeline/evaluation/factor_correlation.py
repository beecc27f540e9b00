"""How alike factors are: correlation of their ranks within sessions."""

from __future__ import annotations

from collections.abc import Iterable

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
    return correlate_blocks(panel.index, [(slice(0, len(panel)), panel)], most_sessions)


def correlate_blocks(
    index: pd.MultiIndex, blocks: Iterable[tuple[slice, pd.DataFrame]], most_sessions: int
) -> pd.DataFrame:
    """Correlate factors as `correlate_factors` does, of a panel that is read block by block.

    Parameters
    ----------
    index
        ``(datetime, instrument)`` of the whole panel, sorted.
    blocks
        Stretches of whole sessions with their tables, in order; together the whole panel.
    most_sessions
        As of `correlate_factors`.
    """
    starts = np.flatnonzero(~index.get_level_values("datetime").duplicated())
    ends = np.append(starts[1:], len(index))
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(most_sessions, len(starts))).round().astype(int))
    total, count, names = np.zeros((0, 0)), np.zeros((0, 0), dtype=np.int64), pd.Index([], dtype="str")
    for rows, table in blocks:
        if names.empty:
            names = table.columns
            total, count = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)), dtype=np.int64)
        values = table.to_numpy()
        for session in chosen[(starts[chosen] >= rows.start) & (starts[chosen] < rows.stop)]:
            daily = _correlate_session(_ranks(values[starts[session] - rows.start : ends[session] - rows.start]))
            known = np.isfinite(daily)
            total += np.where(known, daily, 0.0)
            count += known
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return pd.DataFrame(mean, index=names, columns=names)


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
