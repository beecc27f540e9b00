"""Moving files into an archive and back, so that a kill at any moment loses nothing.

A file is copied beside its place in the archive, flushed to disk, compared by its hash and given its name; then the
manifest gets a line, and only then the original goes. Whatever step a process dies at, the original or a verified copy
is there, and the next run goes on. Nothing here overwrites a file with other content.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.common.atomic import flush, make_folders, new_file, remove_folder, sweep, write_text
from quant_pipeline.common.exceptions import ArchiveError
from quant_pipeline.common.json_files import parse_json
from quant_pipeline.common.locks import locked

MANIFEST = "manifest.jsonl"
OWNER = "project"
"""File of an archive with the folder of its project, from the archive's where the archive lies in the project."""
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
        """Keep other processes from the archive, and remove what dead ones left half written.

        Raises
        ------
        ArchiveError
            When its folder is the project's, or has the project in it, or is the archive of another project.
        BusyError
            When another process has it open.
        """
        for place in (self._project, self._project / "data"):
            if place.resolve().is_relative_to(self.folder.resolve()) or _is_same(self.folder, place):
                raise ArchiveError(f"{self.folder} holds the project itself; --folder names a folder beside its files")
        make_folders(self.folder)
        with locked(self.folder / ".lock", f"the archive {self.folder}"):
            self._claim()
            sweep(self.folder)
            manifest = self.folder / MANIFEST
            if manifest.is_file():
                content = manifest.read_bytes()
                os.truncate(manifest, content.rfind(b"\n") + 1)
            self._remove_restored()
            yield

    def _claim(self) -> None:
        """Write down whose archive it is; that of another project has other files under the same names."""
        file, project, folder = self.folder / OWNER, self._project.resolve(), self.folder.resolve()
        if not file.is_file():
            # An archive within the project moves with it.
            is_inside = folder.is_relative_to(project)
            write_text(file, f"{os.path.relpath(project, folder) if is_inside else project}\n")
        owner = folder / file.read_text(encoding="utf-8").strip()
        if owner.resolve() != project:
            raise ArchiveError(
                f"{self.folder} is the archive of {owner.resolve()}; choose another --folder, or, where that project "
                f"was moved to {project}, write this path into {file}"
            )

    def _remove_restored(self) -> None:
        """Remove the copies that a killed process has brought back and noted, but not removed."""
        for record in self._newest().values():
            kept, place = self.folder / record.path, self._project / record.path
            is_back = record.state == RESTORED and kept.is_file() and place.is_file() and not _is_same(kept, place)
            if is_back and hash_of(place) == record.sha256 == hash_of(kept):
                kept.unlink()

    def records(self) -> dict[str, Record]:
        """Return what is in the archive by path: the newest line of each file, but for restored ones.

        A last line without its end was torn by a kill; its file is moved again.

        Raises
        ------
        ArchiveError
            When a line is damaged.
        """
        return {path: record for path, record in self._newest().items() if record.state == MOVED}

    def _newest(self) -> dict[str, Record]:
        """Return the newest line of each file."""
        manifest = self.folder / MANIFEST
        lines = manifest.read_text(encoding="utf-8").split("\n")[:-1] if manifest.is_file() else []
        found: dict[str, Record] = {}
        for number, line in enumerate(lines, start=1):
            try:
                record = Record(**parse_json(line))
            except (ValueError, TypeError) as error:
                raise ArchiveError(
                    f"line {number} of {manifest} is damaged; correct it, the files are there"
                ) from error
            found[record.path] = record
        return found

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
            As for `move`, or when the folder has links; nothing of it goes then.
        """
        folder = self._project / path
        links = [each for each in (folder, *folder.rglob("*")) if each.is_symlink()]
        if links:
            raise ArchiveError(f"{path} stays: {links[0]} is a link; put in its place what it points to, and run again")
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        records = [self.copy(str(file.relative_to(self._project)), entry) for file in files]
        # A kill between two files would leave half a folder.
        remove_folder(folder)
        return records

    def copy(self, path: str, entry: str) -> Record:
        """Copy one file into the archive and note it, for a caller that removes it with others; see `move`."""
        source, kept = self._project / path, self.folder / path
        if source.is_symlink() or _is_same(kept, source) or source.resolve().is_relative_to(self.folder.resolve()):
            raise ArchiveError(f"{path} stays: it is a link, or lies in the archive itself; choose another --folder")
        digest = hash_of(source)
        if not kept.exists():
            self._copy(source, kept, digest)
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
        if _is_same(kept, place):
            raise ArchiveError(f"{record.path} is one file in project and archive; --folder names the archive's folder")
        if not place.exists():
            _require(kept, record)
            # A run that writes the file meanwhile comes first.
            with suppress(FileExistsError):
                self._copy(kept, place, record.sha256)
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

    def _copy(self, source: Path, target: Path, digest: str) -> None:
        """Copy a file under a name that is free; what is not what was read gets no name."""
        with new_file(target) as beside:
            shutil.copy2(source, beside)
            flush(beside)
            if hash_of(beside) != digest:
                raise ArchiveError(f"{source} stays: its copy differs; it is being written, or the disk is damaged")

    def _append(self, record: Record) -> None:
        """Add a line to the manifest, all of it or nothing: half a line would merge with the next one."""
        manifest, line = self.folder / MANIFEST, f"{json.dumps(record._asdict())}\n".encode()
        if not manifest.exists():
            with suppress(FileExistsError), new_file(manifest) as beside:
                beside.touch()
        with manifest.open("ab", buffering=0) as file:
            begin = os.fstat(file.fileno()).st_size
            try:
                while line:
                    line = line[file.write(line) :]
                os.fsync(file.fileno())
            except OSError:
                os.truncate(manifest, begin)
                raise


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(kept: Path, record: Record) -> None:
    if not kept.is_file():
        raise ArchiveError(f"{record.path} is missing in the archive")
    if hash_of(kept) != record.sha256:
        raise ArchiveError(f"{record.path} in the archive has another content than it had when it was moved")


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, by links or mounts."""
    return one.exists() and other.exists() and one.samefile(other)
