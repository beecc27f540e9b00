"""A panel ``(datetime, instrument) × column`` as one Parquet file per calendar year."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from quant_pipeline.exceptions import MarketDataError


class YearlyPanel(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Save and load a panel year by year.

    A year whose content did not change keeps its file, so appending one session rewrites the current year only.

    Parameters
    ----------
    filepath
        Folder of the ``<year>.parquet`` files.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read all years, sorted by ``(datetime, instrument)``."""
        files = sorted(self._folder.glob("*.parquet"))
        if not files:
            raise MarketDataError(
                f"No panel in {self._folder}. Run the stage that writes it: kedro run --pipelines features"
            )
        return pd.concat([pd.read_parquet(file) for file in files])

    def save(self, data: pd.DataFrame) -> None:
        """Write the years of ``data``; years that it does not hold any more are removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        years = data.index.get_level_values("datetime").year
        wanted = set()
        for year in years.unique():
            file = self._folder / f"{year}.parquet"
            wanted.add(file.name)
            _replace_if_changed(data[years == year], file)
        for stale in self._folder.glob("*.parquet"):
            if stale.name not in wanted:
                stale.unlink()

    def preview(self, nrows: int = 5) -> dict[str, Any]:
        """First rows and columns, for kedro-viz."""
        head = pd.read_parquet(min(self._folder.glob("*.parquet"))).head(nrows).iloc[:, :8].reset_index()
        return head.astype(str).to_dict(orient="split")

    def _exists(self) -> bool:
        return any(self._folder.glob("*.parquet"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _replace_if_changed(year: pd.DataFrame, file: Path) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        year.to_parquet(beside)
        if not file.exists() or file.read_bytes() != beside.read_bytes():
            beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
