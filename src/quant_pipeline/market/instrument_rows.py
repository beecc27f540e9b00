"""The rows of a long table by instrument, as arrays: a table of millions of bars holds few names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def number_instruments(table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], pd.Index]:
    """Return the number of each row's instrument, and the names in the order of their numbers."""
    column = table["instrument"]
    first = _differs_from_row_before(column)
    if first is not None:
        names = pd.Index(column.array[first])
        if names.is_unique:
            return np.cumsum(first) - 1, names
    codes, names = pd.factorize(column)
    return np.asarray(codes, dtype=np.int64), pd.Index(names)


def _differs_from_row_before(column: pd.Series) -> npt.NDArray[np.bool_] | None:
    """Return where another name begins than in the row before, without looking any up; None where one is missing."""
    if not isinstance(column.dtype, pd.StringDtype) or column.empty:
        return None
    names = pa.Table.from_pandas(column.to_frame("name"), preserve_index=False)["name"]
    if names.null_count:
        return None
    changes = pc.not_equal(names.slice(1), names.slice(0, len(names) - 1))
    return np.append(True, changes.to_numpy())


def begins(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which rows are of another instrument than the row before."""
    return np.append(True, codes[1:] != codes[:-1])[: len(codes)]


def sorted_by_instrument(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by instrument and date; those that are so already are not copied."""
    codes, names = number_instruments(table)
    first, dates = begins(codes), table["date"].to_numpy()
    follows = np.append(True, dates[1:] >= dates[:-1])[: len(dates)]
    if np.count_nonzero(first) == len(names) and names.is_monotonic_increasing and (first | follows).all():
        return table
    return table.sort_values(["instrument", "date"], kind="stable", ignore_index=True)


def are_sorted_and_different(table: pd.DataFrame, moment: str = "date") -> bool:
    """Return whether rows are sorted by instrument and moment, and no two are of the same."""
    codes, names = number_instruments(table)
    first, moments = begins(codes), table[moment].to_numpy()
    later = np.append(True, moments[1:] > moments[:-1])[: len(moments)]
    is_together = np.count_nonzero(first) == len(names) and names.is_monotonic_increasing
    return bool(is_together and (first | later).all())


def place_in_instrument(first: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Count the rows of each instrument, which lie together, from 0; `first` marks the first of each."""
    starts = np.flatnonzero(first)
    return np.arange(len(first)) - np.repeat(starts, np.diff(np.append(starts, len(first))))


def change_from_row_before(values: npt.NDArray[np.float64], first: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return by which fraction each value has grown since the row before; NaN in the first row of an instrument."""
    change = np.full(len(values), np.nan)
    change[1:] = values[1:] / values[:-1] - 1
    change[first] = np.nan
    return change
