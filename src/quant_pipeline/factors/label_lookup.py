"""Labels of the rows of a panel, which may be others than those that have one.

A panel of fifty million rows is looked up by the codes of its index in a grid of sessions and instruments; a hash table
of its rows would take more memory than their features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError


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
    cells = [
        np.append(level.get_indexer(own), -1)[codes]
        for level, own, codes in zip(index.levels, labels.index.levels, labels.index.codes, strict=True)
    ]
    values = labels.to_numpy(dtype=np.float32 if labels.dtype == np.float32 else np.float64, na_value=np.nan)
    grid = np.full(index.levshape, np.nan, dtype=values.dtype).ravel()
    of_labels, known = _places_in_grid(cells, index.levshape)
    grid[of_labels] = values[known]
    of_rows, known = _places_in_grid(index.codes, index.levshape)
    found = np.full(len(index), np.nan, dtype=values.dtype)
    found[known] = grid[of_rows]
    return pd.Series(found, index=index, name=labels.name)


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
    places, known = _places_in_grid(index.codes, index.levshape)
    # Pandas would ask a hash table of all rows.
    seen = np.zeros(math.prod(index.levshape), dtype=bool)
    seen[places] = True
    if int(np.count_nonzero(seen)) < len(places):
        rows = index[known]
        session, instrument = rows[rows.duplicated()][0]
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


def _places_in_grid(
    codes: Sequence[npt.NDArray[Any]], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_] | slice]:
    """Count the cells of a grid row by row: arrays are faster to index by one number than by two.

    Returns
    -------
    tuple
        The numbers, and which rows they are of: those whose two codes are not negative.
    """
    session, instrument = codes
    known = (session >= 0) & (instrument >= 0)
    if known.all():
        return np.asarray(session, dtype=np.intp) * shape[1] + instrument, slice(None)
    return np.asarray(session[known], dtype=np.intp) * shape[1] + instrument[known], known
