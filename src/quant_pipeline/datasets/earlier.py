"""Tables that may not be there: of an earlier session, or of a stage that has not run yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset
from kedro.io.core import DatasetError

from quant_pipeline.datasets.atomic import ParquetTable


class OptionalTable(ParquetTable):
    """A table as Parquet; none where its stage has not run yet."""

    def load(self) -> pd.DataFrame | None:
        """Read the table; None when there is none."""
        return super().load() if self._exists() else None


class EarlierTable(AbstractDataset[NoReturn, pd.DataFrame | None]):
    """The newest of the tables of earlier sessions, which lie in folders named by their sessions.

    Parameters
    ----------
    folder
        Folder of the sessions' folders.
    file
        Name of the Parquet file in each of them.
    before
        The session of the run; its own table and later ones are none of the earlier.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, *, folder: str, file: str, before: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder, self._file, self._before = Path(folder), file, str(before)
        self.metadata = metadata

    def load(self) -> pd.DataFrame | None:
        """Read the newest table of an earlier session; None when there is none."""
        earlier = [path for path in self._folder.glob(f"????-??-??/{self._file}") if path.parent.name < self._before]
        return pd.read_parquet(max(earlier)) if earlier else None

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: each session writes its own table."""
        raise DatasetError(f"the {self._file} of an earlier session is not written again")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder), "file": self._file, "before": self._before}
