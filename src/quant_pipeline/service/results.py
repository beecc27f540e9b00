"""Results by the hash of their content: the same table is kept once, and an answer can be asked for again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from quant_pipeline.common.atomic import replacing_file, write_text
from quant_pipeline.common.json_files import read_json
from quant_pipeline.service.answers import arrow_of, flattened, hash_of

SPARED = 300.0
"""Seconds for which what was written or used is kept, also when there is no room for it."""
HASH = re.compile(r"[0-9a-f]{32}")


class Part(NamedTuple):
    """Some rows of a table, and how many rows and columns it has."""

    rows: pd.DataFrame
    height: int
    width: int


class ResultStore:
    """A folder of tables and documents.

    Parameters
    ----------
    folder
        Where they lie.
    max_megabytes
        Space; when there is more, what was used longest ago goes, but nothing that was used within `SPARED`.
    """

    def __init__(self, folder: Path, max_megabytes: float) -> None:
        self._folder = folder
        self._max_bytes = int(max_megabytes * 2**20)

    def put(self, table: pd.DataFrame) -> str:
        """Keep a table and return its hash."""
        content = arrow_of(flattened(table))
        name = hash_of(content)
        file = self._folder / f"{name}.arrow"
        if not self.has(name):
            with replacing_file(file) as beside:
                beside.write_bytes(content)
            self._make_room()
        return name

    def has(self, name: str) -> bool:
        """Return whether a table is kept; it counts as used now."""
        return self._file(name, "arrow") is not None

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table by its hash; None when it is not kept (any more)."""
        part = self.part(name, 0, None)
        return None if part is None else part.rows

    def part(self, name: str, first: int, number: int | None) -> Part | None:
        """Return some rows of a table, and how large it is, without reading the others; None when it is not kept.

        Parameters
        ----------
        name
            Hash of the table.
        first, number
            From which row on, and how many at most; None: all.
        """
        file = self._file(name, "arrow")
        if file is None:
            return None
        try:
            with pa.memory_map(str(file)) as content:
                # Rows of the mapped file are read when they are used, here by being copied.
                whole = pa.ipc.open_stream(content).read_all()
                rows: pd.DataFrame = whole.slice(first, number).to_pandas()
        except FileNotFoundError:
            # It made room for another one meanwhile.
            return None
        return Part(rows, whole.num_rows, whole.num_columns)

    def put_document(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a document under a hash that the caller has computed."""
        write_text(self._folder / f"{name}.json", json.dumps(document))
        self._make_room()

    def document(self, name: str) -> Mapping[str, Any] | None:
        """Return a document; None when it is not kept (any more), or cannot be read, and has to be made again."""
        file = self._file(name, "json")
        if file is None:
            return None
        try:
            return read_json(file)
        except (FileNotFoundError, ValueError):
            return None

    def _file(self, name: str, kind: str) -> Path | None:
        """Return the file of a hash; a name that is none never becomes a path."""
        if not HASH.fullmatch(name):
            return None
        file = self._folder / f"{name}.{kind}"
        if not file.exists():
            return None
        with suppress(OSError):
            file.touch()
        return file

    def _make_room(self) -> None:
        """Delete what was used longest ago; what was used just now is on its way to an asker, and stays."""
        files, now = [], time.time()
        for file in self._folder.glob("[!.]*.*"):
            # Another process may take it away, or put it there, at any moment.
            with suppress(FileNotFoundError):
                found = file.stat()
                files.append((found.st_mtime, found.st_size, file))
        files.sort(reverse=True)
        used = 0
        for changed, size, file in files:
            used += size
            if used > self._max_bytes and now - changed > SPARED:
                with suppress(FileNotFoundError):
                    file.unlink()
