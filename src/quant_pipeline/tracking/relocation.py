"""A project folder that was moved or copied keeps its artifacts: MLflow stores absolute paths, which follow here."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

logger = logging.getLogger(__name__)

ARTIFACTS = "mlruns"
PLACE = "quant_pipeline.folder"
"""Tag of MLflow's default experiment: the folder in which the store was used last."""
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)


def follow_project(file: Path) -> None:
    """Let the locations in a store begin in the folder where it is now, as soon as that is another one than before.

    Only what lies in ``mlruns`` beside the store follows; artifacts in a bucket or elsewhere stay where they are. All
    rows change in one transaction.

    Parameters
    ----------
    file
        The SQLite file, up to date.
    """
    folder = file.parent.resolve()
    with closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as store:
        if _place(store) == str(folder):
            return
        store.execute("BEGIN IMMEDIATE")
        known = _place(store)
        before = {Path(known)} if known else _places_of_older_versions(store, folder, file.name)
        for place in sorted(before - {folder}):
            if not _same(place, folder) and _rewrite(store, place, folder):
                logger.info("%s came from %s: its artifacts are read and written here now", file, place)
        store.execute(
            "INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, 0)", (PLACE, str(folder))
        )
        store.execute("COMMIT")


def _place(store: sqlite3.Connection) -> str | None:
    found = store.execute("SELECT value FROM experiment_tags WHERE key = ? AND experiment_id = 0", (PLACE,)).fetchone()
    return found[0] if found else None


def _places_of_older_versions(store: sqlite3.Connection, folder: Path, name: str) -> set[Path]:
    """Return where a store that notes no folder has kept its artifacts, without folders that are no project's."""
    places = set()
    for (location,) in store.execute("SELECT artifact_location FROM experiments"):
        path = Path(unquote(urlsplit(location).path)) if str(location).startswith("file:") else Path(str(location))
        if path.is_absolute() and path.name == ARTIFACTS:
            places.add(path.parent)
    here = (folder / ARTIFACTS).is_dir()
    return {place for place in places if here or not place.is_dir() or (place / name).exists()}


def _same(place: Path, folder: Path) -> bool:
    """Return whether two paths are one folder, such as a link and what it points to."""
    return place.exists() and place.samefile(folder)


def _rewrite(store: sqlite3.Connection, place: Path, folder: Path) -> int:
    old, new = place / ARTIFACTS, folder / ARTIFACTS
    spellings = {str(old): str(new), old.as_uri(): new.as_uri(), f"file://{old}": f"file://{new}"}
    changed = 0
    for table, column in LOCATIONS:
        for before, after in spellings.items():
            changed += store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (after, len(before) + 1, before, len(before) + 1, f"{before}/"),
            ).rowcount
    return changed
