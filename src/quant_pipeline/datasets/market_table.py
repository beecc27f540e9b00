"""Large tables of the market, which many nodes of a run read: written where they have changed, and loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd
import pyarrow as pa

from quant_pipeline.common.places import LOCAL
from quant_pipeline.datasets.file_stamps import Stamp, stamp_of
from quant_pipeline.datasets.point_in_time import PointInTimeTable, cut_at
from quant_pipeline.datasets.same_rows import holds

MOST_KEPT: Final = 2**30
"""Bytes of the largest table that stays in memory between two nodes; a larger one is read by each of them."""


class MarketTable(PointInTimeTable):
    """A table of the market as Parquet, of which a run sees what was known at the close of its session.

    Numbers differ from row to row, so that no dictionary of them is made, which takes longer than to write them; names
    and dates repeat. A file that holds the very table already, to the bit of every number, stays as it is: it is read
    through, which takes a third of writing it. What was saved or loaded stays in memory until the runner releases it,
    or to the end of a run that does not make it, so that the nodes of a run share it; each gets a table of its own,
    whose values are copied when it is written to by pandas (but not by the arrays below its columns). A file that was
    replaced meanwhile is read again.

    Parameters
    ----------
    as_of, column, **options
        As for `PointInTimeTable`.
    """

    DEFAULT_SAVE_ARGS: ClassVar[dict[str, Any]] = {
        "compression": "lz4",
        "use_dictionary": ["date", "instrument"],
        "write_statistics": ["date", "instrument"],
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._kept: tuple[Stamp, pd.DataFrame] | None = None
        self._saved: Stamp | None = None

    def load(self) -> pd.DataFrame:
        """Read the rows up to the session, or return those that were read before."""
        state, kept = self._state(), self._kept
        if kept is None or state is None or kept[0] != state:
            self._kept = None
            table = super().load()
            self._keep(state, table)
            return table.copy(deep=False)
        return kept[1].copy(deep=False)

    def save(self, data: pd.DataFrame) -> None:
        """Write the table, unless its file holds it, and keep what the nodes of the run will load."""
        self._kept = None
        # Before the file is read: one that takes its place meanwhile is another one.
        self._saved = self._state()
        if not self._is_plain or not self._holds(data):
            super().save(data)
            self._saved = self._renamed(self._saved)
        if self._is_plain and _is_loaded_as_it_is(data, self._column):
            self._keep(self._saved, cut_at(data, self._as_of, self._column).copy(deep=False))

    @property
    def _is_plain(self) -> bool:
        """Whether the catalog asks for nothing that changes what is written, or what is loaded of it."""
        return not self._load_args and self._save_args == self.DEFAULT_SAVE_ARGS and not self._csv_twin

    def _keep(self, state: Stamp | None, table: pd.DataFrame) -> None:
        if state is not None and table.memory_usage(index=False).sum() <= MOST_KEPT:
            self._kept = state, table

    def _holds(self, data: pd.DataFrame) -> bool:
        """Whether the file holds this table; one that is damaged, or in a bucket, holds none."""
        return self._state() is not None and holds(Path(self._filepath), pa.Table.from_pandas(data))

    def _state(self) -> Stamp | None:
        """Return what tells a file from the one that takes its place; None in a bucket."""
        if self._protocol not in LOCAL:
            return None
        try:
            return stamp_of(Path(self._filepath))
        except FileNotFoundError:
            return None

    def _is_written(self, beside: Path) -> None:
        self._saved = stamp_of(beside)

    def _renamed(self, written: Stamp | None) -> Stamp | None:
        """Return the stamp of the file that was written, now that it has its name; None when another one has it."""
        state = self._state()
        is_same = state is not None and written is not None and state.but_for_name() == written.but_for_name()
        return state if is_same else None

    def _release(self) -> None:
        super()._release()
        self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: it reads the table itself."""
        return self.__dict__ | {"_kept": None}


def _is_loaded_as_it_is(table: pd.DataFrame, dates: str) -> bool:
    """Whether a table comes out of its file with the same types and rows, so that it can stand for what is loaded."""
    kinds = {str(name): str(kind) for name, kind in table.dtypes.items()}
    is_plain = set(kinds.values()) <= {"datetime64[ns]", "float64", "str"} and kinds.get(dates) == "datetime64[ns]"
    return is_plain and table.index.equals(pd.RangeIndex(len(table)))
