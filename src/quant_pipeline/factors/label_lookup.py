"""Labels of the rows of a panel, which may be others than those that have one.

A panel of fifty million rows is looked up by the codes of its index in a grid of sessions and instruments; a hash table
of its rows would take more memory than their features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.row_blocks import row_blocks


def labels_of_rows(index: pd.MultiIndex, labels: pd.Series) -> pd.Series:
    """Return the label of every row of a panel; NaN where there is none.

    Parameters
    ----------
    index
        Of the panel, ``(datetime, instrument)``.
    labels
        On the same kind of index, each of its rows once.

    Raises
    ------
    ModelError
        When a row has two labels, or an index has its levels in another order.
    """
    require_order(index, "rows of a panel")
    require_rows(labels.index, "label")
    values = labels.to_numpy(dtype=np.float32 if labels.dtype == np.float32 else np.float64, na_value=np.nan)
    grid = np.full(_shape_of_grid(index), np.nan, dtype=values.dtype)
    cells, width, of_labels = grid.ravel(), grid.shape[1], labels.index
    sessions, instruments = (
        np.append(level.get_indexer(own), -1) for level, own in zip(index.levels, of_labels.levels, strict=True)
    )
    sessions *= width
    for block in row_blocks(len(labels)):
        session, instrument = (codes[block] for codes in of_labels.codes)
        cells[sessions[session] + instruments[instrument]] = values[block]
    grid[-2:], grid[:, -1] = np.nan, np.nan
    found = np.empty(len(index), dtype=values.dtype)
    for block in row_blocks(len(index)):
        found[block] = cells[_cells(index, block, width)]
    return pd.Series(found, index=index, name=labels.name, copy=False)


def require_rows(index: pd.MultiIndex, what: str) -> None:
    """Raise an error unless an index is ``(datetime, instrument)`` and has each of its rows once.

    Rows without a session or an instrument are none of a panel, and may come as often as they like.

    Parameters
    ----------
    index
        To judge.
    what
        Each row has one of, as the message names it.

    Raises
    ------
    ModelError
        When it has its levels in another order, or a row twice.
    """
    require_order(index, f"{what}s")
    # Pandas would ask a hash table of all rows.
    seen, known = np.zeros(_shape_of_grid(index), dtype=bool), 0
    cells, width = seen.ravel(), seen.shape[1]
    for block in row_blocks(len(index)):
        cells[_cells(index, block, width)] = True
        known += _count_known([codes[block] for codes in index.codes])
    if int(np.count_nonzero(seen[:-2, :-1])) < known:
        session, instrument = _first_twice(index)
        raise ModelError(f"{instrument} has two {what}s on {str(session)[:10]}; give each instrument one in a session")


def require_order(index: pd.MultiIndex, what: str) -> None:
    """Raise an error when the sessions of an index are not its first level, called or typed so.

    Parameters
    ----------
    index
        To judge.
    what
        Is indexed by it, in the plural, as the message names it.

    Raises
    ------
    ModelError
        When it has another number of levels, or these in another order.
    """
    is_swapped = index.names[0] == "instrument" or index.names[-1] == "datetime"
    if index.nlevels != 2 or is_swapped or pd.api.types.is_datetime64_any_dtype(index.levels[1]):
        found = ", ".join(map(str, index.names))
        raise ModelError(f"{what} are indexed ({found}); index them (datetime, instrument)")


def _shape_of_grid(index: pd.MultiIndex) -> tuple[int, int]:
    """Return the shape of a grid of sessions and instruments that has room, at its ends, for rows without one.

    Their codes of -1 count from the end: an instrument more and two sessions more take them, also where both are -1.
    """
    n_sessions, n_instruments = index.levshape
    return n_sessions + 2, n_instruments + 1


def _cells(index: pd.MultiIndex, block: slice, width: int) -> npt.NDArray[np.intp]:
    """Return the cells of some rows, counted through the grid: arrays are faster to index by one number than by two."""
    session, instrument = (codes[block] for codes in index.codes)
    cells = np.multiply(session, width, dtype=np.intp)
    cells += instrument
    return cells


def _count_known(codes: Sequence[npt.NDArray[Any]]) -> int:
    session, instrument = codes
    if min(session.min(), instrument.min()) >= 0:
        return len(session)
    return int(np.count_nonzero((session >= 0) & (instrument >= 0)))


def _first_twice(index: pd.MultiIndex) -> tuple[Any, Any]:
    session, instrument = index.codes
    rows = index[(session >= 0) & (instrument >= 0)]
    return rows[rows.duplicated()][0]
