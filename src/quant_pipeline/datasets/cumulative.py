"""Logs that grow: one file, not a longer copy for every session."""

from __future__ import annotations

from typing import Any

import pandas as pd

from quant_pipeline.datasets.atomic import ParquetTable
from quant_pipeline.datasets.point_in_time import PointInTimeTable, cut_at

COVERS = "covers"
"""Attribute of the stored table: the last session that it was written for."""


class CumulativeTable(PointInTimeTable):
    """A log of the account as Parquet, of which a run writes and sees what was known at the close of its session.

    A run of an earlier session than the newest one replaces the rows up to its own session, and keeps the later ones.
    The file exists, for ``--only-missing-outputs``, as soon as it reaches the session of the run.

    Parameters
    ----------
    as_of, column, **options
        As for `PointInTimeTable`.
    """

    def save(self, data: pd.DataFrame) -> None:
        """Write the rows up to the session of the run, with the later ones that are stored."""
        stored = self.load_stored() if super().exists() else None
        covers = str(stored.attrs.get(COVERS, "")) if stored is not None else ""
        if stored is not None and covers > self._as_of and self._column in stored.columns:
            later = stored[stored[self._column] > pd.Timestamp(self._as_of)]
            data = (
                pd.concat([cut_at(data, self._as_of, self._column), later], ignore_index=True) if len(later) else data
            )
        written = data.copy(deep=False)
        written.attrs = {**data.attrs, COVERS: max(covers, self._as_of)}
        super().save(written)

    def _exists(self) -> bool:
        """Return whether the log reaches the session of the run."""
        if not super()._exists():
            return False
        return str(self.load_stored().attrs.get(COVERS, "")) >= self._as_of

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "as_of": self._as_of}


class EarlierLog(CumulativeTable):
    """A log as earlier runs have left it, for the run that continues it; none before the first."""

    is_optional = True

    def load(self) -> pd.DataFrame | None:
        """Read the rows up to the session; None when there is no log."""
        return super().load() if ParquetTable._exists(self) else None
