"""Digests of the columns of a file, kept beside it in a hidden folder, and believed only while both are as they were.

A file is known by its stamp, see `file_stamps`. What is kept carries a sum of itself. Where anything differs the values
are hashed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from quant_pipeline.common.atomic import write_text
from quant_pipeline.datasets.file_stamps import Stamp, stamp_of
from quant_pipeline.models.digests import DEFINITION
from quant_pipeline.models.panels import Digests, MakeDigests

logger = logging.getLogger(__name__)

FOLDER: Final = ".digests"
"""Hidden, so that readers of the folder and copies in a bucket pass it over."""
MOST_STRETCHES: Final = 64
"""Stretches of rows of one file of which digests are kept; the oldest goes first."""
SETTLED: Final = 2_000_000_000
"""Nanoseconds after which a file that is written again has another time of change, on every file system."""

_Stretches = dict[str, dict[str, Any]]
MOST_FILES: Final = 512
"""Files whose digests a process remembers."""
_known: dict[Path, KeptDigests] = {}


def kept_beside(file: Path) -> KeptDigests:
    """Return the digests of a file, the same ones for all panels of this process that open it."""
    place = file.absolute()
    if place not in _known and len(_known) >= MOST_FILES:
        _known.clear()
    return _known.setdefault(place, KeptDigests(place))


class KeptDigests:
    """Digests of the columns of one file; threads that ask for them wait for each other.

    Parameters
    ----------
    file
        The file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place = file.parent / FOLDER / f"{file.stem}.json"
        self._state: Stamp | None = None
        self._stretches: _Stretches = {}
        self._lock = threading.Lock()

    def of(self, rows: slice, names: Sequence[str | None], make: MakeDigests) -> Digests:
        """Return digests of a stretch of rows of the file, see `FeaturePanel.digests`."""
        where = f"{rows.start}-{rows.stop}"
        with self._lock:
            state = stamp_of(self._file)
            if self._state != state:
                self._state, self._stretches = state, _read(self._place, state)
            stretch = self._stretches.get(where, {"index": None, "columns": {}})
            known: Digests = {None: stretch["index"], **stretch["columns"]}
            missing = [name for name in names if known.get(name) is None]
            if missing:
                known |= make(missing)
                # Nothing is known of a file that was replaced while it was hashed.
                if stamp_of(self._file) == state:
                    self._keep(state, where, known)
        return {name: known[name] for name in names}

    def _keep(self, state: Stamp, where: str, known: Digests) -> None:
        columns = {name: digest for name, digest in known.items() if name is not None}
        self._stretches.pop(where, None)
        newest = list(self._stretches.items())[1 - MOST_STRETCHES :]
        self._stretches = dict([*newest, (where, {"index": known.get(None), "columns": columns})])
        if time.time_ns() - state.changed < SETTLED:
            return  # Were it written once more now, it could get the same time.
        try:
            write_text(self._place, _written(state, self._stretches))
        except OSError as error:
            logger.debug("digests of %s cannot be kept: %s", self._file, error)


def _written(state: Stamp, stretches: _Stretches) -> str:
    body = json.dumps({"definition": DEFINITION, "file": state, "stretches": stretches})
    return f"{_sum_of(body)}\n{body}\n"


def _read(place: Path, state: Stamp) -> _Stretches:
    """Return what is kept; nothing where it is damaged, or belongs to another file or definition."""
    try:
        expected, _, body = place.read_text(encoding="utf-8").removesuffix("\n").partition("\n")
    except (OSError, UnicodeDecodeError):
        return {}
    if _sum_of(body) != expected:
        return {}
    kept = json.loads(body)
    if (kept["definition"], kept["file"]) != (DEFINITION, list(state)):
        return {}
    stretches: _Stretches = kept["stretches"]
    return stretches


def _sum_of(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()
