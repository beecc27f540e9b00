"""A panel ``(datetime, instrument) × column``: one Parquet file per calendar year, and a manifest that completes it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from quant_pipeline.common.atomic import flush, replacing_file, write_text
from quant_pipeline.common.cores import each_beside, map_on_cores
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.places import Place
from quant_pipeline.datasets.file_stamps import Stamp, stamp_of
from quant_pipeline.datasets.panel_years import (
    DAY,
    read_years,
    require_index,
    rows_by_year,
    schema_of,
    to_arrow,
    write_plain,
)
from quant_pipeline.datasets.point_in_time import cut_at
from quant_pipeline.datasets.previews import preview_table
from quant_pipeline.datasets.same_rows import holds
from quant_pipeline.datasets.stored_panel import StoredPanel
from quant_pipeline.models.panels import FeaturePanel, MemoryPanel

MANIFEST = "_manifest.json"
"""Readers of Parquet folders (pyarrow, polars, DuckDB) pass over names that begin with an underscore."""
WRITTEN_AT_ONCE = 4
"""Most years that are written side by side: one of an unsorted panel takes a copy of its own."""


class YearlyPanel(AbstractDataset[pd.DataFrame | FeaturePanel | Iterable[pd.DataFrame], Any]):
    """Save and load a panel year by year.

    The manifest lists the files with their size. It is removed before the first year is replaced and written when the
    last one is in place, so a panel that was interrupted does not exist, and years of two panels never mix. A year
    whose content did not change keeps its file.

    Parameters
    ----------
    filepath
        Folder of the ``<year>.parquet`` files.
    as_of
        Session of the run, which sees nothing later; None: everything.
    lazy
        Whether loading returns a `StoredPanel`, of which years and columns are read when they are asked for, and no
        table. Training and prediction take either.
    metadata
        Ignored here; read by kedro-viz.
    """

    def __init__(
        self, filepath: str, as_of: str | None = None, *, lazy: bool = False, metadata: dict[str, Any] | None = None
    ) -> None:
        self._place = Place.of(filepath)
        self._folder = self._place.path
        self._as_of = None if as_of is None else str(as_of)
        self._lazy = lazy
        self.metadata = metadata

    def load(self) -> pd.DataFrame | FeaturePanel:
        """Read all years, sorted by ``(datetime, instrument)``; of sessions after that of the run nothing is read.

        Raises
        ------
        MarketDataError
            When there is no panel, not all of it, another process saves one meanwhile, or files are no years of one,
            see `panel_years.read_years`.
        """
        self._place.fetch()
        stamp = self._stamp_of_manifest()
        files = self._complete_files()
        stored = StoredPanel.open(files, self._as_of)
        # The manifest goes before the first year does: with the same one, everything so far is of one panel.
        self._require_manifest(stamp)
        if stored is not None:
            return stored if self._lazy else stored.read()
        table = read_years(files)
        self._require_manifest(stamp)
        table = table if self._as_of is None else cut_at(table, self._as_of, DAY)
        return MemoryPanel(table) if self._lazy else table

    def save(self, data: pd.DataFrame | FeaturePanel | Iterable[pd.DataFrame]) -> None:
        """Write the years of ``data``; years that it does not hold any more are removed.

        Parameters
        ----------
        data
            The panel, or parts of it one after the other, whole calendar years each. A part is written while the next
            one is made, and then let go.

        Raises
        ------
        MarketDataError
            When two parts hold rows of the same year, there are no rows at all, or the index is none of a panel.
        """
        known = self._read_manifest() or {}
        manifest: dict[str, dict[str, Any]] = {}
        with ExitStack() as exits:
            writing = _Writing(known, exits)
            for written in each_beside(partial(self._write_part, writing), _parts_of(data)):
                if twice := sorted(written.keys() & manifest.keys()):
                    raise MarketDataError(f"two parts of the panel in {self._place} hold rows of {twice[0][:-8]}")
                manifest |= written
            if not manifest:
                raise MarketDataError(
                    f"the panel for {self._place} has no rows; look whether the universe has instruments in "
                    "the sessions of the run"
                )
            writing.wait()
            is_changed = bool(writing.flushed) or manifest != known
            # From here on the panel does not exist, until the new manifest does.
            if is_changed:
                (self._folder / MANIFEST).unlink(missing_ok=True)
        for stale in self._folder.glob("*.parquet"):
            if stale.name not in manifest:
                stale.unlink()
        if is_changed:
            write_text(self._folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        self._place.publish(whole=True, completed_by=MANIFEST)

    def preview(self, nrows: int = 5) -> TablePreview:
        """First rows and columns, for kedro-viz."""
        self._place.fetch()
        return preview_table(pd.read_parquet(self._complete_files()[0]), nrows)

    def _stamp_of_manifest(self) -> Stamp | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            return stamp_of(self._folder / MANIFEST)
        return None

    def _require_manifest(self, stamp: Stamp | None) -> None:
        if self._stamp_of_manifest() != stamp:
            raise MarketDataError(
                f"the panel in {self._place} was saved by another process while it was read; run the command "
                "again when that one is done"
            )

    def _complete_files(self) -> list[Path]:
        manifest = self._read_manifest()
        if not manifest:
            at = str(self._place)
            found = f"No panel in {at}"
            if any(self._folder.glob("*.parquet")):
                found = f"The panel in {at} is not complete: a run was interrupted, or is of an earlier version"
            raise MarketDataError(f"{found}. Run the stage that writes it: kedro run --pipelines features")
        return [self._folder / name for name in sorted(manifest)]

    def _write_part(self, writing: _Writing, part: pd.DataFrame) -> dict[str, dict[str, Any]]:
        """Write the years of a part that have changed, some side by side; return what the manifest says of them."""
        part = require_index(part)
        schema = writing.schema_of(part)

        def write(year: tuple[int, Any]) -> tuple[str, dict[str, Any]]:
            name, table = f"{year[0]}.parquet", to_arrow(part.iloc[year[1]], schema)
            file = self._folder / name
            if name not in writing.known or not holds(file, table):
                file = writing.write(file, table)
            return name, {"bytes": file.stat().st_size}

        return dict(map_on_cores(write, rows_by_year(part), WRITTEN_AT_ONCE))

    def _read_manifest(self) -> dict[str, dict[str, Any]] | None:
        """Return what belongs to the panel; None when it is not complete."""
        try:
            manifest: dict[str, dict[str, Any]] = read_json(self._folder / MANIFEST)
            whole = all((self._folder / name).stat().st_size == facts["bytes"] for name, facts in manifest.items())
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None
        return manifest if whole else None

    def _exists(self) -> bool:
        self._place.fetch()
        return bool(self._read_manifest())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._place)}


class _Writing:
    """Files on their way: beside those that they replace, and to the disk while others are written.

    Parameters
    ----------
    known
        What the manifest says of the files that are there.
    exits
        At whose end the files take their places.
    """

    def __init__(self, known: dict[str, dict[str, Any]], exits: ExitStack) -> None:
        self.known = known
        self.flushed: list[Future[None]] = []
        self._exits = exits
        self._schema: tuple[Any, pa.Schema] | None = None
        # Waits for the disk, and takes no core.
        self._flushing = exits.enter_context(ThreadPoolExecutor(1))

    def schema_of(self, part: pd.DataFrame) -> pa.Schema:
        """Return `panel_years.schema_of` a part, which takes as long as writing a quarter of a year of 500 names."""
        levels = [level.dtype for level in part.index.levels]
        kind = [*part.columns], [*part.dtypes], levels, part.attrs
        if self._schema is None or self._schema[0] != kind:
            self._schema = kind, schema_of(part)
        return self._schema[1]

    def write(self, file: Path, table: pa.Table) -> Path:
        """Write a file beside the one that it replaces, and return where."""
        beside = self._exits.enter_context(replacing_file(file))
        write_plain(table, beside)
        self.flushed.append(self._flushing.submit(flush, beside))
        return beside

    def wait(self) -> None:
        """Wait until all that was written is on the disk."""
        for each in self.flushed:
            each.result()


def _parts_of(data: pd.DataFrame | FeaturePanel | Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
    if isinstance(data, pd.DataFrame):
        return [data]
    return [data.read()] if isinstance(data, FeaturePanel) else data
