"""Tables of the market as they were known at the close of the session of a run, whatever has been stored since.

A stage reads its tables through the catalog. What is cut here is cut for every stage, also for one of the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from quant_pipeline.common.places import LOCAL
from quant_pipeline.datasets.atomic import ParquetTable
from quant_pipeline.factors.labels import known_after


def cut_at(table: pd.DataFrame, as_of: str, column: str) -> pd.DataFrame:
    """Leave out the rows after a session; a table without any is returned as it is.

    Parameters
    ----------
    table
        Any table.
    as_of
        The session.
    column
        Column, or level of the index, that dates the rows.
    """
    session = pd.Timestamp(as_of)
    if column in table.columns:
        dates = table[column]
        is_known = (dates <= session).to_numpy()
        return table if is_known.all() else table[is_known].reset_index(drop=True)
    dates = table.index.get_level_values(column)
    if len(dates) == 0 or dates.max() <= session:
        return table
    kept = table[dates <= session]
    return kept.set_axis(kept.index.remove_unused_levels())


class PointInTimeTable(ParquetTable):
    """A table as Parquet, of which a run sees what was known at the close of its session.

    Of a table that reaches further, as its footer says, rows after the session are not brought into memory.

    Parameters
    ----------
    as_of
        The session of the run.
    column
        Column, or level of the index, that dates the rows.
    **options
        As for `kedro_datasets.pandas.ParquetDataset`.
    """

    def __init__(self, *, as_of: str, column: str = "date", **options: Any) -> None:
        super().__init__(**options)
        self._as_of, self._column = str(as_of), column

    def load(self) -> pd.DataFrame:
        """Read the rows up to the session."""
        return self._load_known()[0]

    def load_stored(self) -> pd.DataFrame:
        """Read all rows: what is known now, for commands that belong to no session."""
        return super().load()

    def load_where(self, column: str, values: Sequence[str]) -> pd.DataFrame:
        """Read the rows up to the session whose column holds one of some values."""
        return cut_at(super().load_where(column, values), self._as_of, self._column)

    def _load_known(self) -> tuple[pd.DataFrame, bool]:
        """Read the rows up to the session, and say whether the table has later ones."""
        if "filters" in self._load_args or self._ends_by_session():
            stored = super().load()
            # The file may be another one by now.
            table = cut_at(stored, self._as_of, self._column)
            return table, table is not stored
        until = [(self._column, "<=", pd.Timestamp(self._as_of))]
        with ExitStack() as opened:
            # By its path a file is read with less effort than through an object of Python.
            place = str(self._filepath)
            file = place if self._protocol in LOCAL else opened.enter_context(self._fs.open(place, "rb"))
            table = pd.read_parquet(file, filters=until, **self._load_args)
        return (table.reset_index(drop=True) if self._column in table.columns else table), True

    def _ends_by_session(self) -> bool:
        """Whether the footer of the file says that no row is later than the session."""
        with self._fs.open(str(self._filepath), "rb") as file:
            layout = pq.read_metadata(file)
        if self._column not in layout.schema.names:
            return True  # Who reads the table says what is missing.
        place = layout.schema.names.index(self._column)
        spans = [layout.row_group(group).column(place).statistics for group in range(layout.num_row_groups)]
        session = pd.Timestamp(self._as_of)
        return all(span is not None and span.has_min_max and pd.Timestamp(span.max) <= session for span in spans)


class LabelTable(PointInTimeTable):
    """Labels of which a run sees those that were realised at the close of its session; the others are missing."""

    def load(self) -> pd.DataFrame:
        """Read the labels up to the session."""
        table, is_cut = self._load_known()
        if not is_cut:
            return table
        days = table.index.get_level_values(self._column)
        sessions = days.unique().sort_values()
        later = known_after(str(table.attrs.get("expression", "")))
        # A label of which it is not known when it is realised is none.
        unknown = sessions[-later:] if later else sessions
        cut = table.assign(label=np.where(days.isin(unknown), np.nan, table["label"]))
        cut.attrs = dict(table.attrs)
        return cut
