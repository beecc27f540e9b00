"""Which files the market of a folder depends on, wherever they lie, and what tells each from the one that replaces it.

What is kept of a folder hangs on these files: its key has to change whenever reading the folder again would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from quant_pipeline.common.exceptions import MarketDataError

BARS: Final = "bars"
"""Option that names the files of the bars."""
BESIDE = ("securities", "delistings", "renames")
"""Options that name tables beside the bars."""
DECISIVE: Final = (BARS, "benchmark", *BESIDE)
"""Options that decide which files the market depends on."""
COPY_OF_MACOS = "._"
"""How copies of macOS begin: hidden files that are reported, and not passed over."""


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder and its links, sorted, without what lies in hidden folders, as a cache may."""
    return [Path(path) for path in sorted(_walk(folder, _beginning(folder)), key=_by_parts)]


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
    """Return path, inode, size and times of writing and change of every file on which the market of a folder depends.

    Parameters
    ----------
    folder
        The folder; one that does not exist has no files.
    options
        Those of `DECISIVE`, as far as they are given; others are passed over.

    Raises
    ------
    MarketDataError
        When ``bars`` is no pattern.
    """
    # Every command asks several times, of thousands of files: making and sorting a `Path` takes longer than its state.
    named = (folder / str(options[name]) for name in ("benchmark", *BESIDE) if options.get(name))
    own = (path for path in _walk(folder, _beginning(folder)) if _is_seen(path.rpartition(os.sep)[2]))
    bars = matching(folder, str(options[BARS])) if options.get(BARS) else []
    others = (str(path) for path in (*bars, *(path for path in named if path.is_file())))
    return [_state_of(path) for path in sorted({*own, *others}, key=_by_parts)]


def _walk(folder: Path | str, beginning: str) -> Iterator[str]:
    """List the files of a folder in any order; folders that are hidden, links or closed are passed over."""
    try:
        with os.scandir(folder) as listed:
            entries = list(listed)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for entry in entries:
        path = beginning + entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name[0] != ".":
                yield from _walk(path, path + os.sep)
        elif _is_file(entry):
            yield path


def _beginning(folder: Path) -> str:
    """Return what the paths of a folder's files begin with, written as `Path` does."""
    return str(folder / "_")[:-1]


def _by_parts(path: str) -> str:
    """Return by what paths are sorted, the same as `Path` does: a folder before what begins with its name."""
    return path.replace(os.sep, "\0")  # Which no path holds, and no sign comes before.


def _is_seen(name: str) -> bool:
    return name[0] != "." or name.startswith(COPY_OF_MACOS)


def _is_hidden(place: Path, above: Path) -> bool:
    return any(part[0] == "." for part in place.relative_to(above).parts)


def _is_file(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # A link may lead to itself.
        if entry.is_file():
            return True
    return entry.is_symlink() and not os.path.exists(entry.path)


def _state_of(path: str) -> list[Any]:
    """Return what tells a file from another one; the path alone of one that is gone, and of a link to nothing."""
    try:
        status = os.stat(path)
    except OSError:
        return [path]
    # A copy may bring the time of writing of the original; that of the last change is set by the file system alone.
    return [path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
