"""Moving files into an archive and back, so that a kill at any moment loses nothing.

A file is copied beside its place in the archive, flushed to disk, compared by its hash and renamed; then the
manifest gets a line, and only then the original goes. Whatever step a process dies at, the original or a verified copy
is there, and the next run goes on. Nothing here overwrites a file with other content.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.common.atomic import remove_folder, replacing_file, sweep
from quant_pipeline.common.exceptions import ArchiveError
from quant_pipeline.common.locks import locked

MANIFEST = "manifest.jsonl"
MOVED, RESTORED = "moved", "restored"


class Record(NamedTuple):
    """A line of the manifest.

    ``path`` begins at the project's folder; ``entry`` is the catalog entry that the file belongs to.
    """

    state: str
    path: str
    sha256: str
    size: int
    entry: str


class Archive:
    """An archive of files of a project.

    Parameters
    ----------
    project
        Folder of the project.
    folder
        Folder of the archive, which may lie on another file system.
    """

    def __init__(self, project: Path, folder: Path) -> None:
        self._project, self.folder = project, folder

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep other processes from the archive, and remove what dead ones left half written."""
        with locked(self.folder / ".lock", f"the archive {self.folder}"):
            sweep(self.folder)
            manifest = self.folder / MANIFEST
            if manifest.is_file():
                content = manifest.read_bytes()
                os.truncate(manifest, content.rfind(b"\n") + 1)
            yield

    def records(self) -> dict[str, Record]:
        """Return what is in the archive by path: the newest line of each file, but for restored ones.

        A last line without its end was torn by a kill; its file is moved again.

        Raises
        ------
        ArchiveError
            When a line is damaged.
        """
        manifest = self.folder / MANIFEST
        lines = manifest.read_text(encoding="utf-8").split("\n")[:-1] if manifest.is_file() else []
        found: dict[str, Record] = {}
        for number, line in enumerate(lines, start=1):
            try:
                record = Record(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise ArchiveError(
                    f"line {number} of {manifest} is damaged; correct it, the files are there"
                ) from error
            found[record.path] = record
        return {path: record for path, record in found.items() if record.state == MOVED}

    def move(self, path: str, entry: str) -> Record:
        """Move one file of the project into the archive.

        Raises
        ------
        ArchiveError
            When the archive has another file under this path, or the file changes meanwhile.
        """
        record = self.copy(path, entry)
        (self._project / path).unlink()
        return record

    def move_folder(self, path: str, entry: str) -> list[Record]:
        """Move a folder of the project with all its files; it goes as a whole, when every file of it is in the archive.

        Raises
        ------
        ArchiveError
            As for `move`; nothing of the folder goes then.
        """
        folder = self._project / path
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        records = [self.copy(str(file.relative_to(self._project)), entry) for file in files]
        # A kill between two files would leave half a folder.
        remove_folder(folder)
        return records

    def copy(self, path: str, entry: str) -> Record:
        """Copy one file into the archive and note it, for a caller that removes it with others; see `move`."""
        source, kept = self._project / path, self.folder / path
        digest = hash_of(source)
        if not kept.exists():
            _copy(source, kept)
        if hash_of(kept) != digest or hash_of(source) != digest:
            raise ArchiveError(
                f"{path} stays: the archive has another file under this name, or it is being written. Restore or "
                "rename the one in the archive, and run again"
            )
        record = Record(MOVED, path, digest, source.stat().st_size, entry)
        # A run that died after this line notes the file twice, which says the same.
        self._append(record)
        return record

    def restore(self, record: Record) -> None:
        """Bring one file back to its place in the project.

        Raises
        ------
        ArchiveError
            When its copy is damaged, or another file has taken its place.
        """
        kept, place = self.folder / record.path, self._project / record.path
        if not place.exists():
            _require(kept, record)
            _copy(kept, place)
        if hash_of(place) != record.sha256:
            raise ArchiveError(f"{record.path} stays in the archive: another file has taken its place; move that away")
        self._append(record._replace(state=RESTORED))
        kept.unlink(missing_ok=True)

    def verify(self) -> list[str]:
        """Return what is wrong with the files of the archive, one sentence each; none when all are as they were."""
        wrong = []
        for record in self.records().values():
            try:
                _require(self.folder / record.path, record)
            except ArchiveError as error:
                wrong.append(error.message)
        return wrong

    def _append(self, record: Record) -> None:
        with (self.folder / MANIFEST).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record._asdict()) + "\n")
            file.flush()
            os.fsync(file.fileno())


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(kept: Path, record: Record) -> None:
    if not kept.is_file():
        raise ArchiveError(f"{record.path} is missing in the archive")
    if hash_of(kept) != record.sha256:
        raise ArchiveError(f"{record.path} in the archive has another content than it had when it was moved")


def _copy(source: Path, target: Path) -> None:
    with replacing_file(target) as beside:
        shutil.copy2(source, beside)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
