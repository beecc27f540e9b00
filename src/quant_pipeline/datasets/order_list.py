"""The orders of a session as CSV, in a file that is named by the session in which they execute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.places import Place
from quant_pipeline.datasets.previews import preview_optional
from quant_pipeline.reports.spreadsheet import as_it_was, csv_text

EXECUTES, DECIDED = "executes_on", "decided_on"
"""Columns, and attributes of a table without rows: session of the execution, and of the decision."""


class OrderList(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Orders of one session: ``<execution session>.csv`` in a folder.

    Parameters
    ----------
    filepath
        The folder.
    as_of
        Session of the decision, the one of the run.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, as_of: str, metadata: dict[str, Any] | None = None) -> None:
        self._place, self._as_of = Place.of(filepath), str(as_of)
        self.metadata = metadata

    def save(self, data: pd.DataFrame) -> None:
        """Write the orders completely or not at all; `data` names the session of their execution in ``attrs``."""
        write_text(self._place.path / f"{data.attrs[EXECUTES]}.csv", csv_text(data))
        self._place.publish()

    def load(self) -> pd.DataFrame:
        """Read the orders that were decided in the session."""
        file = self.file
        if not file.is_file():
            return pd.DataFrame()
        found = as_it_was(pd.read_csv(file))
        return found[found[DECIDED] == self._as_of].reset_index(drop=True)

    @property
    def file(self) -> Path:
        """The first file after the session of the decision; orders execute in the session that follows."""
        folder = self._place.fetch()
        later = sorted(file for file in folder.glob("????-??-??.csv") if file.stem > self._as_of)
        return later[0] if later else folder / f"after {self._as_of}.csv"

    def preview(self, nrows: int = 5) -> TablePreview:
        """First orders, for kedro-viz."""
        return preview_optional(self.load(), nrows)

    def _exists(self) -> bool:
        if not self.file.is_file():
            return False
        # A list without orders does not say when it was decided: it may be that of a later session.
        return not self.load().empty

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place), "as_of": self._as_of}
