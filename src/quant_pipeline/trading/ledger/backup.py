"""Backups of a ledger: written while others append to it, checked before they count, and put back whole.

A copy of the file is no backup: the newest events of SQLite lie in a second file beside it until they are merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from quant_pipeline.common.atomic import replacing_file
from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.anchors import Anchor
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.ledger.store import Ledger, anchors_beside, require_ledger

_BESIDE = ("", "-wal", "-shm")
"""A database of SQLite, its log and its shared memory."""


@dataclass(frozen=True)
class Backup:
    """A backup whose chain is whole.

    Attributes
    ----------
    file
        A ledger in one SQLite file.
    chain
        Hashes of its events, in order.
    """

    file: Path
    chain: Sequence[str]

    @property
    def end(self) -> Anchor:
        """Number and hash of its newest event."""
        return Anchor(len(self.chain), self.chain[-1])


def back_up(ledger: Ledger, file: Path) -> Backup:
    """Write all events of a ledger into one new SQLite file, and hash it again.

    Parameters
    ----------
    ledger
        In SQLite or at a server; others may append to it meanwhile.
    file
        The backup, complete or not at all.

    Returns
    -------
    Backup

    Raises
    ------
    AccountError
        When the file exists already, or the ledger has no events or is not whole.
    """
    if file.exists():
        raise AccountError(f"{file} exists already; name another file, backups are never overwritten")
    ledger.verify()
    with replacing_file(file) as beside:
        if (source := ledger.file) is not None:
            _copy(source, beside)
        else:
            _write(ledger.events(), beside)
        chain = read_backup(beside).chain
    return Backup(file, chain)


def read_backup(file: Path) -> Backup:
    """Read a backup and hash its whole chain.

    Raises
    ------
    AccountError
        When it is no ledger, has no events, or was changed.
    """
    if not file.is_file():
        raise AccountError(f"there is no backup {file}")
    try:
        with closing(_reading(file)) as connection:
            number = connection.execute("select count(*) from event").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise AccountError(f"{file} is no backup of a ledger: {error}") from error
    if not number:
        raise AccountError(f"{file} is no backup of a ledger: there is no event in it")
    return Backup(file, tuple(Ledger.read(file).chain()))


def newer_events(file: Path, backup: Backup) -> int:
    """Return how many events a ledger has beyond a backup of it; 0 when it is lost, damaged or another chain."""
    try:
        chain = Ledger.read(file).chain() if require_ledger(file) else []
    except AccountError:
        return 0
    is_continued = len(chain) > len(backup.chain) and chain[len(backup.chain) - 1] == backup.end.hash
    return len(chain) - len(backup.chain) if is_continued else 0


def restore(backup: Backup, file: Path, kept: Path) -> None:
    """Put a backup in the place of a ledger in a SQLite file.

    A kill leaves either the ledger as it was or one that its anchors refuse, so that the command is run again.

    Parameters
    ----------
    backup
        See `read_backup`.
    file
        The ledger, which may be lost or damaged.
    kept
        New folder to which what is there now is moved.
    """
    anchors = anchors_beside(file)
    with replacing_file(file) as beside:
        _copy(backup.file, beside)
        for path in (file.with_name(file.name + suffix) for suffix in _BESIDE):
            if path.exists():
                kept.mkdir(parents=True, exist_ok=True)
                path.rename(kept / path.name)
    agreed = [anchor for anchor in anchors.read() if anchor in set(enumerate(backup.chain, start=1))]
    anchors.replace(dict.fromkeys((*agreed, backup.end)))


def _copy(source: Path, target: Path) -> None:
    """Copy a database by SQLite's backup: with what lies in its log, and consistent while others write."""
    with closing(_reading(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("pragma journal_mode=delete")


def _reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)


def _write(events: Sequence[Event], file: Path) -> None:
    """Write events into a new file; the chain is that of any ledger with these events."""
    ledger = Ledger(sa.URL.create("sqlite", database=str(file)))
    ledger.append(events)
    ledger.engine.dispose()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma journal_mode=delete")
