"""What may be moved into the archive: files of sessions that their catalog entry keeps no longer, unused bundles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import Place

SESSION = "1900-01-01"
"""Stands for the session of a run where the paths of the catalog are looked at."""
_GLOB = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PLACEHOLDER = re.compile(r"\{[^}]*\}")
ALWAYS: Literal["always"] = "always"
NOTEBOOKS = "notebooks"
"""Folder of the notebooks, and the entry under which the archive lists them."""


class Kept(NamedTuple):
    """A catalog entry with files of sessions: where they lie, and for how many sessions they stay."""

    entry: str
    filepath: str
    sessions: int


class OldFile(NamedTuple):
    """A file that may be moved: its path from the project's folder, its session, and its catalog entry."""

    path: str
    session: str
    entry: str


def retention_of(catalog: Mapping[str, Any]) -> list[Kept]:
    """Read how long the entries of a catalog keep their files; one that does not say it keeps them always.

    Parameters
    ----------
    catalog
        The configuration of the catalog with the session `SESSION`.

    Returns
    -------
    list of Kept
        Entries with one file per session.

    Raises
    ------
    ConfigurationError
        When an entry says neither `always` nor a number of sessions, or has no file per session.
    """
    kept = []
    for name, entry in catalog.items():
        if name.startswith("_") or not isinstance(entry, Mapping):
            continue
        keep = (entry.get("metadata") or {}).get("keep")
        filepath = str(entry.get("filepath", ""))
        if keep is None or keep == ALWAYS:
            continue
        if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1:
            raise ConfigurationError(
                f"catalog entry '{name}' says `keep: {keep}`; write `always`, or for how many sessions its files stay"
            )
        if SESSION not in filepath:
            raise ConfigurationError(
                f"catalog entry '{name}' has one file, not one per session: it needs `keep: always`"
            )
        kept.append(Kept(name, filepath, keep))
        if entry.get("csv_twin"):
            kept.append(Kept(name, f"{filepath.removesuffix(Path(filepath).suffix)}.csv", keep))
    return kept


def old_files(project: Path, retention: Iterable[Kept], keep: int | None, pinned: Iterable[str]) -> list[OldFile]:
    """Find the files of sessions that need not stay.

    Sessions are counted by the files themselves, so that no clock has a say: a file stays whose session is among the
    newest of all entries.

    Parameters
    ----------
    project
        Folder of the project.
    retention
        See `retention_of`.
    keep
        Sessions for all entries in place of their own.
    pinned
        Sessions whose files stay, whatever their age.

    Returns
    -------
    list of OldFile
        The oldest first, each once: a file that several entries name, as one with a placeholder does, stays as long as
        any of them keeps it. Links are no files: what they point to may lie anywhere.
    """
    # Entries without a placeholder name a file best.
    entries = sorted(retention, key=lambda kept: bool(_PLACEHOLDER.search(kept.filepath)))
    found = [OldFile(str(path.relative_to(project)), session, kept.entry)
             for kept in entries for path, session in _files_of(project, kept.filepath)]  # fmt: skip
    sessions = sorted({file.session for file in found})
    stays = {kept.entry: set(sessions[-(keep or kept.sessions) :]) | set(pinned) for kept in entries}
    staying = {file.path for file in found if file.session in stays[file.entry]}
    old = {file.path: file for file in reversed(found) if file.path not in staying}
    return sorted(old.values(), key=lambda file: (file.session, file.path))


def count_files(project: Path, retention: Iterable[Kept]) -> int:
    """Return how many files of sessions there are."""
    return len({path for kept in retention for path, _ in _files_of(project, kept.filepath)})


def _path_within(project: Path, filepath: str) -> str | None:
    """Return a path of the catalog as it is from the project's folder; None for one that lies elsewhere and stays."""
    place = Place.of(filepath)
    inside = None if place.is_remote else _within(project, project / place.path)
    return None if inside is None else str(inside)


def _within(project: Path, path: Path) -> Path | None:
    """Return a path from the project's folder, also where it leads there by a link or a step upwards."""
    if path.is_relative_to(project) and ".." not in path.parts:
        return path.relative_to(project)
    real, root = path.resolve(), project.resolve()
    return real.relative_to(root) if real.is_relative_to(root) else None


def _files_of(project: Path, filepath: str) -> list[tuple[Path, str]]:
    inside = _path_within(project, filepath)
    if inside is None:
        return []
    pattern = _PLACEHOLDER.sub("*", inside).replace(SESSION, _GLOB)
    root = project.resolve()
    place = Path(inside).parts
    session_part = next(index for index, part in enumerate(place) if SESSION in part)
    files = []
    for path in project.glob(pattern):
        session = _DATE.search(path.relative_to(project).parts[session_part])
        if session and path.is_file() and not path.is_symlink() and path.resolve() == root / path.relative_to(project):
            files.append((path, session[0]))
    return files


def old_notebooks(project: Path, retention: Iterable[Kept], keep: int | None) -> list[OldFile]:
    """Find notebooks that a user has dated and that are older than every session which stays.

    Parameters
    ----------
    project
        Folder of the project; its ``notebooks`` are looked through, with their folders.
    retention, keep
        See `oldest_that_stays`.

    Returns
    -------
    list of OldFile
        The oldest first: files whose path has a date below the oldest session that stays. Those without a date, as the
        shipped ones, stay, and so do links.
    """
    oldest = oldest_that_stays(project, retention, keep)
    if oldest is None:
        return []
    found = []
    for path in _notebooks(project):
        place = str(path.relative_to(project))
        dated = _DATE.findall(place)
        if dated and dated[-1] < oldest:
            found.append(OldFile(place, dated[-1], NOTEBOOKS))
    return sorted(found, key=lambda file: (file.session, file.path))


def count_notebooks(project: Path) -> int:
    """Return how many files there are below ``notebooks``, dated or not."""
    return sum(1 for _ in _notebooks(project))


def _notebooks(project: Path) -> Iterator[Path]:
    root = project.resolve()
    for path in (project / NOTEBOOKS).rglob("*"):
        place = path.relative_to(project)
        is_own = path.is_file() and not path.is_symlink() and path.resolve() == root / place
        if is_own and ".ipynb_checkpoints" not in place.parts:
            yield path


def oldest_that_stays(project: Path, retention: Iterable[Kept], keep: int | None) -> str | None:
    """Return the oldest session whose files stay; None where all of them do.

    Parameters
    ----------
    project, retention, keep
        See `old_files`; without `keep`, the longest retention of the entries counts.
    """
    kept = list(retention)
    sessions = sorted({session for each in kept for _, session in _files_of(project, each.filepath)})
    number = keep or max((each.sessions for each in kept), default=0)
    return sessions[-number] if 0 < number < len(sessions) else None


def unused_bundles(project: Path, stores: Iterable[Path], referenced: Iterable[str], oldest: str) -> list[Path]:
    """Find the old bundles that no alias, no earlier champion and nothing else refers to.

    Parameters
    ----------
    project
        Folder of the project.
    stores
        Folders of the bundle stores, with `aliases.json` and `versions/`.
    referenced
        Identities that plans of a ledger were made by.
    oldest
        Oldest session that stays: a bundle whose files were written on that day or later stays too.

    Returns
    -------
    list of pathlib.Path
        Folders of bundles.
    """
    from quant_pipeline.models.store import BundleStore

    unused = []
    for folder in stores:
        aliases = BundleStore(folder).aliases
        former = {identity for identity, _ in aliases.history}
        used = {aliases.candidate, aliases.champion, *aliases.champions, *former, *referenced}
        unused += [path for path in sorted((folder / "versions").glob("*/")) if path.name not in used]
    own = [path for path in unused if not path.is_symlink() and path.resolve().is_relative_to(project.resolve())]
    places = [_within(project, path) for path in own if _written(path) < oldest]
    return [project / inside for inside in places if inside is not None]


def _written(folder: Path) -> str:
    """Return the day on which the newest file of a folder was written, as UTC has it."""
    newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    return f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d}"
