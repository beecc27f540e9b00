"""Feature panels as models read them: some rows and columns at a time, whether they lie in memory or in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

Places = npt.NDArray[np.int64]
Digests: TypeAlias = dict[str | None, str]
"""Digests of columns by their names; that of the index is None."""
MakeDigests: TypeAlias = Callable[[Sequence[str | None]], Digests]

AT_ONCE: Final = 2**24
"""Values of a panel that are read and processed together; 64 MiB in single precision."""


_files_in_sight: ContextVar[bool] = ContextVar("files_in_sight", default=False)


@contextmanager
def files_in_sight(are_seen: bool) -> Iterator[None]:
    """Say whether processes that panels are pickled for see the files of this one: names then travel, not values."""
    token = _files_in_sight.set(are_seen)
    try:
        yield
    finally:
        _files_in_sight.reset(token)


def are_files_in_sight() -> bool:
    """Return what `files_in_sight` says."""
    return _files_in_sight.get()


@runtime_checkable
class FeaturePanel(Protocol):
    """A panel ``(datetime, instrument) × factor`` of which rows and columns are read when they are needed."""

    @property
    def index(self) -> pd.MultiIndex:
        """Of all rows."""
        ...

    @property
    def columns(self) -> pd.Index:
        """Names of the columns."""
        ...

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """What the panel says about itself, as pandas keeps it."""
        ...

    @property
    def seams(self) -> Sequence[int]:
        """Places at which another file begins, ascending: rows between two of them are best read together."""
        ...

    @property
    def starts(self) -> Places | None:
        """Places at which each session begins; None when the rows are not in the order of sessions."""
        ...

    def digests(self, rows: slice, names: Sequence[str | None], make: MakeDigests) -> Digests:
        """Return digests of columns in a stretch of rows; those that are not known are made, and kept.

        Parameters
        ----------
        rows
            Stretch of rows, with a start and a stop.
        names
            Of columns; None is the index.
        make
            Makes those of some columns, by reading these rows of them.
        """
        ...

    def read(self, rows: slice | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return rows and columns as a table.

        Parameters
        ----------
        rows
            Stretch of rows, with a start and a stop; None reads all.
        columns
            Names, in the order that they are wanted in; None reads all.
        """
        ...


Features: TypeAlias = pd.DataFrame | FeaturePanel
"""What everything takes that reads features: a table, or a panel that is read when it is needed."""


class MemoryPanel:
    """A table behind the interface of a panel that is read when it is needed.

    Parameters
    ----------
    table
        Panel ``(datetime, instrument) × factor``, of which the panel shows the present state: what is written into the
        table later does not change it.
    """

    seams: Sequence[int] = ()

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table.copy(deep=False)
        self._digests: dict[tuple[int, int], Digests] = {}

    @property
    def index(self) -> pd.MultiIndex:
        """Of the table."""
        return self._table.index

    @property
    def columns(self) -> pd.Index:
        """Of the table."""
        return self._table.columns

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """Of the table."""
        return self._table.attrs

    @cached_property
    def starts(self) -> Places | None:
        """Of the table."""
        return session_starts(self.index)

    def digests(self, rows: slice, names: Sequence[str | None], make: MakeDigests) -> Digests:
        """Return digests, which are kept as long as the panel is."""
        known = self._digests.setdefault((rows.start, rows.stop), {})
        if missing := [name for name in names if name not in known]:
            known |= make(missing)
        return {name: known[name] for name in names}

    def read(self, rows: slice | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return rows and columns; those that lie beside each other are not copied."""
        table = self._table if rows is None else self._table.iloc[rows]
        return table if columns is None else columns_of(table, list(columns))


class PanelView:
    """A stretch of rows of a panel, and some of its columns.

    Parameters
    ----------
    features
        Where they are read from.
    rows
        The stretch; None takes all rows.
    columns
        Names; None takes all.
    """

    def __init__(self, features: Features, rows: slice | None = None, columns: Sequence[str] | None = None) -> None:
        self._source = as_panel(features)
        length = len(self._source.index)
        self._first, stop, _ = slice(0, length).indices(length) if rows is None else rows.indices(length)
        index = self._source.index
        self.index: pd.MultiIndex = index if rows is None else index[self._first : stop].remove_unused_levels()
        self.columns = self._source.columns if columns is None else pd.Index(list(columns), dtype="str")
        inside = (seam - self._first for seam in self._source.seams)
        self.seams: Sequence[int] = [seam for seam in inside if 0 < seam < len(self.index)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as a table of this stretch and these columns alone, or by the names of files."""
        if are_files_in_sight() and not isinstance(self._source, MemoryPanel):
            stretch = slice(self._first, self._first + len(self.index))
            return PanelView, (self._source, stretch, list(self.columns))
        return MemoryPanel, (self.read(),)

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """Of the whole panel."""
        return self._source.attrs

    @cached_property
    def starts(self) -> Places | None:
        """Of the stretch."""
        starts = self._source.starts
        if starts is None:
            return session_starts(self.index)
        first, end = np.searchsorted(starts, [self._first + 1, self._first + len(self.index)])
        return np.concatenate([np.zeros(min(len(self.index), 1), dtype=np.int64), starts[first:end] - self._first])

    def digests(self, rows: slice, names: Sequence[str | None], make: MakeDigests) -> Digests:
        """Return digests of the panel that the stretch is cut from."""
        return self._source.digests(slice(self._first + rows.start, self._first + rows.stop), names, make)

    def read(self, rows: slice | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return rows and columns of the stretch, see `FeaturePanel.read`."""
        start, stop = (0, len(self.index)) if rows is None else (rows.start, rows.stop)
        wanted = list(self.columns) if columns is None else columns
        table = self._source.read(slice(self._first + start, self._first + stop), wanted)
        return table.set_axis(self.index[start:stop])


def as_panel(features: Features) -> FeaturePanel:
    """Return a table or a panel behind the interface of a panel."""
    return MemoryPanel(features) if isinstance(features, pd.DataFrame) else features


def columns_of(features: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return columns of a panel; those that lie beside each other in it are not copied."""
    places = features.columns.get_indexer(names)
    if len(places) and places[0] >= 0 and (np.diff(places) == 1).all():
        return features.iloc[:, places[0] : places[-1] + 1]
    return features[names]


def blocks_of(panel: FeaturePanel, rows: slice, most_values: int | None = None) -> Iterator[slice]:
    """Cut a stretch of rows into blocks of whole sessions, where files begin if that is possible.

    Parameters
    ----------
    panel
        The panel; one that is not sorted stays one block.
    rows
        The stretch; it begins and ends with a session.
    most_values
        Values of a block, unless one session has more, or a quarter more end where a file does; None: `AT_ONCE`.
    """
    most = (AT_ONCE if most_values is None else most_values) // max(len(panel.columns), 1)
    starts = panel.starts
    if rows.stop - rows.start <= most or starts is None:
        yield rows
        return
    seams, start = np.asarray(panel.seams, dtype=np.int64), rows.start
    while rows.stop - start > most:
        one_session = np.searchsorted(starts, start, side="right")
        shortest = int(starts[one_session]) if one_session < len(starts) else rows.stop
        # A few rows before a seam would be a block of their own, for which a part of the file is read twice.
        end = _last_of(seams, start, start + most + most // 4) or _last_of(starts, start, start + most) or shortest
        yield slice(start, end)
        start = end
    if start < rows.stop:
        yield slice(start, rows.stop)


def _last_of(places: Places, after: int, until: int) -> int | None:
    """Return the last of ascending places beyond a place and not beyond another one."""
    found = int(np.searchsorted(places, until, side="right")) - 1
    return int(places[found]) if found >= 0 and places[found] > after else None


def session_starts(index: pd.MultiIndex) -> Places | None:
    """Compare all rows of an index with those before them; a panel does so once, see `FeaturePanel.starts`."""
    days = index.codes[0]
    steps = np.diff(days, prepend=days[:1] - 1)
    if not index.levels[0].is_monotonic_increasing or (steps < 0).any():
        return None
    return np.flatnonzero(steps)


def rows_of_windows(panel: FeaturePanel, rows: Places, sessions: int) -> slice:
    """Return the stretch of a panel that some of its rows depend on: their sessions and those just before, whole.

    Parameters
    ----------
    panel
        The panel; of one that is not sorted everything is needed.
    rows
        Positions of the rows.
    sessions
        Sessions that a row reads, its own included.
    """
    starts, length = panel.starts, len(panel.index)
    if len(rows) == 0 or starts is None:
        return slice(0, length)
    first = int(np.searchsorted(starts, rows.min(), side="right")) - sessions
    last = int(np.searchsorted(starts, rows.max(), side="right"))
    return slice(int(starts[max(first, 0)]), int(starts[last]) if last < len(starts) else length)


def take_rows(features: Features, rows: Places, columns: Sequence[str]) -> pd.DataFrame:
    """Return single rows of a panel.

    Parameters
    ----------
    features
        The panel.
    rows
        Their places, ascending.
    columns
        Names of columns.
    """
    panel = PanelView(features, columns=columns)
    if len(rows) == 0:
        return panel.read(slice(0, 0))
    parts = []
    for block in blocks_of(panel, rows_of_windows(panel, rows, 1)):
        first, end = np.searchsorted(rows, [block.start, block.stop])
        if end > first:
            parts.append(panel.read(block).iloc[rows[first:end] - block.start])
    return parts[0] if len(parts) == 1 else pd.concat(parts)
