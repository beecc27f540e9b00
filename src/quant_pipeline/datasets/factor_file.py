"""Factors given as a Parquet file; none is a valid answer."""

from typing import Any

import pandas as pd
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.common.places import Place
from quant_pipeline.datasets.previews import preview_rows, preview_table

HDF = b"\x89HDF\r\n\x1a\n"
"""How a file of HDF5 begins."""


class FactorFile(AbstractDataset[None, pd.DataFrame | None]):
    """Read a Parquet table of factors when one is named.

    Parameters
    ----------
    filepath
        The file; None loads None.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath) if filepath else None
        self.metadata = metadata

    def load(self) -> pd.DataFrame | None:
        """Read the file as it is; its users check it."""
        if self._place is None:
            return None
        file = self._place.fetch()
        if not file.is_file():
            raise FactorError(f"there is no factor file {self._place}. Put it there, or correct its path.")
        with file.open("rb") as opened:
            is_hdf = opened.read(8) == HDF
        if is_hdf:
            raise FactorError(
                f"{self._place} is HDF, as RD-Agent writes a single factor; write it as Parquet: "
                f"pandas.read_hdf('{file.name}').to_frame().to_parquet('{file.stem}.parquet'), "
                "without to_frame() where it holds several factors."
            )
        try:
            return pd.read_parquet(file)
        except (OSError, ValueError) as error:
            raise FactorError(f"{self._place} cannot be read as Parquet: {error}") from error

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows, for kedro-viz; none without a file."""
        table = self.load()
        return preview_rows([], []) if table is None else preview_table(table, nrows)

    def save(self, data: None) -> None:
        """Refuse: the project does not write this file."""
        raise NotImplementedError("a factor file is read-only")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": None if self._place is None else str(self._place)}
