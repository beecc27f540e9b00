"""What else may befall an archive than a kill: a full disk, another disk, links, a second archiver, a wrong clock.

Each function rehearses one of them in a project of its own, and returns how many cases there were and how many bytes
were lost: neither in the project nor in the archive with the content that they had.
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.common.exceptions import ArchiveError, BusyError
from quant_pipeline.project.archive.retention import SESSION, Kept, old_files, unused_bundles
from quant_pipeline.project.archive.store import Archive

ORDERS = "data/accounts/a/orders"
STORE = "data/markets/m/06_models/ridge/bundle"
BUNDLE = f"{STORE}/versions/abc"
KEPT = [Kept("orders", f"{ORDERS}/{SESSION}.csv", 2)]
YEAR_SECONDS = 365 * 86_400


class Cases(NamedTuple):
    """How many cases of a fault were rehearsed, and how many bytes they lost."""

    cases: int
    bytes_lost: int


class Made(NamedTuple):
    """A project with files of sessions and a bundle, and what they hold."""

    project: Path
    contents: dict[str, bytes]

    @classmethod
    def at(cls, folder: Path) -> Made:
        """Make one in an empty folder."""
        paths = [f"{ORDERS}/2024-01-{day:02}.csv" for day in range(1, 6)]
        contents = {path: path.encode() * 3 for path in (*paths, f"{BUNDLE}/manifest.json", f"{BUNDLE}/model/weights")}
        for path, content in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return cls(folder, contents)

    def move_all(self, archive: Archive) -> None:
        """Move everything."""
        with archive.opened():
            for path in self.contents:
                if path.startswith(ORDERS) and (self.project / path).is_file():
                    archive.move(path, "orders")
            if (self.project / BUNDLE).is_dir():
                archive.move_folder(BUNDLE, "bundle")

    def lost(self, archive: Archive) -> int:
        """Return how many bytes are nowhere."""
        places = {path: (self.project / path, archive.folder / path) for path in self.contents}
        return sum(
            len(content)
            for path, content in self.contents.items()
            if not any(place.is_file() and place.read_bytes() == content for place in places[path])
        )

    def brought_back(self, archive: Archive) -> int:
        """Restore everything, and return how many bytes are not in their place again."""
        with archive.opened():
            for record in archive.records().values():
                archive.restore(record)
        places = {path: self.project / path for path in self.contents}
        same = {path for path, place in places.items() if place.is_file() and place.read_bytes() == self.contents[path]}
        return sum(len(content) for path, content in self.contents.items() if path not in same)


def full_disk(folder: Path, step: int = 20) -> Cases:
    """Let every write beyond some bytes of a file fail, as of a quota or a full disk, also within a line."""
    made, cases, lost = Made.at(folder / "project"), 0, 0
    for limit in range(0, 1_600, step):
        archive = Archive(made.project, folder / f"archive{limit}")

        def limited(archive: Archive = archive, limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            made.move_all(archive)

        cases += _failed(limited)
        lost += made.lost(archive)
        # With space again everything goes, and the archive is whole.
        made.move_all(archive)
        lost += made.lost(archive) + len(archive.verify()) + made.brought_back(archive)
    return Cases(cases, lost)


def other_file_system(folder: Path) -> Cases:
    """Move to another disk and back; no case where this machine has none to write to."""
    made = Made.at(folder / "project")
    for place in (Path("/dev/shm"), Path("/var/tmp"), Path("/run/shm"), Path.home()):  # noqa: S108 - a folder of its own
        if place.is_dir() and os.access(place, os.W_OK) and place.stat().st_dev != folder.stat().st_dev:
            with tempfile.TemporaryDirectory(dir=place) as other:
                archive = Archive(made.project, Path(other, "archive"))
                made.move_all(archive)
                lost = made.lost(archive) + len(archive.verify()) + made.brought_back(archive)
            return Cases(1, lost)
    return Cases(0, 0)


def links(folder: Path) -> Cases:
    """Point with links out of the project: of a session, within a bundle, from the archive's folder to the project."""
    made, outside = Made.at(folder / "project"), folder / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"not of the project")
    archive = Archive(made.project, folder / "archive")
    session = made.project / ORDERS / "2023-12-29.csv"
    session.symlink_to(outside / "kept")
    refused = int(all(file.session != "2023-12-29" for file in old_files(made.project, KEPT, None, ())))
    with archive.opened():
        refused += _is_refused(lambda: archive.move(str(session.relative_to(made.project)), "orders"))
        for target in (outside, outside / "kept"):
            link = made.project / BUNDLE / "link"
            link.symlink_to(target)
            refused += _is_refused(lambda: archive.move_folder(BUNDLE, "bundle"))
            link.unlink()
    (folder / "linked").symlink_to(made.project)
    refused += _is_refused(lambda: made.move_all(Archive(made.project, folder / "linked")))
    lost = made.lost(archive) + (0 if (outside / "kept").is_file() else 1)
    return Cases(refused, lost)


def two_archivers(folder: Path, rounds: int = 20) -> Cases:
    """Let two processes move the same files at once, each of them until it has come to it."""
    made, archive = Made.at(folder / "project"), Archive(folder / "project", folder / "archive")

    def insisting() -> None:
        while True:
            try:
                made.move_all(archive)
            except BusyError:
                continue
            return

    lost = 0
    for _ in range(rounds):
        both = [_started(insisting) for _ in range(2)]
        lost += sum(os.waitpid(child, 0)[1] != 0 for child in both)
        lost += made.lost(archive) + len(archive.verify()) + len(made.contents) - len(archive.records())
        lost += made.brought_back(archive)
    return Cases(rounds, lost)


def clock_ahead(folder: Path) -> Cases:
    """Let the clock of all that is written be a year ahead: no other session goes for it, and no bundle."""
    made, archive = Made.at(folder / "project"), Archive(folder / "project", folder / "archive")
    (made.project / STORE / "aliases.json").write_text('{"candidate": null, "champion": null, "champions": []}')
    before = old_files(made.project, KEPT, None, ())
    for path in (made.project / STORE, *(made.project / "data").rglob("*")):
        ahead = path.stat().st_mtime + YEAR_SECONDS
        os.utime(path, (ahead, ahead))
    times = {path: (made.project / path).stat().st_mtime for path in made.contents}
    changed = int(old_files(made.project, KEPT, None, ()) != before or len(before) != 3)
    changed += bool(unused_bundles(made.project, [made.project / STORE], (), before[-1].session))
    made.move_all(archive)
    lost = made.lost(archive) + made.brought_back(archive)
    changed += any((made.project / path).stat().st_mtime != time for path, time in times.items())
    return Cases(len(times), lost + changed)


def rehearse_faults(folder: Path, step: int = 20, rounds: int = 20) -> dict[str, Cases]:
    """Rehearse each of them in an empty folder, and remove what it has left.

    Parameters
    ----------
    folder
        An empty folder.
    step
        Bytes between two sizes at which the disk is full.
    rounds
        How often two archivers meet.

    Returns
    -------
    dict of Cases
        By name of the fault.
    """
    faults: dict[str, Callable[[Path], Cases]] = {
        "full_disk": partial(full_disk, step=step),
        "other_file_system": other_file_system,
        "links": links,
        "two_archivers": partial(two_archivers, rounds=rounds),
        "clock_ahead": clock_ahead,
    }
    found = {}
    for name, fault in faults.items():
        (folder / name).mkdir()
        found[name] = fault(folder / name)
        shutil.rmtree(folder / name)
    return found


def _is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except ArchiveError:
        return True
    return False


def _failed(act: Callable[[], None]) -> bool:
    """Do something in a fork, and return whether it could not be done."""
    return os.waitpid(_started(act), 0)[1] != 0


def _started(act: Callable[[], None]) -> int:
    """Do something in a fork whose status says whether it could be done; return the number of the process."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        act()
        status = 0
    finally:
        # Whatever was raised: what called the fork must not go on in it.
        os._exit(status)
