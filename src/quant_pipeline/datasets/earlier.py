"""Tables that may not be there: of an earlier session, or of a stage that has not run yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset
from kedro.io.core import DatasetError
from kedro_datasets._typing import HTMLPreview, TablePreview

from quant_pipeline.common.places import Place
from quant_pipeline.datasets.atomic import ParquetTable, TextDocument
from quant_pipeline.datasets.previews import preview_document, preview_optional


class OptionalTable(ParquetTable):
    """A table as Parquet; none where its stage has not run yet."""

    is_optional = True

    def load(self) -> pd.DataFrame | None:
        """Read the table; None when there is none."""
        return super().load() if self._exists() else None

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows, for kedro-viz."""
        return preview_optional(self.load(), nrows)


class OptionalText(TextDocument):
    """A text; none where there is no file."""

    is_optional = True

    def load(self) -> str | None:
        """Read the text; None when there is none."""
        return super().load() if self._exists() else None

    def preview(self) -> HTMLPreview:
        """Words and tables of a page, or the text itself, for kedro-viz."""
        return super().preview() if self._exists() else preview_document("", is_page=True)


class EarlierTable(AbstractDataset[NoReturn, pd.DataFrame | None]):
    """The newest of the tables of earlier sessions, in folders named by their sessions.

    Parameters
    ----------
    folder
        Folder of the sessions' folders.
    file
        Name of the Parquet file in each folder.
    before
        The session of the run; its own table and later ones are none of the earlier.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, *, folder: str, file: str, before: str, metadata: dict[str, Any] | None = None) -> None:
        self._place, self._file, self._before = Place.of(folder), file, str(before)
        self.metadata = metadata

    def load(self) -> pd.DataFrame | None:
        """Read the newest table of an earlier session; None when there is none."""
        found = self._place.glob(f"????-??-??/{self._file}")
        earlier = [name for name in found if name < self._before]
        return pd.read_parquet((self._place / max(earlier)).fetch()) if earlier else None

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: each session writes its own table."""
        raise DatasetError(f"the {self._file} of an earlier session is not written again")

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows, for kedro-viz."""
        return preview_optional(self.load(), nrows)

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._place), "file": self._file, "before": self._before}


class EarlierTables(AbstractDataset[NoReturn, dict[str, Callable[[], pd.DataFrame]]]):
    """The tables of all earlier sessions, in files named by their sessions; each is read when it is asked for.

    Parameters
    ----------
    folder
        Folder of the Parquet files.
    before
        The session of the run; its own table and later ones are none of the earlier.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, *, folder: str, before: str, metadata: dict[str, Any] | None = None) -> None:
        self._place, self._before = Place.of(folder), str(before)
        self.metadata = metadata

    def load(self) -> dict[str, Callable[[], pd.DataFrame]]:
        """Return by session, ``2024-12-31``, a function that reads its table; as Kedro's partitioned dataset does."""
        sessions = (name.removesuffix(".parquet") for name in self._place.glob("????-??-??.parquet"))
        return {session: partial(self._read, session) for session in sessions if session < self._before}

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: each session writes its own table."""
        raise DatasetError("the tables of earlier sessions are not written again")

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows of the newest table, for kedro-viz."""
        tables = self.load()
        return preview_optional(tables[max(tables)]() if tables else None, nrows)

    def _read(self, session: str) -> pd.DataFrame:
        return pd.read_parquet((self._place / f"{session}.parquet").fetch())

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._place), "before": self._before}
