"""The ledger of one account: an append-only table of events in SQLite, each carrying the hash of the one before.

The database decides what has been seen before: the natural key of an event is unique. Appending the same event again
is nothing; appending another event under the same key is an error. Postgres serves as well, by another URL.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.events import Event, EventKind

GENESIS = "0" * 64
_KEYS_PER_QUESTION = 500

_metadata = sa.MetaData()
_events = sa.Table(
    "event",
    _metadata,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("session", sa.String(10), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("key", sa.String(160), nullable=False, unique=True),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)

# Statements are made once: building one costs more than running it.
_NEWEST = sa.select(_events.c.sequence, _events.c.hash).order_by(_events.c.sequence.desc()).limit(1)
_INSERT = _events.insert()
_KNOWN = _events.c.key.in_(sa.bindparam("keys", expanding=True))
_CONTENTS = sa.select(_events.c.key, _events.c.payload).where(_KNOWN)
_ROWS = sa.select(_events).where(_KNOWN)


class Ledger:
    """Events of one account.

    Parameters
    ----------
    url
        SQLAlchemy URL of the database.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self._engine = durable_engine(url)
        _metadata.create_all(self._engine)

    @classmethod
    def read(cls, file: Path) -> Ledger:
        """Open the ledger in a SQLite file for reading only: nothing is locked, and its folder may be read-only.

        A file without a table is of a process that was killed when it made the ledger; the table is made then.
        """
        engine = _reading_engine(file)
        if not sa.inspect(engine).has_table(_events.name):
            return cls.at(file)
        ledger = cls.__new__(cls)
        ledger._engine = engine
        return ledger

    @classmethod
    def at(cls, file: Path) -> Ledger:
        """Open the ledger in a SQLite file, which is made when it does not exist."""
        file.parent.mkdir(parents=True, exist_ok=True)
        return cls(sa.URL.create("sqlite", database=str(file)))

    @classmethod
    def open(cls, address: str) -> Ledger:
        """Open the ledger at a SQLAlchemy URL, or in a SQLite file."""
        return cls(address) if "://" in address else cls.at(Path(address))

    def append(self, events: Sequence[Event]) -> int:
        """Append events in one transaction.

        Parameters
        ----------
        events
            In the order in which they happened.

        Returns
        -------
        int
            How many were new.

        Raises
        ------
        AccountError
            When an event is known under its key with another content; nothing is appended then.
        """
        return len(self.append_new(events))

    def append_new(
        self,
        events: Sequence[Event],
        before: Callable[[sa.Connection], None] | None = None,
        accept: Callable[[Sequence[Event]], None] | None = None,
    ) -> tuple[Event, ...]:
        """Append events in one transaction, and return those that were new.

        Parameters
        ----------
        events
            In the order in which they happened.
        before
            Called first, within the transaction: what must hold for the writer, for instance its lease.
        accept
            Called with the new events before they are committed; an error takes everything back.

        Returns
        -------
        tuple of Event
            The new ones, in order.

        Raises
        ------
        AccountError
            When an event is known under its key with another content; nothing is appended then.
        """
        with self._engine.begin() as connection:
            if before is not None:
                before(connection)
            new = _unknown(connection, events)
            newest = connection.execute(_NEWEST).one_or_none()
            sequence, previous = (0, GENESIS) if newest is None else newest
            rows = []
            for place, event in enumerate(new, start=sequence + 1):
                rows.append(_row(event, place, previous))
                previous = str(rows[-1]["hash"])
            if rows:
                connection.execute(_INSERT, rows)
            if accept is not None:
                accept(new)
        return new

    @property
    def engine(self) -> sa.Engine:
        """Database of the ledger, for tables that stand beside the events."""
        return self._engine

    def length(self) -> int:
        """Return how many events have been appended so far, by whichever process."""
        with self._engine.connect() as connection:
            newest = connection.execute(_NEWEST).one_or_none()
        return 0 if newest is None else int(newest.sequence)

    def find(self, keys: Sequence[str]) -> dict[str, Event]:
        """Return the events of those keys that are known, by key."""
        found: dict[str, Event] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _KEYS_PER_QUESTION):
                rows = connection.execute(_ROWS, {"keys": list(keys[start : start + _KEYS_PER_QUESTION])})
                found.update((event.key, event) for event in _read(rows))
        return found

    def events(self) -> tuple[Event, ...]:
        """Return all events in the order in which they were appended."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_events).order_by(_events.c.sequence)).all()
        return tuple(_read(rows))

    def verify(self) -> int:
        """Hash the whole chain again.

        Returns
        -------
        int
            Number of events.

        Raises
        ------
        AccountError
            When an event was changed, removed or put in between.
        """
        previous = GENESIS
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_events).order_by(_events.c.sequence)).all()
        for place, row in enumerate(rows, start=1):
            expected = _hash(row.sequence, row.session, row.kind, row.key, row.payload, previous)
            if row.sequence != place or row.previous_hash != previous or row.hash != expected:
                raise AccountError(
                    f"the ledger was changed from outside at event {place} ({row.key}); restore it from a backup"
                )
            previous = row.hash
        return len(rows)


def _reading_engine(file: Path) -> sa.Engine:
    """Open a database that is not written to.

    SQLite keeps two files beside a database with a write-ahead log, also for readers. Where it may not make them, or
    the disk has no space for them, and no log was left, the database is all there is, and is read as a file that
    nothing changes.
    """
    log = file.with_name(f"{file.name}-wal")
    is_all = not (log.exists() and log.stat().st_size)
    if is_all and not os.access(file.parent, os.W_OK):
        return _engine_of(file, immutable="1")
    engine = _engine_of(file, mode="ro")
    return _engine_of(file, immutable="1") if is_all and not _has_room(engine) else engine


def _engine_of(file: Path, **options: str) -> sa.Engine:
    address = f"file:{quote(str(file.absolute()))}"
    url = sa.URL.create("sqlite", database=address, query={**options, "uri": "true"})
    return sa.create_engine(url, poolclass=sa.NullPool)


def _has_room(engine: sa.Engine) -> bool:
    """Return whether SQLite can make its shared memory beside the database."""
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("select count(*) from sqlite_master")
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlite_errorname", "").startswith("SQLITE_IOERR_SHM"):
            return False
        raise
    return True


def durable_engine(url: str | sa.URL) -> sa.Engine:
    """Open a database in which a committed transaction survives anything, and writers wait for each other."""
    # One connection stays open: closing the last one makes SQLite copy its write-ahead log, dearer than a commit.
    engine = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=1)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", _lock_for_writing)
    elif engine.dialect.name == "postgresql":
        sa.event.listen(engine, "begin", _lock_schema)
    return engine


def _make_durable(connection: object, _record: object) -> None:
    # The driver must not open transactions by itself, or `BEGIN IMMEDIATE` comes too late to keep writers apart.
    connection.isolation_level = None  # type: ignore[attr-defined]
    for statement in ("pragma journal_mode=wal", "pragma synchronous=full", "pragma busy_timeout=10000"):
        connection.execute(statement)  # type: ignore[attr-defined]


def _lock_schema(connection: sa.Connection) -> None:
    # What `BEGIN IMMEDIATE` is to SQLite: one transaction at a time, so that the chain has one end. Accounts that share
    # a database live in schemas of their own and do not wait for each other.
    connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext('quant-pipeline ledger ' || current_schema()))")


def _lock_for_writing(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")


def _unknown(connection: sa.Connection, events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the events whose keys are new, each once."""
    contents: dict[str, str] = {}
    for start in range(0, len(events), _KEYS_PER_QUESTION):
        keys = [event.key for event in events[start : start + _KEYS_PER_QUESTION]]
        found = connection.execute(_CONTENTS, {"keys": keys})
        contents.update((key, payload) for key, payload in found)
    new = []
    for event in events:
        known, content = contents.get(event.key), event.content
        if known is None:
            contents[event.key] = content
            new.append(event)
        elif known != content:
            raise AccountError(
                f"the ledger knows {event.key} with another content: it has {known[:120]}, not {content[:120]}. "
                "A fact is never edited; record a correction under its own key."
            )
    return tuple(new)


def _read(rows: Iterable[sa.Row[Any]]) -> Iterator[Event]:
    sessions: dict[str, pd.Timestamp] = {}
    for row in rows:
        session = sessions.get(row.session)
        if session is None:
            session = sessions[row.session] = pd.Timestamp(row.session)
        yield Event(session, EventKind(row.kind), row.key, json.loads(row.payload))


def _row(event: Event, sequence: int, previous: str) -> dict[str, object]:
    session = f"{event.session:%Y-%m-%d}"
    return {
        "sequence": sequence,
        "session": session,
        "kind": str(event.kind),
        "key": event.key,
        "payload": event.content,
        "previous_hash": previous,
        "hash": _hash(sequence, session, str(event.kind), event.key, event.content, previous),
    }


def _hash(sequence: int, session: str, kind: str, key: str, content: str, previous: str) -> str:
    text = "\n".join((str(sequence), session, kind, key, content, previous))
    return hashlib.sha256(text.encode()).hexdigest()
