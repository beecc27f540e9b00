"""Digests of panels, put together from one of every calendar year and column: equal digests mean equal values.

They depend on values alone. The same rows have the same digest in a table, in files and on another machine, so the
digest of a year that is over can be kept, and only what is new is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.common.same_memory import place_of
from quant_pipeline.models import panels
from quant_pipeline.models.panel_rows import known_at_close
from quant_pipeline.models.panels import Digests, FeaturePanel, Features, MemoryPanel, as_panel

DEFINITION: Final = 2
"""Version of what is hashed, and how: digests of two versions say nothing about each other."""
MOST_TABLES: Final = 8
"""Tables that `KnownTables` remembers."""


def digest_of(panel: Features, columns: Sequence[str], until: pd.Timestamp) -> str:
    """Hash index and values of some columns bit for bit; every missing value counts as the same.

    Parameters
    ----------
    panel
        Panel ``(datetime, instrument) × column``. One that is not in the order of sessions is hashed whole, and nothing
        is kept of it.
    columns
        Which, in the order that counts.
    until
        Last session that counts.
    """
    known = as_panel(panel)
    if known.starts is None:
        table = known_at_close(known, until).read(columns=columns)
        known = MemoryPanel(table.set_axis(_with_sorted_levels(table.index)))
    digest = hashlib.blake2b(json.dumps(list(columns)).encode(), digest_size=8)
    for rows in _stretches(known, until):
        parts = known.digests(rows, [None, *columns], partial(_make, known, rows))
        digest.update("".join(parts[name] for name in (None, *columns)).encode())
    return digest.hexdigest()


class KnownTables:
    """Tables that several fingerprints are made of, with the digests that are known of them.

    A table is recognised by the memory in which it lies. Another process begins without any.
    """

    def __init__(self) -> None:
        self._known: list[tuple[pd.DataFrame, list[object], MemoryPanel]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel empty."""
        return KnownTables, ()

    def panel_of(self, table: pd.DataFrame, index: Sequence[str] | None = None) -> MemoryPanel:
        """Return a table as a panel, the same one for the same table.

        Parameters
        ----------
        table
            The table.
        index
            Columns that become the index of the panel; None keeps that of the table.
        """
        places = [place_of(table.iloc[:, column]) for column in range(table.shape[1])]
        for held, where, panel in self._known:
            if where == places and held.index.is_(table.index) and held.columns.equals(table.columns):
                return panel
        panel = MemoryPanel(table if index is None else table[list(index)].set_index(list(index)))
        # While a shallow copy is held, pandas writes to a copy of this memory, and never into it.
        self._known = [*self._known[1 - MOST_TABLES :], (table.copy(deep=False), places, panel)]
        return panel


def _stretches(panel: FeaturePanel, until: pd.Timestamp) -> Iterator[slice]:
    """Cut the rows up to a session into calendar years; those of a panel that is not sorted stay together."""
    starts, days = panel.starts, panel.index.levels[0]
    if starts is None:
        yield slice(0, len(panel.index))
        return
    sessions = days.take(panel.index.codes[0][starts], allow_fill=True, fill_value=pd.NaT)
    known = int(np.count_nonzero(~(sessions > until)))
    begins = np.flatnonzero(np.diff(sessions[:known].year.to_numpy(), prepend=-1))
    end = starts[known] if known < len(starts) else len(panel.index)
    for start, stop in pairwise([*starts[begins], end]):
        yield slice(int(start), int(stop))


def _make(panel: FeaturePanel, rows: slice, names: Sequence[str | None]) -> Digests:
    """Hash the index, None, and columns of a stretch of rows, as many columns at once as are to be read at once."""
    digests: Digests = {None: _of_index(panel.index[rows])} if None in names else {}
    columns = [name for name in names if name is not None]
    at_once = max(panels.AT_ONCE // (rows.stop - rows.start), 1)
    for first in range(0, len(columns), at_once):
        table = panel.read(rows, columns[first : first + at_once])
        made = map_on_cores(_of_values, (table.iloc[:, place] for place in range(table.shape[1])))
        digests.update(zip(table.columns, made, strict=True))
    return digests


def _of_values(column: pd.Series) -> str:
    values = column.to_numpy()
    missing = np.isnan(values)
    if missing.any():
        values = np.where(missing, values.dtype.type(np.nan), values)
    digest = hashlib.blake2b(values.dtype.str.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _of_index(index: pd.MultiIndex) -> str:
    """Hash the names of each level, sorted, and where they stand; the place of a missing one is -1."""
    digest = hashlib.blake2b(digest_size=16)
    for level, codes in zip(index.levels, index.codes, strict=True):
        used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(level)))
        names = level[used].astype(str).to_numpy()
        order = np.argsort(names)
        places = np.full(len(level) + 1, -1, dtype=np.int32)
        places[used[order]] = np.arange(len(used))
        digest.update(json.dumps(list(names[order])).encode())
        digest.update(places[codes].data)
    return digest.hexdigest()


def _with_sorted_levels(index: pd.MultiIndex) -> pd.MultiIndex:
    """Return an index whose levels are in their order, whatever order its rows have."""
    levels = [index.get_level_values(level) for level in range(index.nlevels)]
    return pd.MultiIndex.from_arrays(levels, names=index.names)
