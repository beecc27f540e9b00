"""Tables that may not be there: of an earlier session, or of a stage that has not run yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset
from kedro.io.core import DatasetError

from quant_pipeline.datasets.atomic import ParquetTable, TextDocument


class OptionalTable(ParquetTable):
    """A table as Parquet; none where its stage has not run yet."""

    is_optional = True

    def load(self) -> pd.DataFrame | None:
        """Read the table; None when there is none."""
        return super().load() if self._exists() else None


class OptionalText(TextDocument):
    """A text; none where there is no file."""

    is_optional = True

    def load(self) -> str | None:
        """Read the text; None when there is none."""
        return super().load() if self._exists() else None


class EarlierTable(AbstractDataset[NoReturn, pd.DataFrame | None]):
    """The newest of the tables of earlier sessions, in folders or files named by their sessions.

    Parameters
    ----------
    folder
        Folder of the sessions' folders or files.
    file
        Name of the Parquet file in each folder; None where the files themselves are named by their sessions.
    before
        The session of the run; its own table and later ones are none of the earlier.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(
        self, *, folder: str, file: str | None = None, before: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder, self._file, self._before = Path(folder), file, str(before)
        self.metadata = metadata

    def load(self) -> pd.DataFrame | None:
        """Read the newest table of an earlier session; None when there is none."""
        pattern = "????-??-??.parquet" if self._file is None else f"????-??-??/{self._file}"
        files = self._folder.glob(pattern)
        found = {path.relative_to(self._folder).parts[0].removesuffix(".parquet"): path for path in files}
        earlier = [session for session in found if session < self._before]
        return pd.read_parquet(found[max(earlier)]) if earlier else None

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: each session writes its own table."""
        raise DatasetError(f"the {self._file or 'table'} of an earlier session is not written again")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder), "file": self._file, "before": self._before}
