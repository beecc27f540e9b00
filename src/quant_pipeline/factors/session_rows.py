"""The rows of a panel by session, as kernels take them that compare the instruments of a session."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.factors.kernels import entries

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def sorting_space(longest: int) -> tuple[npt.NDArray[Any], ...]:
    """Return the room in which kernels sort sessions of up to so many rows, see `kernels.sorting.sort_rows`."""
    entries, counts = np.empty((3, longest), dtype=np.uint64), np.empty((4, 256), dtype=np.uint64)
    return entries, counts, np.empty((4, longest), dtype=np.uint32), np.empty((2, longest))


class SessionRows:
    """Which rows belong to which session, and which of them take part in a comparison.

    Parameters
    ----------
    index
        Of the panel, ``(datetime, instrument)``, in any order.
    traded
        Whether the instrument of a row trades in its session; None: all do.
    """

    def __init__(self, index: pd.MultiIndex, traded: npt.NDArray[np.bool_] | None = None) -> None:
        self._days = np.asarray(index.codes[index.names.index("datetime")])
        self.traded = None if traded is None or traded.all() else traded

    @property
    def codes(self) -> Codes:
        """Number of the session of each row; not every number has to have a row."""
        return self._days.astype(np.int64)

    @cached_property
    def _begins(self) -> npt.NDArray[np.intp]:
        """Rows whose session is not that of the row before."""
        return _changes(self._days)

    @cached_property
    def _order(self) -> npt.NDArray[np.intp] | None:
        """Rows by session, within it as they are; None where they lie like that."""
        together = len(np.unique(self._days[self._begins])) == len(self._begins)
        return None if together else np.argsort(self._days, kind="stable")

    @cached_property
    def starts(self) -> Codes:
        """First row of each session and, behind them, the number of rows, where the rows lie by session."""
        begins = self._begins if self._order is None else _changes(self._days[self._order])
        return np.append(begins, len(self._days)).astype(np.int64)

    @cached_property
    def _longest(self) -> int:
        return int(np.diff(self.starts).max(initial=0))

    @cached_property
    def _counted(self) -> npt.NDArray[np.uint8]:
        every = np.ones(len(self._days), dtype=np.uint8) if self.traded is None else self.traded.astype(np.uint8)
        return self._ordered(every)

    def prepare(self) -> None:
        """Find the sessions, before threads ask for them."""
        _ = self._longest, self._counted

    def compared(self, values: npt.NDArray[Any]) -> Doubles:
        """Return a copy of a column in double precision, in which the rows are missing that do not trade."""
        column = values.astype(np.float64)
        if self.traded is not None:
            column[~self.traded] = np.nan
        return column

    def rank(self, values: npt.NDArray[Any], *, as_share: bool = False) -> Doubles:
        """Rank a column; see `kernels.sessions.rank_in_sessions`."""
        column = self._ordered(self.compared(values))
        ranks = np.empty_like(column)
        space = sorting_space(self._longest)
        entries.rank_in_sessions(column, column.view(np.uint64), self.starts, int(as_share), space, ranks)
        if self._order is None:
            return ranks
        self._put(ranks, column)
        return column

    def scale(self, values: npt.NDArray[Any], out: Floats, *, robust: bool) -> None:
        """Centre and scale a column, in which infinite values are missing; see `kernels.sessions.scale_in_sessions`."""
        column = self.compared(values)
        column[~np.isfinite(column)] = np.nan
        column, scaled = self._ordered(column), self._room(out)
        entries.scale_in_sessions(column, self.starts, int(robust), np.empty(self._longest), scaled)
        self._put(scaled, out)

    def fill(self, column: Floats) -> None:
        """Fill a column in place; see `kernels.sessions.fill_in_sessions`."""
        values = self._ordered(column)
        entries.fill_in_sessions(values, self._counted, self.starts)
        self._put(values, column)

    def _ordered(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column if self._order is None else column[self._order]

    def _room(self, out: Floats) -> Floats:
        return out if self._order is None else np.empty_like(out)

    def _put(self, ordered: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        if self._order is not None:
            out[self._order] = ordered


def _changes(days: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.append(True, days[1:] != days[:-1])[: len(days)])
