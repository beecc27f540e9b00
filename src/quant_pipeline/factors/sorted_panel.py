"""A panel sorted by session, made in place from columns in which the rows of an instrument lie together."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from quant_pipeline.factors.grid import Grid
from quant_pipeline.factors.kernels.entries import cut_strips, reorder

PANEL_INDEX = ["datetime", "instrument"]
_SIDE = 16
"""Sessions of a strip; see `quant_pipeline.factors.kernels.turning`, which imports numba."""


def sort_by_session(
    values: np.ndarray, spans: np.ndarray, grid: Grid, factors: tuple[str, ...], threads: int
) -> pd.DataFrame:
    """Sort by session, then instrument, and name the rows.

    Parameters
    ----------
    values
        float32 ``(factor, row)``, the rows of an instrument together; sorted in place.
    spans
        Of the instruments, as `Grid.spans` gives them.
    grid
        To which the spans belong.
    factors
        Names of the columns.
    threads
        Among which the columns are divided.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × factor`` on the memory of ``values``.
    """
    spans = spans[spans[:, 3] > spans[:, 2]]
    owner, lengths = spans[:, 5], spans[:, 3] - spans[:, 2]
    begin = spans[:, 2] - grid.first[owner] + grid.listed[owner]
    size = len(grid.sessions) + 1
    in_session = np.cumsum(np.bincount(begin, minlength=size) - np.bincount(begin + lengths, minlength=size))[:-1]
    has_rows = in_session > 0
    number = np.cumsum(has_rows) - 1
    rows_of = in_session[has_rows]
    instruments = np.repeat(np.arange(len(spans), dtype=np.uint32), lengths)
    _reorder([instruments, *values], np.column_stack([number[begin], lengths, spans[:, 4]]), rows_of, threads)
    index = pd.MultiIndex(
        levels=[grid.sessions.as_unit("ns")[has_rows], pd.Index(grid.instruments[owner], dtype="str")],
        codes=[np.repeat(np.arange(len(rows_of), dtype=np.int32), rows_of), instruments.view(np.int32)],
        names=PANEL_INDEX,
        verify_integrity=False,
    )
    return pd.DataFrame(values.T, index=index, columns=list(factors), copy=False)


def _reorder(columns: list[np.ndarray], stretches: np.ndarray, rows_of: np.ndarray, threads: int) -> None:
    """Reorder the rows of columns of four bytes in place; each thread takes the next column that is left."""
    rows, sessions = len(columns[0]), len(rows_of)
    firsts, bounds = np.append(0, np.cumsum(rows_of)), np.empty(-(-sessions // _SIDE) + 1, np.int64)
    strips = np.empty((4, int((stretches[:, 1] // _SIDE + 2).sum())), np.uint32)
    cut_strips(stretches, sessions, bounds, strips)
    left = deque(column.view(np.uint32)[None] for column in columns)

    def work(_: int) -> None:
        room, places = np.empty(rows, np.uint32), np.empty(_SIDE, np.int64)
        while left:
            try:
                column = left.popleft()
            except IndexError:  # Another thread has taken the last one.
                return
            reorder(column, firsts, bounds, strips, room, places)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
