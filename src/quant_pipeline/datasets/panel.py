"""A panel ``(datetime, instrument) × column``: one Parquet file per calendar year, and a manifest that completes it."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.atomic import replacing_file, write_text
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.datasets.point_in_time import cut_at
from quant_pipeline.datasets.previews import preview_table

MANIFEST = "_manifest.json"
"""Readers of Parquet folders (pyarrow, polars, DuckDB) pass over names that begin with an underscore."""

PLAIN = {"compression": "none", "use_dictionary": ["instrument"], "write_statistics": False}
"""Factors are float noise: compression and dictionaries of them cost far more time than they save space."""


class YearlyPanel(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Save and load a panel year by year.

    The manifest lists the files with size and digest. It is removed before the first year is replaced and written when
    the last one is in place, so a panel that was interrupted does not exist, and years of two panels never mix. A year
    whose content did not change keeps its file.

    Parameters
    ----------
    filepath
        Folder of the ``<year>.parquet`` files.
    as_of
        Session of the run, which sees nothing later; None: everything.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(self, filepath: str, as_of: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self._as_of = None if as_of is None else str(as_of)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read all years, sorted by ``(datetime, instrument)``.

        Raises
        ------
        MarketDataError
            When there is no panel, or not all of it.
        """
        panel = _read(self._complete_files())
        return panel if self._as_of is None else cut_at(panel, self._as_of, "datetime")

    def save(self, data: pd.DataFrame) -> None:
        """Write the years of ``data``; years that it does not hold any more are removed."""
        known = self._read_manifest() or {}
        years = data.index.get_level_values("datetime").year
        manifest: dict[str, dict[str, Any]] = {}
        with ExitStack() as replacements:
            for year in years.unique():
                name = f"{year}.parquet"
                content = _to_parquet(data[years == year])
                manifest[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                if manifest[name] != known.get(name):
                    beside = replacements.enter_context(replacing_file(self._folder / name))
                    beside.write_bytes(content)
            # From here on the panel does not exist, until the new manifest does.
            if manifest != known:
                (self._folder / MANIFEST).unlink(missing_ok=True)
        for stale in self._folder.glob("*.parquet"):
            if stale.name not in manifest:
                stale.unlink()
        if manifest != known:
            write_text(self._folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows and columns, for kedro-viz."""
        return preview_table(pd.read_parquet(self._complete_files()[0]), nrows)

    def _complete_files(self) -> list[Path]:
        manifest = self._read_manifest()
        if not manifest:
            found = f"No panel in {self._folder}"
            if any(self._folder.glob("*.parquet")):
                found = (
                    f"The panel in {self._folder} is not complete: a run was interrupted, or is of an earlier version"
                )
            raise MarketDataError(f"{found}. Run the stage that writes it: kedro run --pipelines features")
        return [self._folder / name for name in sorted(manifest)]

    def _read_manifest(self) -> dict[str, dict[str, Any]] | None:
        """Return what belongs to the panel; None when it is not complete."""
        try:
            manifest: dict[str, dict[str, Any]] = json.loads((self._folder / MANIFEST).read_text(encoding="utf-8"))
            whole = all((self._folder / name).stat().st_size == facts["bytes"] for name, facts in manifest.items())
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
            return None
        return manifest if whole else None

    def _exists(self) -> bool:
        return bool(self._read_manifest())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _read(files: list[Path]) -> pd.DataFrame:
    """Read years one after the other into their place: two copies of a panel are more than a machine may have."""
    rows = pd.concat([pd.read_parquet(file, columns=[]) for file in files])
    schemas = [pq.read_schema(file) for file in files]
    names = [name for name in schemas[0].names if name not in rows.index.names]
    if any(schema.names != schemas[0].names for schema in schemas) or any(
        schema.field(name).type != pa.float32() for schema in schemas for name in names
    ):
        return pd.concat([pd.read_parquet(file) for file in files])
    values = np.empty((len(names), len(rows)), dtype=np.float32)
    start = 0
    for file in files:
        year = pq.read_table(file, columns=names)
        for column, own in zip(values, year.columns, strict=True):
            column[start : start + len(year)] = own.to_numpy()
        start += len(year)
    panel = pd.DataFrame(values.T, index=rows.index, columns=pd.Index(names, dtype="str"), copy=False)
    panel.attrs = rows.attrs
    return panel


def _to_parquet(year: pd.DataFrame) -> bytes:
    content: bytes = year.to_parquet(None, **PLAIN)
    return content
