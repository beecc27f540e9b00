"""The rows of a long table by instrument, as arrays: a table of millions of bars holds few names."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


class _Numbered(NamedTuple):
    """Number of each row's instrument in a column, and the names."""

    of: weakref.ref[pa.ChunkedArray]
    codes: npt.NDArray[np.int64]
    names: pd.Index


_BLOCK = 1 << 16
"""Rows that are looked at together: the cache of a core holds what they need."""
_DAY = 86_400 * 10**9
_EARLIEST = -300 * 366 * _DAY
"""Nanoseconds before 1970: a day for each of a span from here on is few."""
_numbered: dict[int, _Numbered] = {}
"""Columns that are held by some table, by their identity: the nodes of a run ask of the same bars a score of times."""


def number_instruments(table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], pd.Index]:
    """Return the number of each row's instrument, and the names in the order of their numbers.

    A column that other tables share, or that is asked about again, is looked through once: do not write to the numbers.
    """
    column = table["instrument"]
    if not isinstance(column.dtype, pd.StringDtype) or column.dtype.storage != "pyarrow":
        return _factorized(column)
    # Arrow's columns never change: pandas takes another one where a table is written to.
    held: pa.ChunkedArray = column.array.__arrow_array__()
    known = _numbered.get(id(held))
    if known is not None and known.of() is held:
        return known.codes, known.names
    return _keep_numbers(held, *_numbers_of(column, held))


def repeated_names(names: Sequence[str], counts: npt.NDArray[np.int64]) -> pd.Series:
    """Return a column of instruments, each so many times, which is numbered already."""
    numbers, different = pd.factorize(np.array(names, dtype=object))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array(np.cumsum(counts)), pa.array(names, pa.large_string()))
    column = pd.Series(pd.array(pc.run_end_decode(runs), dtype="str"))
    codes = np.repeat(numbers.astype(np.int64, copy=False), counts)
    _keep_numbers(column.array.__arrow_array__(), codes, pd.Index(different, dtype="str"))
    return column


def _keep_numbers(
    held: pa.ChunkedArray, codes: npt.NDArray[np.int64], names: pd.Index
) -> tuple[npt.NDArray[np.int64], pd.Index]:
    codes.flags.writeable = False
    forget = partial(_numbered.pop, id(held), None)
    _numbered[id(held)] = _Numbered(weakref.ref(held, lambda _: forget()), codes, names)
    return codes, names


def _numbers_of(column: pd.Series, held: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], pd.Index]:
    if len(held) and not held.null_count:
        # Where another name begins than in the row before: no name is looked up for every row.
        changes = pc.not_equal(held.slice(1), held.slice(0, len(held) - 1))
        first = np.append(True, changes.to_numpy())
        numbers, names = pd.factorize(column.array[first])
        return np.asarray(numbers, dtype=np.int64)[np.cumsum(first) - 1], pd.Index(names)
    return _factorized(column)


def _factorized(column: pd.Series) -> tuple[npt.NDArray[np.int64], pd.Index]:
    codes, names = pd.factorize(column)
    return np.asarray(codes, dtype=np.int64), pd.Index(names)


def first_dates(table: pd.DataFrame) -> pd.Series:
    """Return the first date of every instrument: ``instrument``, sorted, to date."""
    return _by_instrument(table, "min")


def last_dates(table: pd.DataFrame) -> pd.Series:
    """Return the last date of every instrument: ``instrument``, sorted, to date."""
    return _by_instrument(table, "max")


def _by_instrument(table: pd.DataFrame, which: Literal["min", "max"]) -> pd.Series:
    codes, names = number_instruments(table)
    dates: pd.Series = table["date"].groupby(codes).agg(which)
    dates = dates[dates.index >= 0]
    return dates.set_axis(pd.Index(names[dates.index], dtype=table["instrument"].dtype, name="instrument")).sort_index()


def different_dates(table: pd.DataFrame) -> npt.NDArray[np.datetime64]:
    """Return each date of a table once, sorted; of millions of midnights few are different."""
    dates = table["date"].to_numpy().astype("datetime64[ns]", copy=False)
    numbers = dates.view(np.int64)
    first, last = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    if first < _EARLIEST:  # Not a time is below all of them.
        return np.sort(table["date"].unique())
    is_there = np.zeros((last - first) // _DAY + 1, dtype=bool)
    for start in range(0, len(numbers), _BLOCK):
        since = numbers[start : start + _BLOCK] - first
        days = since // _DAY
        if not np.array_equal(days * _DAY, since):
            return np.sort(table["date"].unique())
        is_there[days] = True
    return (np.flatnonzero(is_there) * _DAY + first).view("datetime64[ns]")


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
