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

from quant_pipeline.common.row_blocks import row_blocks


class _Numbered(NamedTuple):
    """Number of each row's instrument in a column, and the names."""

    of: weakref.ref[pa.ChunkedArray]
    codes: npt.NDArray[np.int64]
    names: pd.Index


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
    if not _is_arrow(column):
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
        first = begins_of_names(column)
        numbers, names = pd.factorize(column.array[first])
        lengths = np.diff(np.append(np.flatnonzero(first), len(first)))
        return np.repeat(np.asarray(numbers, dtype=np.int64), lengths), pd.Index(names)
    return _factorized(column)


def _factorized(column: pd.Series) -> tuple[npt.NDArray[np.int64], pd.Index]:
    codes, names = pd.factorize(column)
    return np.asarray(codes, dtype=np.int64), pd.Index(names)


def _is_arrow(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow"


def first_dates(table: pd.DataFrame) -> pd.Series:
    """Return the first date of every instrument: ``instrument``, sorted, to date."""
    return _by_instrument(table, table["date"], "min")


def last_dates(table: pd.DataFrame, counted: npt.NDArray[np.bool_] | None = None) -> pd.Series:
    """Return the last date of every instrument: ``instrument``, sorted, to date.

    Parameters
    ----------
    table
        ``instrument`` and ``date``.
    counted
        Which rows count; an instrument without any has no date. None counts all.
    """
    return _by_instrument(table, table["date"] if counted is None else table["date"].where(counted), "max")


def _by_instrument(table: pd.DataFrame, dates: pd.Series, which: Literal["min", "max"]) -> pd.Series:
    codes, names = number_instruments(table)
    starts = np.flatnonzero(begins(codes))
    if len(starts) <= len(names) and isinstance(dates.dtype, np.dtype) and len(set(codes[starts])) == len(starts):
        # The rows of each lie together: none has to be looked up.
        of_all = {"min": np.fmin, "max": np.fmax}[which]
        found = pd.Series(of_all.reduceat(dates.to_numpy(), starts), index=codes[starts], name=dates.name)
    else:
        found = dates.groupby(codes).agg(which)
    found = found[found.index >= 0]
    return found.set_axis(pd.Index(names[found.index], dtype=table["instrument"].dtype, name="instrument")).sort_index()


def different_dates(table: pd.DataFrame) -> npt.NDArray[np.datetime64]:
    """Return each date of a table once, sorted; of millions of midnights few are different."""
    dates = table["date"].to_numpy().astype("datetime64[ns]", copy=False)
    numbers = dates.view(np.int64)
    first, last = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    if first < _EARLIEST:  # Not a time is below all of them.
        return np.sort(table["date"].unique())
    is_there = np.zeros((last - first) // _DAY + 1, dtype=bool)
    for block in row_blocks(len(numbers)):
        since = numbers[block] - first
        days = since // _DAY
        if not np.array_equal(days * _DAY, since):
            return np.sort(table["date"].unique())
        is_there[days] = True
    return (np.flatnonzero(is_there) * _DAY + first).view("datetime64[ns]")


def begins_of_names(column: pd.Series) -> npt.NDArray[np.bool_]:
    """Return which rows name another instrument than the row before; a missing name is none that was seen before."""
    names = column.array
    held = names.__arrow_array__() if _is_arrow(column) else None
    if held is not None and not held.null_count:
        changes = pc.not_equal(held.slice(1), held.slice(0, max(len(held) - 1, 0))).to_numpy()
    else:
        changes = pd.array(names[1:] != names[:-1], dtype="boolean").to_numpy(bool, na_value=True)
    return np.append(True, changes)[: len(names)]


def begins(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which rows are of another instrument than the row before."""
    return np.append(True, codes[1:] != codes[:-1])[: len(codes)]


def are_in_order(codes: npt.NDArray[np.int64], dates: npt.NDArray[np.datetime64]) -> bool:
    """Return whether rows are sorted by the numbers of their instruments and, within each, by date."""
    first = begins(codes)
    is_later = dates[1:] >= dates[:-1]
    is_later |= first[1:]
    return bool((np.diff(codes[first]) > 0).all() and is_later.all())


def sorted_by_instrument(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by instrument and date; those that are so already are not copied."""
    codes, names = number_instruments(table)
    if names.is_monotonic_increasing and are_in_order(codes, table["date"].to_numpy()):
        return table
    return table.sort_values(["instrument", "date"], kind="stable", ignore_index=True)


def first_rows_since(
    dates: npt.NDArray[np.datetime64],
    begin: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    since: npt.NDArray[np.datetime64],
) -> npt.NDArray[np.int64]:
    """Find the first row at or after each of some dates, among rows of which the dates rise.

    Parameters
    ----------
    dates
        Those of all rows.
    begin, end
        The rows among which each is looked for: from the one up to the other, which does not count.
    since
        The dates, in the unit of the rows.

    Returns
    -------
    numpy.ndarray
        Rows; `end` where all are earlier.
    """
    low, high = begin.copy(), end.copy()
    while (open_yet := np.flatnonzero(low < high)).size:
        middle = (low[open_yet] + high[open_yet]) // 2
        is_earlier = dates[middle] < since[open_yet]
        low[open_yet] = np.where(is_earlier, middle + 1, low[open_yet])
        high[open_yet] = np.where(is_earlier, high[open_yet], middle)
    return low


def are_sorted_and_different(table: pd.DataFrame, moment: str = "date") -> bool:
    """Return whether rows are sorted by instrument and moment, and no two are of the same."""
    codes, names = number_instruments(table)
    first, moments = begins(codes), table[moment].to_numpy()
    later = np.append(True, moments[1:] > moments[:-1])[: len(moments)]
    is_together = np.count_nonzero(first) == len(names) and names.is_monotonic_increasing
    return bool(is_together and (first | later).all())


class FirstRows(NamedTuple):
    """Some rows, and the place of each among those of its instrument, from 0."""

    row: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]


def first_rows(first: npt.NDArray[np.bool_], count: int) -> FirstRows:
    """Return the first rows of each instrument, as many as `count`; `first` marks the one with which each begins."""
    starts = np.flatnonzero(first)
    lengths = np.minimum(np.diff(np.append(starts, len(first))), max(count, 0))
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return FirstRows(np.repeat(starts, lengths) + place, place)


def take_names(names: pd.Index, codes: npt.NDArray[np.int64]) -> pd.Index:
    """Return a column of names by their numbers, which `number_instruments` then knows.

    Parameters
    ----------
    names
        The names, of which some may not occur.
    codes
        Number of the name of each row.
    """
    column = names.take(codes)
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow":
        # As they would be found: in the order in which they occur.
        place = np.full(len(names), len(codes), dtype=np.int64)
        place[codes[::-1]] = np.arange(len(codes))[::-1]
        order = np.argsort(place, kind="stable")[: np.count_nonzero(place < len(codes))]
        renumbered = np.empty(len(names), dtype=np.int64)
        renumbered[order] = np.arange(len(order))
        _keep_numbers(column.array.__arrow_array__(), renumbered[codes], names[order])
    return column


def change_from_row_before(values: npt.NDArray[np.float64], first: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return by which fraction each value has grown since the row before; NaN in the first row of an instrument."""
    change = np.empty(len(values))
    np.divide(values[1:], values[:-1], out=change[1:])
    change[1:] -= 1
    change[first] = np.nan
    return change
