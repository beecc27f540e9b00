"""Tables that are written piece by piece, each under its own key, and read together."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.places import Place
from quant_pipeline.datasets.atomic import ParquetTable
from quant_pipeline.datasets.previews import preview_rows, preview_table

Chunks = dict[str, pd.DataFrame]
LazyChunks = dict[str, Callable[[], pd.DataFrame]]


class ChunkedTable(AbstractDataset[Chunks, LazyChunks]):
    """A folder of Parquet files, one per key; saving adds to it, a key may have folders (``a/b``).

    A folder without files loads as no chunks, so that a first run has something to start from. It never counts as
    existing: only the one who writes it knows whether all pieces are there.

    Parameters
    ----------
    filepath
        The folder.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath)
        self.metadata = metadata

    def load(self) -> LazyChunks:
        """Return a function per key that reads its table."""
        folder = self._place.fetch()
        found = sorted(folder.rglob("[!.]*.parquet"))
        return {file.relative_to(folder).with_suffix("").as_posix(): partial(pd.read_parquet, file) for file in found}

    def save(self, data: Chunks) -> None:
        """Write each table completely or not at all; the others stay."""
        for key, table in data.items():
            file = self._place.path / f"{key}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            ParquetTable(filepath=str(file)).save(table)
        self._place.publish()

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows of the first piece, for kedro-viz."""
        pieces = self.load()
        return preview_table(next(iter(pieces.values()))(), nrows) if pieces else preview_rows([], [])

    def _exists(self) -> bool:
        return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}
