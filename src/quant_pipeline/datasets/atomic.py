"""Kedro's datasets of files (Parquet, CSV, JSON, text, figures), made safe: written beside their place and renamed.

``--only-missing-outputs`` asks only whether a file exists; a truncated one would count as done after a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io.core import get_protocol_and_path
from kedro.utils import CLOUD_PROTOCOLS, HTTP_PROTOCOLS
from kedro_datasets import json, pandas, text
from kedro_datasets._typing import HTMLPreview, PlotlyPreview, TablePreview

from quant_pipeline.common.atomic import replacing_file, write_text
from quant_pipeline.common.places import LOCAL, protocol_of, require_files
from quant_pipeline.datasets.previews import preview_document, preview_table

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure as PlotlyFigure


AS_UTF_8: dict[str, Any] = {
    "open_args_save": {"mode": "w", "encoding": "utf-8"},
    "open_args_load": {"mode": "r", "encoding": "utf-8"},
}
"""How files of text are opened: Kedro's datasets would take the encoding of the locale, in which a page may not fit."""


class _AtomicSave:
    """Redirect ``save`` of a single-file dataset to a neighbour and rename it into place.

    In a bucket a file appears as a whole by itself. An address that is neither a path nor a bucket's is refused.
    """

    _filepath: PurePosixPath
    _protocol: str

    def __init__(self, *, filepath: str, **options: Any) -> None:
        # Kedro takes some addresses of databases for paths of this machine.
        require_files(str(filepath))
        super().__init__(filepath=_with_every_name(str(filepath)), **options)  # type: ignore[call-arg]

    def save(self, data: Any) -> None:
        """Write ``data`` completely or not at all."""
        if self._protocol not in LOCAL:
            super().save(data)  # type: ignore[misc]
            return
        target = Path(self._filepath)
        with replacing_file(target) as beside:
            self._filepath = PurePosixPath(beside)
            try:
                super().save(data)  # type: ignore[misc]
            finally:
                self._filepath = PurePosixPath(target)
            self._is_written(beside)

    def _is_written(self, beside: Path) -> None:
        """Look at the file that will take the place of the former one, which by then another process may replace."""


def _with_every_name(address: str) -> str:
    """Return an address of which Kedro leaves no name out.

    Behind protocols that it does not know as those of buckets it takes the first name for that of a server.
    """
    protocol = protocol_of(address)
    if protocol is None or protocol in (*CLOUD_PROTOCOLS, *HTTP_PROTOCOLS):
        return address
    from fsspec import get_filesystem_class

    path = get_filesystem_class(protocol)._strip_protocol(address).lstrip("/")
    return address if get_protocol_and_path(address)[1].lstrip("/") == path else f"{protocol}:///{path}"


class ParquetTable(_AtomicSave, pandas.ParquetDataset):
    """A table as Parquet.

    Parameters
    ----------
    csv_twin
        Whether to write the table as CSV beside it too, for users and spreadsheets: rounded, with the same name.
    **options
        As for `kedro_datasets.pandas.ParquetDataset`.
    """

    def __init__(self, *, csv_twin: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self._csv_twin = csv_twin

    def save(self, data: DataFrame) -> None:
        """Write the twin, and then the table, each completely or not at all: a table that is there has its twin."""
        if self._csv_twin:
            from quant_pipeline.reports.spreadsheet import csv_text

            named = data if all(name is None for name in data.index.names) else data.reset_index()
            twin = self._filepath.with_suffix(".csv")
            if self._protocol in LOCAL:
                write_text(Path(twin), csv_text(named))
            else:
                self._fs.pipe_file(str(twin), csv_text(named).encode())
        super().save(data)

    def load_where(self, column: str, values: Sequence[str]) -> DataFrame:
        """Read only the rows whose column holds one of some values."""
        from pandas import read_parquet

        with self._fs.open(str(self._filepath), "rb") as file:
            return read_parquet(file, filters=[(column, "in", list(values))])

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows, for kedro-viz."""
        return preview_table(self.load(), nrows)


class CsvTable(_AtomicSave, pandas.CSVDataset):
    """A table as CSV, for users and spreadsheets; numbers are rounded to what they mean, see `reports.spreadsheet`.

    A spreadsheet runs a cell that begins with ``= + - @`` or a tab as a formula. Such a text is written with
    an apostrophe before it (OWASP, "CSV Injection") and read without; numbers stay as they are.
    """

    DEFAULT_FS_ARGS = AS_UTF_8

    def save(self, data: DataFrame) -> None:
        """Write the table completely or not at all, with no cell that a spreadsheet would run."""
        from quant_pipeline.reports.spreadsheet import rounded, safe

        super().save(safe(rounded(data)))

    def load(self) -> DataFrame:
        """Read the table as it was saved."""
        from quant_pipeline.reports.spreadsheet import as_it_was

        return as_it_was(super().load())


class JsonDocument(_AtomicSave, json.JSONDataset):
    """A mapping as JSON."""

    DEFAULT_FS_ARGS = AS_UTF_8


class TextDocument(_AtomicSave, text.TextDataset):
    """A text, for instance an HTML page."""

    DEFAULT_FS_ARGS = AS_UTF_8

    def preview(self) -> HTMLPreview:
        """Words and tables of a page, or the text itself, for kedro-viz."""
        return preview_document(self.load(), is_page=Path(self._filepath).suffix == ".html")


class Figure(_AtomicSave, text.TextDataset):
    """A plotly figure as JSON, which kedro-viz previews.

    Kedro's own dataset imports Jupyter's widgets and validators, which costs every command some seconds.
    """

    DEFAULT_FS_ARGS = AS_UTF_8

    def load(self) -> PlotlyFigure:
        """Read the figure."""
        import plotly.io

        return plotly.io.from_json(super().load())

    def save(self, data: PlotlyFigure) -> None:
        """Write the figure completely or not at all."""
        super().save(data.to_json())

    def preview(self) -> PlotlyPreview:
        """Return the figure for kedro-viz."""
        return PlotlyPreview(loads(super().load()))
