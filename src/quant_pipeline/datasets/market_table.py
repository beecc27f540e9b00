"""Large tables of the market, which many nodes of a run read: written quickly, and loaded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from quant_pipeline.common.places import LOCAL
from quant_pipeline.datasets.point_in_time import PointInTimeTable

MOST_KEPT: Final = 2**30
"""Bytes of the largest table that stays in memory between two nodes; a larger one is read by each of them."""

_State = tuple[int, int, int]


class MarketTable(PointInTimeTable):
    """A table of the market as Parquet, of which a run sees what was known at the close of its session.

    Numbers differ from row to row, so that no dictionary of them is made, which takes longer than to write them; names
    and dates repeat. What was loaded stays in memory until the runner releases it, or to the end of a run that does not
    make it, so that the nodes of a run share it; each gets a table of its own, whose values are copied when it is
    written to by pandas (but not by the arrays below its columns). A file that was replaced meanwhile is read again.

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
        self._kept: tuple[_State, pd.DataFrame] | None = None

    def load(self) -> pd.DataFrame:
        """Read the rows up to the session, or return those that were read before."""
        state, kept = self._state(), self._kept
        if kept is None or state is None or kept[0] != state:
            self._kept = None
            table = super().load()
            if state is None or table.memory_usage(index=False).sum() > MOST_KEPT:
                return table
            self._kept = kept = state, table
        return kept[1].copy(deep=False)

    def _state(self) -> _State | None:
        """Return what tells a file from the one that takes its place; None in a bucket."""
        if self._protocol not in LOCAL:
            return None
        try:
            status = os.stat(Path(self._filepath))
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _release(self) -> None:
        super()._release()
        self._kept = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: it reads the table itself."""
        return self.__dict__ | {"_kept": None}
