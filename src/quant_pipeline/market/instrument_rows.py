"""The rows of a long table by instrument, as arrays: a table of millions of bars holds few names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd


def number_instruments(table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], pd.Index]:
    """Return the number of each row's instrument, and the names in the order of their numbers."""
    codes, names = pd.factorize(table["instrument"])
    return np.asarray(codes, dtype=np.int64), pd.Index(names)


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
