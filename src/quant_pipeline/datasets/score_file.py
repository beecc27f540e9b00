"""Scores that were made elsewhere, in a file that need not exist."""

from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset
from kedro.io.core import DatasetError
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import Place
from quant_pipeline.datasets.previews import preview_rows, preview_table

COLUMNS = ["date", "instrument", "score"]


class ScoreFile(AbstractDataset[NoReturn, pd.DataFrame | None]):
    """One score per instrument and session, as CSV or Parquet; a run takes those of its own session.

    Parameters
    ----------
    filepath
        The file, with the columns ``date``, ``instrument``, ``score``.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._place = Place.of(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame | None:
        """Read ``datetime``, ``instrument``, ``score``; None when there is no file.

        Raises
        ------
        ConfigurationError
            When the file cannot be read, a column is missing, a row has no date or instrument, a score is no number, or
            an instrument stands there twice.
        """
        file, named = self._place.fetch(), str(self._place)
        if not file.exists():
            return None
        try:
            table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{named} cannot be read: {error}; write it again as CSV or Parquet") from error
        missing = set(COLUMNS) - set(table.columns)
        if missing:
            raise ConfigurationError(f"{named} lacks the column {', '.join(sorted(missing))}")
        try:
            typed = table.astype({"date": "datetime64[ns]", "instrument": "str", "score": "float64"})
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"{named}: {error}; dates are YYYY-MM-DD, scores are numbers") from error
        incomplete = typed[["date", "instrument"]].isna().any(axis=1).to_numpy().nonzero()[0]
        if len(incomplete):
            raise ConfigurationError(f"{named}, row {incomplete[0] + 1} has no date or no instrument; complete it")
        twice = typed.loc[typed.duplicated(["date", "instrument"]), "instrument"]
        if len(twice):
            raise ConfigurationError(f"{named} has {twice.iloc[0]} twice on one date; keep one score of it")
        return typed.rename(columns={"date": "datetime"})[["datetime", "instrument", "score"]]

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows, for kedro-viz; none without a file."""
        table = self.load()
        return preview_rows(COLUMNS, []) if table is None else preview_table(table, nrows)

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: these scores are made elsewhere."""
        raise DatasetError("the file of scores is not written by this project")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}
