"""Which files the market of a folder depends on, wherever they lie, and what tells each from the one that replaces it.

What is kept of a folder hangs on these files: its key has to change whenever reading the folder again would.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quant_pipeline.common.exceptions import MarketDataError

BESIDE = ("securities", "delistings", "renames")
"""Options that name tables beside the bars."""
COPY_OF_MACOS = "._"
"""How copies of macOS begin: hidden files that are reported, and not passed over."""


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder and its links, sorted, without what lies in hidden folders, as a cache may."""
    return sorted(path for path in folder.rglob("*") if not _is_hidden(path.parent, folder) and _is_file(path))


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return the files that the option ``bars`` names, sorted: a folder, or a pattern, seen from the folder.

    Hidden folders are passed over, unless the pattern names one.

    Raises
    ------
    MarketDataError
        When it is no pattern.
    """
    place = folder / pattern
    above, inner = (place, "**/*") if place.is_dir() else (folder, pattern.replace("{symbol}", "*"))
    if Path(inner).is_absolute():
        above, inner = Path(place.anchor), str(Path(inner).relative_to(place.anchor))
    named = "/." in f"/{pattern}"
    try:
        found = [path for path in above.glob(inner) if path.is_file()]
    except ValueError as error:
        raise MarketDataError(
            f"`bars: {pattern}` of the market source is no pattern of files ({error}); write `*.csv`, or `**/*.csv` "
            "for folders in folders"
        ) from error
    return sorted(path for path in found if named or not _is_hidden(path.parent, above))


def states_of(folder: Path, options: Mapping[str, Any]) -> list[list[Any]]:
    """Return path, inode, size and time of change of every file on which the market of a folder depends.

    Parameters
    ----------
    folder
        The folder; one that does not exist has no files.
    options
        ``bars``, ``benchmark`` and `BESIDE`, as far as they are given; others are passed over.

    Raises
    ------
    MarketDataError
        When ``bars`` is no pattern.
    """
    named = (folder / str(options[name]) for name in ("benchmark", *BESIDE) if options.get(name))
    own = (path for path in files_of(folder) if path.name[0] != "." or path.name.startswith(COPY_OF_MACOS))
    bars = matching(folder, str(options["bars"])) if options.get("bars") else []
    return [_state_of(path) for path in sorted({*own, *bars, *(path for path in named if path.is_file())})]


def _is_hidden(place: Path, above: Path) -> bool:
    return any(part[0] == "." for part in place.relative_to(above).parts)


def _is_file(path: Path) -> bool:
    return path.is_file() or (path.is_symlink() and not path.exists())


def _state_of(path: Path) -> list[Any]:
    """Return what tells a file from another one; the path alone of one that is gone, and of a link to nothing."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return [str(path)]
    return [str(path), status.st_ino, status.st_size, status.st_mtime_ns]
