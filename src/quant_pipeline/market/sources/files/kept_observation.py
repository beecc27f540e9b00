"""A folder of market files that was read whole, kept for the next time that the same is asked of the same files.

A command asks for the last session first, and its nodes for the market; a day that is run again asks for what is known.
What is wrong with files is not kept, as they are read again when they have been corrected.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from quant_pipeline.common.checked_arrow import open_checked, write_checked
from quant_pipeline.common.json_files import parse_object
from quant_pipeline.market.sources.files.discovery import is_table
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.market.sources.files.observed_market import Observation
from quant_pipeline.market.sources.files.options import AUTO, FilesMarketParameters
from quant_pipeline.market.sources.files.reading_cache import versions_of_reading
from quant_pipeline.market.sources.folder_state import BARS, matching, states_of
from quant_pipeline.market.sources.reading_at_rest import read_at_rest

logger = logging.getLogger(__name__)

FILE: Final = "observed.kept"
"""An ending that no table has: the cache may lie inside the folder of the market."""
_FACTS: Final = b"observation"
_TABLES: Final = ("benchmark", "securities", "delistings", "findings")
_TEXTS: Final = ("layouts", "adjusted", "calendar", "frequency")
_PASSING: Final = ("unfinished", "calendar_unsure")
"""Findings that another moment, or a calendar that is named, would not make."""


def observe_at_rest(folder: Path, options: FilesMarketParameters, cache_folder: Path | None) -> Observation:
    """Read every file of a folder as `observe_once`, while none of them is written.

    Parameters
    ----------
    folder, options, cache_folder
        As for `observe_once`.

    Raises
    ------
    MarketDataError
        As `observe`, and when files are written whenever they are read.
    """
    named = options.model_dump()

    def is_read(path: Path) -> bool:
        return is_table(path) or (options.bars is not None and path in matching(folder, named[BARS]))

    return read_at_rest(lambda: observe_once(folder, options, cache_folder), folder, named, is_read)


def observe_once(folder: Path, options: FilesMarketParameters, cache_folder: Path | None) -> Observation:
    """Read every file of a folder, or return what was read of the same files by the same options.

    Parameters
    ----------
    folder, options
        As for `observe`. The calendar that ``auto`` has found may be named the next time.
    cache_folder
        Where parsed files and the last observation are kept; None reads all.

    Raises
    ------
    MarketDataError
        As `observe`.
    """
    if cache_folder is None:
        return observe(folder, options)
    # Facts of files that are written meanwhile are found again the next time.
    asked = _asked(folder, options)
    seen = _load(cache_folder / FILE, asked, options.calendar)
    if seen is None:
        seen = observe(folder, options, cache_folder)
        if not seen.is_refused and not seen.problems and not seen.findings["check"].isin(_PASSING).any():
            _keep(cache_folder / FILE, seen, asked, options.calendar)
    return seen


def _asked(folder: Path, options: FilesMarketParameters) -> dict[str, Any]:
    """Return what an observation depends on, but for the calendar: the files, the options, and how files are read."""
    read_by = options.model_dump(mode="json", include=set(FilesMarketParameters.model_fields) - {"calendar"})
    files = states_of(folder, options.model_dump())
    return {"folder": str(folder.resolve()), "files": files, "options": read_by, "code": versions_of_reading()}


def _load(file: Path, asked: dict[str, Any], calendar: str) -> Observation | None:
    """Return what was kept; None where that is nothing, of other files, or damaged."""
    damage = (OSError, KeyError, TypeError, ValueError, pa.ArrowException)
    with suppress(*damage), pa.memory_map(str(file)) as source:
        reader = open_checked(source)
        facts = parse_object(reader.schema.metadata[_FACTS])
        same_calendar = calendar == facts["asked_calendar"] or (
            facts["asked_calendar"] == AUTO and calendar == facts["calendar"]
        )
        if facts["asked"] != asked or not same_calendar:
            return None
        tables: dict[str, Any] = {name: _of_bytes(reader.schema.metadata.get(name.encode())) for name in _TABLES}
        # As they lie in the file, which is only ever replaced as a whole and stays mapped while a table needs it.
        rows = reader.read_all().to_pandas(split_blocks=True)
        return Observation(rows=rows, **{name: facts[name] for name in _TEXTS}, **tables)
    return None


def _keep(file: Path, seen: Observation, asked: dict[str, Any], calendar: str) -> None:
    """Keep an observation for the next time; without room for it, the files are read again then."""
    try:
        _write(file, seen, asked, calendar)
    except OSError as error:
        logger.warning("what was read of the files is not kept: %s", error)


def _write(file: Path, seen: Observation, asked: dict[str, Any], calendar: str) -> None:
    facts = {name: getattr(seen, name) for name in _TEXTS} | {"asked": asked, "asked_calendar": calendar}
    parts = {name.encode(): _to_bytes(getattr(seen, name)) for name in _TABLES if getattr(seen, name) is not None}
    table = pa.Table.from_pandas(seen.rows, preserve_index=False).combine_chunks()
    metadata = table.schema.metadata | parts | {_FACTS: json.dumps(facts).encode()}
    write_checked(file, table.replace_schema_metadata(metadata))


def _to_bytes(table: pd.DataFrame) -> bytes:
    arrow, sink = pa.Table.from_pandas(table, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema) as stream:
        stream.write_table(arrow)
    return bytes(sink.getvalue())


def _of_bytes(content: bytes | None) -> pd.DataFrame | None:
    return None if content is None else pa.ipc.open_stream(content).read_all().to_pandas()
