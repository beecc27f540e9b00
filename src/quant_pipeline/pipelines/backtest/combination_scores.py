"""The scores of each combination in a table of all of them, on one index where their rows are the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from itertools import chain, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.evaluation.information_coefficient import LabelledRows
from quant_pipeline.market.dates import number_dates

KEYS: Final = ["datetime", "instrument"]
ROWS_AT_ONCE: Final = 2**16
"""Rows that are compared with those before them at once."""
BLOCKS_AT_ONCE: Final = 8
"""Blocks of so many rows that one core compares one after the other."""


class CombinationScores:
    """Scores by combination, and the labels of their rows.

    Combinations of models that score the same instruments in the same sessions have the same rows: their index, and
    what depends on labels alone, are made once.

    Parameters
    ----------
    fused_scores
        ``datetime``, ``instrument``, ``combination``, ``score`` and more.
    labels
        Label of each ``(datetime, instrument)``.
    """

    def __init__(self, fused_scores: pd.DataFrame, labels: pd.Series) -> None:
        self._table, self._labels = fused_scores, labels
        self._rows = _rows_by_name(fused_scores["combination"])
        self._first = fused_scores.iloc[next(iter(self._rows.values()), slice(0))]

    def prepare(self) -> None:
        """Compute what combinations share, before threads ask for it and wait for each other."""
        self._labelled.prepare()

    @cached_property
    def _index(self) -> pd.MultiIndex:
        return _index_of(self._first)

    @cached_property
    def _labelled(self) -> LabelledRows:
        return LabelledRows(self._index, self._labels)

    def table(self, combination: str) -> pd.DataFrame:
        """Return the rows of a combination; those that follow one another are not copied."""
        return self._table.iloc[self._rows.get(combination, slice(0))]

    def scores(self, combination: str) -> pd.Series:
        """Return its scores, indexed ``(datetime, instrument)``."""
        table = self.table(combination)
        has_same_rows = all(_are_equal(table[key], self._first[key]) for key in KEYS)
        index = self._index if has_same_rows else _index_of(table)
        return pd.Series(table["score"].array, index=index, name="score", copy=False)

    def labelled(self, scores: pd.Series) -> LabelledRows:
        """Return the labels of the rows of `scores`."""
        return self._labelled if scores.index is self._index else LabelledRows(scores.index, self._labels)


def _rows_by_name(names: pd.Series) -> dict[str, slice | npt.NDArray[np.intp]]:
    """Return the places of the rows of every name: a slice of those that follow one another."""
    column = _column(names)

    def find_changes(first: int) -> tuple[npt.NDArray[np.intp], pa.ChunkedArray]:
        there = column.slice(first + 1, ROWS_AT_ONCE)
        before = column.slice(first, len(there))
        if there.equals(before):  # A fifth of the time of comparing row by row.
            return np.zeros(0, dtype=np.intp), there.slice(0, 0)
        # Beside a missing name another begins.
        changes = pc.fill_null(pc.not_equal(before, there), True)
        return first + 1 + np.flatnonzero(changes.to_numpy(zero_copy_only=False)), there.filter(changes)

    # To hand a block to another core takes as long as to compare it.
    blocks = range(0, len(column), ROWS_AT_ONCE)
    shares = [blocks[first : first + BLOCKS_AT_ONCE] for first in range(0, len(blocks), BLOCKS_AT_ONCE)]
    found = list(chain.from_iterable(map_on_cores(lambda share: list(map(find_changes, share)), shares)))
    begins = np.concatenate([np.zeros(min(len(column), 1), dtype=np.intp), *(places for places, _ in found)])
    begun = pa.chunked_array(
        [*column.slice(0, 1).chunks, *(chunk for _, each in found for chunk in each.chunks)], column.type
    )
    codes, known = pd.factorize(begun.to_pandas())
    if len(known) == len(begins):
        return dict(zip(known, (slice(*ends) for ends in pairwise([*begins, len(column)])), strict=True))
    codes = np.repeat(codes, np.diff(begins, append=len(column)))
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(known) + 1))
    return {name: order[first:end] for name, (first, end) in zip(known, pairwise(ends), strict=True)}


def _are_equal(one: pd.Series, other: pd.Series) -> bool:
    if isinstance(one.dtype, np.dtype) and one.dtype == other.dtype and one.dtype != object:
        values = one.to_numpy(), other.to_numpy()
        if one.dtype.kind == "M":  # As whole numbers they take a third of the time, and a missing date equals another.
            values = values[0].view(np.int64), values[1].view(np.int64)
        return np.array_equal(*values)
    return bool(_column(one).equals(_column(other)))


def _index_of(table: pd.DataFrame) -> pd.MultiIndex:
    """Return the index that ``set_index`` makes, with a core for each of its two levels."""
    numbered: list[Callable[[], tuple[npt.NDArray[np.intp], pd.Index]]] = [
        partial(number_dates, table["datetime"]),
        partial(pd.factorize, table["instrument"], sort=True),
    ]
    codes, levels = zip(*map_on_cores(lambda number: number(), numbered), strict=True)
    return pd.MultiIndex(levels=levels, codes=codes, names=KEYS, verify_integrity=False)


def _column(values: pd.Series) -> pa.ChunkedArray:
    """Return a column as Arrow has it, which compares texts without the lock of the interpreter."""
    made = pa.array(values)
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])
