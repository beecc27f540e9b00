"""Kill the archive at every step of moving and restoring, and look whether a byte is lost.

``make rehearse-archive`` prints one JSON object as its last line: ``kill_points``, at how many steps a process was
killed; ``bytes_lost``; ``restore_differences``, files that came back with another content; ``replayable``, whether
every table of the archived sessions can be read again with the same rows. Then, how many cases there were of each
other fault, see `quant_pipeline.testing.archive_faults`, whose lost bytes count too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import click
import numpy as np
import pandas as pd

from quant_pipeline.common import atomic
from quant_pipeline.project.archive import store as archive_store
from quant_pipeline.project.archive.store import Archive, hash_of
from quant_pipeline.testing.archive_faults import rehearse_faults

WATCHED = {archive_store.__file__, atomic.__file__}
"""Modules whose every line is a step at which the process may die."""
FILES = 6
BUNDLE = "data/markets/m/06_models/ridge/bundle/versions/abc"


class Found(NamedTuple):
    """What a rehearsal found."""

    kill_points: int
    bytes_lost: int
    restore_differences: int
    replayable: bool


def rehearse(folder: Path, kills: int, seed: int) -> Found:
    """Move files and a bundle into an archive and back, killed again and again.

    Parameters
    ----------
    folder
        An empty folder.
    kills
        How many processes are to be killed.
    seed
        Of the steps at which they are.

    Returns
    -------
    Found
        What was lost: nothing, unless the archive is broken.
    """
    project, archive = folder / "project", Archive(folder / "project", folder / "archive")
    tables = {f"data/accounts/a/orders/2024-01-{day:02}.parquet": _table(day) for day in range(1, FILES + 1)}
    for path, table in tables.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(project / path)
    (project / BUNDLE / "model").mkdir(parents=True)
    for name in ("manifest.json", "model/weights.bin"):
        (project / BUNDLE / name).write_bytes(np.random.default_rng(seed).bytes(5000))
    contents = {str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()}
    hashes = {path: hash_of(project / path) for path in contents}
    choose = np.random.default_rng(seed)
    steps = {work: _steps_of(work, archive, tables) for work in (_move_all, _restore_all)}
    killed = bytes_lost = 0
    while killed < kills:
        for work in (_move_all, _restore_all):
            # Killed some times on the way, then left alone: the recovery is a second run.
            for _ in range(3):
                killed += _killed(work, archive, tables, int(choose.integers(steps[work])))
                bytes_lost += _lost(contents, hashes, project, archive.folder)
            work(archive, tables)
    differences = sum(not (project / path).is_file() or hash_of(project / path) != hashes[path] for path in hashes)
    replayable = not differences and all(
        pd.read_parquet(project / path).equals(table) for path, table in tables.items()
    )
    return Found(killed, bytes_lost, differences, replayable)


def _table(day: int) -> pd.DataFrame:
    return pd.DataFrame({"instrument": [f"N{i}" for i in range(50)], "quantity": [day * i for i in range(50)]})


def _move_all(archive: Archive, tables: dict[str, Any]) -> None:
    root = archive.folder.parent / "project"
    with archive.opened():
        atomic.sweep(root)
        for path in tables:
            if (root / path).is_file():
                archive.move(path, "orders")
        if (root / BUNDLE).is_dir():
            archive.move_folder(BUNDLE, "bundle")


def _restore_all(archive: Archive, tables: dict[str, Any]) -> None:
    with archive.opened():
        for record in archive.records().values():
            archive.restore(record)


Work = Callable[[Archive, dict[str, Any]], None]


def _steps_of(work: Work, archive: Archive, tables: dict[str, Any]) -> int:
    """Do the work once, and count its steps."""
    steps = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        return count if frame.f_code.co_filename in WATCHED else None

    sys.settrace(count)
    try:
        work(archive, tables)
    finally:
        sys.settrace(None)
    return steps


def _killed(work: Work, archive: Archive, tables: dict[str, Any], at: int) -> bool:
    """Do the work in a fork that is killed at a step; return whether it got so far."""
    child = os.fork()
    if child == 0:
        _die_at(at)
        work(archive, tables)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def _die_at(at: int) -> None:
    steps = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        steps += event == "line"
        if steps > at:
            os.kill(os.getpid(), signal.SIGKILL)
        return count if frame.f_code.co_filename in WATCHED else None

    sys.settrace(count)


def _lost(contents: dict[str, bytes], hashes: dict[str, str], project: Path, archive: Path) -> int:
    """Return how many bytes of the files are neither in the project nor in the archive."""
    lost = 0
    for path, content in contents.items():
        places = [project / path, archive / path]
        lost += 0 if any(p.is_file() and hash_of(p) == hashes[path] for p in places) else len(content)
    return lost


@click.command()
@click.option("--kills", type=click.IntRange(1), default=1200, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
def main(kills: int, seed: int) -> None:
    """Rehearse, and print what was found."""
    with tempfile.TemporaryDirectory() as folder:
        faults = rehearse_faults(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        found = rehearse(Path(folder), kills, seed)
    found = found._replace(bytes_lost=found.bytes_lost + sum(each.bytes_lost for each in faults.values()))
    click.echo(json.dumps(found._asdict() | {name: each.cases for name, each in faults.items()}))
    if found.bytes_lost or found.restore_differences or not found.replayable:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
