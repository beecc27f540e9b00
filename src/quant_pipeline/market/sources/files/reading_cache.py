"""Files as they were read before: unchanged ones are not read again, and of those that have grown the new lines alone.

Files that are read together have no entry: reading them takes less than keeping what was read, and a new session, which
adds a line to each of them, would have all entries written again. Another file has one entry for a way of reading it.
The entry says how large the file was and when it was changed; where that is the same, it stands for the file.
Where the file begins with the lines that were read, byte for byte, what follows is read and put behind them; a file
whose past was corrected is read whole. What cannot be kept, or is damaged, is read as if there were no cache. Entries
are of the modules that read files as they are now: after a change of one, or of a library, files are read again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from quant_pipeline.common import text_lines
from quant_pipeline.common.checked_arrow import open_checked, write_checked
from quant_pipeline.common.compilation import digest_files
from quant_pipeline.common.cores import each_on_cores, usable_cores
from quant_pipeline.common.json_files import parse_object
from quant_pipeline.market.sources.files.faults import FAULTS
from quant_pipeline.market.sources.files.file_reading import Reading
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import name_of, read_file, read_tail
from quant_pipeline.market.sources.files.raw_table import Head
from quant_pipeline.market.sources.files.reading_together import TOGETHER, are_worth_kernels, read_together
from quant_pipeline.market.sources.files.rooms import Rooms

logger = logging.getLogger(__name__)

ENDING = ".arrow"
_FORMER = ".parquet"
_FACTS = b"reading"


class _State(NamedTuple):
    """How large a file is, when it was written, and when anything of it was changed last, which no tool sets back."""

    size: int
    written: int
    changed: int

    @classmethod
    def of(cls, file: Path) -> _State | None:
        """Return the state of a file; None of one that is gone, or lies where nothing can be seen."""
        try:
            status = file.stat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class ReadingCache:
    """What was read of the files of a folder.

    Parameters
    ----------
    place
        Folder of the entries; None keeps nothing.
    """

    def __init__(self, place: Path | None) -> None:
        self._place = place
        self._used: set[str] = set()
        self._has_warned = False

    def read(self, file: Path, folder: Path, options: FilesMarketParameters) -> Reading:
        """Read a file of a folder: its entry, its new lines, or all of it."""
        return self._read_some([file], folder, options, None)[0]

    def read_all(self, files: Sequence[Path], folder: Path, options: FilesMarketParameters) -> Iterator[Reading]:
        """Read files of a folder, those that can be together, on all cores; they come in their order."""
        rooms = Rooms() if are_worth_kernels(files) else None
        # Kernels read many files as fast as few, and all cores should have enough of them.
        together = max(TOGETHER, -(-len(files) // (4 * usable_cores()))) if rooms is not None else TOGETHER
        parts = [files[first : first + together] for first in range(0, len(files), together)]
        for part in each_on_cores(lambda part: self._read_some(part, folder, options, rooms), parts):
            yield from part

    def _read_some(
        self, files: Sequence[Path], folder: Path, options: FilesMarketParameters, rooms: Rooms | None
    ) -> list[Reading]:
        if self._place is None:
            found = read_together(files, folder, options, rooms)
            return [found.get(file) or read_file(file, folder, options) for file in files]
        # What is written meanwhile is seen the next time.
        states = {file: state for file in files if (state := _State.of(file)) is not None}
        kept = self._kept()
        entries = {file: self._place / _entry_of(file, folder, options) for file in (states if kept else ())}
        apart = {file for file, entry in entries.items() if entry.name in kept}
        others = [file for file in files if file not in apart]
        found = read_together(others, folder, options, rooms)
        for file in files:
            if file not in found and file not in states:
                found[file] = read_file(file, folder, options)
            elif file not in found:
                entry = entries.get(file) or self._place / _entry_of(file, folder, options)
                found[file] = self._read_alone(file, folder, options, entry, states[file])
        return [found[file] for file in files]

    def _kept(self) -> set[str]:
        """Return the names of all entries; finding the one of a file takes longer than to look whether there is any."""
        with suppress(OSError):
            return {name for name in os.listdir(self._place) if name.endswith(ENDING)}
        return set()

    def _read_alone(
        self, file: Path, folder: Path, options: FilesMarketParameters, entry: Path, state: _State
    ) -> Reading:
        self._used.add(entry.name)
        known = _load(entry)
        if known is not None and known[1] == state:
            return known[0]
        reading = None if known is None else _grown(known[0], file, folder, options)
        if reading is None:
            reading = read_file(file, folder, options)
        self._keep_or_forget(entry, reading, state)
        return reading

    def _keep_or_forget(self, entry: Path, reading: Reading, state: _State) -> None:
        """Keep a file that was read without a problem; of another one nothing is kept."""
        try:
            if reading.held is None or reading.problems or reading.ambiguous:
                entry.unlink(missing_ok=True)
            else:
                _keep(entry, reading, state)
        except OSError as error:
            if not self._has_warned:
                logger.warning("files are read again the next time, as what was read is not kept: %s", error)
            self._has_warned = True

    def prune(self) -> None:
        """Remove entries of which no file was read: of files that are gone, and of other options."""
        if self._place is None or not self._place.is_dir():
            return
        entries: list[Path] = []
        with suppress(OSError):
            entries += self._place.iterdir()
        for entry in entries:
            if entry.suffix in (ENDING, _FORMER) and entry.name not in self._used and entry.name[0] != ".":
                # What cannot be removed is not read, either.
                with suppress(OSError):
                    entry.unlink(missing_ok=True)


@cache
def versions_of_reading() -> list[str]:
    """Return what decides how files are read: our own modules, and the libraries of tables and of calendars."""
    folder = Path(__file__).parent
    own = [*folder.rglob("*.py"), *folder.parents[1].glob("*.py"), Path(text_lines.__file__)]
    return [digest_files(own), *(version(library) for library in ("exchange_calendars", "pandas", "pyarrow"))]


def _entry_of(file: Path, folder: Path, options: FilesMarketParameters) -> str:
    # Links of several names may lead to one file, and an instrument may be called after the name.
    names = f"{file.resolve()}|{name_of(file, folder)}"
    text = f"{versions_of_reading()}|{names}|{options.bars}|{options.of_parsing()}"
    return f"{hashlib.sha256(os.fsencode(text)).hexdigest()[:32]}{ENDING}"


def _grown(earlier: Reading, file: Path, folder: Path, options: FilesMarketParameters) -> Reading | None:
    """Read the lines that were added to a file; None where it has not grown, or that alone does not say enough."""
    head = earlier.head
    with suppress(*FAULTS):
        if head is None or file.stat().st_size < head.n_bytes:
            return None
        content = file.read_bytes()
        if hashlib.sha256(content[: head.n_bytes]).hexdigest() == head.digest:
            return read_tail(earlier, file, folder, options, content)
    return None


def _load(entry: Path) -> tuple[Reading, _State] | None:
    """Return what an entry holds; None where there is none, it is damaged, or another run has just removed it."""
    damage = (OSError, KeyError, TypeError, ValueError, pa.ArrowException)
    with suppress(*damage), pa.OSFile(str(entry)) as source:
        table = open_checked(source).read_all()
        facts: dict[str, Any] = parse_object(table.schema.metadata[_FACTS])
        head = facts["head"]
        reading = Reading(
            facts["file"], facts["layout"], table.to_pandas(use_threads=False), facts["kind"],
            day_first=facts["day_first"], fields=tuple(facts["fields"]),
            currency=tuple(facts["currency"]), title=facts["title"],
            head=None if head is None else Head(**head),
        )  # fmt: skip
        return reading, _State(*facts["state"])
    return None


def _keep(entry: Path, reading: Reading, state: _State) -> None:
    facts = {
        name: getattr(reading, name) for name in ("file", "layout", "kind", "fields", "day_first", "currency", "title")
    } | {"head": None if reading.head is None else asdict(reading.head), "state": state}
    table = pa.Table.from_pandas(reading.rows, preserve_index=False, nthreads=1)
    write_checked(entry, table.replace_schema_metadata(table.schema.metadata | {_FACTS: json.dumps(facts).encode()}))
