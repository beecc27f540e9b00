"""The ledger of one account: an append-only table of events in SQLite, each carrying the hash of the one before.

The database decides what has been seen before: the natural key of an event is unique. Appending the same event again
is nothing; appending another event under the same key is an error. Postgres serves as well, by another URL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.common.databases import sqlite_file, sqlite_url
from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.json_files import parse_json
from quant_pipeline.common.secret_names import without_secrets
from quant_pipeline.trading.ledger.anchors import Anchor, Anchors
from quant_pipeline.trading.ledger.connections import durable_engine, reading_engine
from quant_pipeline.trading.ledger.events import Event, EventKind

GENESIS = "0" * 64
_KEYS_PER_QUESTION = 500
_KINDS = frozenset(map(str, EventKind))

_metadata = sa.MetaData()
_events = sa.Table(
    "event",
    _metadata,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("session", sa.String(10), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)

# Statements are made once: building one costs more than running it.
_NEWEST = sa.select(_events.c.sequence, _events.c.hash).order_by(_events.c.sequence.desc()).limit(1)
_HASH = sa.select(_events.c.hash).where(_events.c.sequence == sa.bindparam("sequence"))
_INSERT = _events.insert()
_KNOWN = _events.c.key.in_(sa.bindparam("keys", expanding=True))
_CONTENTS = sa.select(_events.c.key, _events.c.payload).where(_KNOWN)
_ROWS = sa.select(_events).where(_KNOWN)


class Ledger:
    """Events of one account.

    Parameters
    ----------
    url
        SQLAlchemy URL of the database, which is made when it does not exist.
    anchors
        File that knows how far the ledger went, outside of the database; see `quant_pipeline.trading.ledger.anchors`.

    Raises
    ------
    AccountError
        When the ledger ends before its anchors do: it was lost, emptied or cut, and is no new account.
    """

    def __init__(self, url: str | sa.URL, anchors: Path | None = None) -> None:
        self._bind(durable_engine(url), None if anchors is None else Anchors(anchors))
        _metadata.create_all(self._engine)
        _widen_keys(self._engine)
        if self._anchors is not None:
            known = self._anchors.newest()
            self._anchors.begin(self.newest(), self.where, known)

    def _bind(self, engine: sa.Engine, anchors: Anchors | None) -> None:
        self._engine = engine
        self._anchors = anchors

    @classmethod
    def read(cls, file: Path) -> Ledger:
        """Open the ledger in a SQLite file for reading only: nothing is locked, and its folder may be read-only.

        A file without a table is of a process that was killed when it made the ledger; the table is made then.

        Raises
        ------
        AccountError
            When the ledger ends before its anchors do.
        """
        require_ledger(file)
        engine = reading_engine(file)
        if not sa.inspect(engine).has_table(_events.name):
            return cls.at(file)
        ledger, anchors = cls.__new__(cls), anchors_beside(file)
        ledger._bind(engine, anchors)
        known = anchors.newest()
        anchors.require(ledger.length(), str(file), known)
        return ledger

    @classmethod
    def at(cls, file: Path) -> Ledger:
        """Open the ledger in a SQLite file, which is made when it does not exist; its anchors lie beside it."""
        require_ledger(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        return cls(sqlite_url(file), anchors_beside(file).file)

    @classmethod
    def open(cls, address: str, anchors: Path | None = None) -> Ledger:
        """Open the ledger at a SQLAlchemy URL, or in a SQLite file, whose anchors lie beside it."""
        return cls(address, anchors) if "://" in address else cls.at(Path(address))

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
            for index, event in enumerate(new, start=sequence + 1):
                rows.append(_row(event, index, previous))
                previous = str(rows[-1]["hash"])
            if rows:
                connection.execute(_INSERT, rows)
            if accept is not None:
                accept(new)
        if rows and self._anchors is not None:
            self._anchors.add(Anchor(sequence + len(rows), previous))
        return new

    @property
    def where(self) -> str:
        """The database, for messages; without a password."""
        return str(self.file or without_secrets(self._engine.url.render_as_string()))

    @property
    def file(self) -> Path | None:
        """The SQLite file of the ledger; None when a server keeps it, or the memory of this process."""
        return sqlite_file(self._engine.url)

    @property
    def engine(self) -> sa.Engine:
        """Database of the ledger, for tables that stand beside the events."""
        return self._engine

    def newest(self) -> Anchor | None:
        """Return number and hash of the newest event, appended by whichever process."""
        with self._engine.connect() as connection:
            newest = connection.execute(_NEWEST).one_or_none()
        return None if newest is None else Anchor(int(newest.sequence), str(newest.hash))

    def hash_at(self, sequence: int) -> str:
        """Return the hash of the chain up to an event; empty when there is no such event."""
        with self._engine.connect() as connection:
            return str(connection.execute(_HASH, {"sequence": sequence}).scalar_one_or_none() or "")

    def length(self) -> int:
        """Return how many events have been appended so far, by whichever process."""
        newest = self.newest()
        return 0 if newest is None else newest.sequence

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

    def events_after(self, sequence: int) -> tuple[Event, ...]:
        """Return the events that were appended after the one of a number."""
        later = sa.select(_events).where(_events.c.sequence > sequence).order_by(_events.c.sequence)
        with self._engine.connect() as connection:
            return tuple(_read(connection.execute(later).all()))

    def newest_session(self, kind: EventKind) -> pd.Timestamp | None:
        """Return the newest session of the events of a kind; None when there is none."""
        newest = sa.select(sa.func.max(_events.c.session)).where(_events.c.kind == str(kind))
        with self._engine.connect() as connection:
            found = connection.execute(newest).scalar_one()
        return None if found is None else pd.Timestamp(found)

    def verify(self) -> int:
        """Hash the whole chain again, and compare it with the anchors.

        Returns
        -------
        int
            Number of events.

        Raises
        ------
        AccountError
            When an event was changed, put in between or removed, also at the end, or the chain was rewritten.
        """
        known = () if self._anchors is None else self._anchors.read()
        chain = self.chain()
        if self._anchors is not None:
            self._anchors.compare(chain, self.where, known)
        return len(chain)

    def chain(self) -> list[str]:
        """Hash all events again and return their hashes in order.

        Raises
        ------
        AccountError
            When an event was changed, removed or put in between.
        """
        hashes, previous = [], GENESIS
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_events).order_by(_events.c.sequence)).all()
        for index, row in enumerate(rows, start=1):
            expected = _hash(row.sequence, row.session, row.kind, row.key, row.payload, previous)
            if row.sequence != index or row.previous_hash != previous or row.hash != expected:
                raise AccountError(
                    f"the ledger was changed from outside at event {index} ({row.key}); restore it from a backup"
                )
            hashes.append(previous := row.hash)
        return hashes


def anchors_beside(file: Path) -> Anchors:
    """Return the anchors of the ledger in a SQLite file."""
    return Anchors(file.with_suffix(".anchors"))


def require_ledger(file: Path) -> bool:
    """Return whether there is a ledger in a SQLite file.

    Raises
    ------
    AccountError
        When there is none although its anchors know of events.
    """
    anchors = anchors_beside(file)
    known = anchors.newest()
    if file.is_dir():
        raise AccountError(f"{file} is a folder, but has to be the ledger; move it away and restore a backup")
    is_there = file.exists() and file.stat().st_size > 0
    if not is_there:
        anchors.require(0, str(file), known)
    return is_there


def _widen_keys(engine: sa.Engine) -> None:
    """Let a ledger of PostgreSQL that was made with keys of at most 160 characters take longer ones."""
    if engine.dialect.name != "postgresql":
        return
    columns = {column["name"]: column["type"] for column in sa.inspect(engine).get_columns(_events.name)}
    if isinstance(columns["key"], sa.VARCHAR):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"alter table {_events.name} alter column key type text")


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
        if row.kind not in _KINDS:
            raise AccountError(
                f"event {row.sequence} of the ledger is of the kind '{row.kind}', which this version does not know. "
                "Use the version that has written it; `kedro account verify` says whether it was changed from outside"
            )
        try:
            payload = parse_json(row.payload)
        except ValueError as error:
            raise AccountError(
                f"the ledger was changed from outside at event {row.sequence} ({row.key}); restore it from a backup"
            ) from error
        yield Event(session, EventKind(row.kind), row.key, payload)


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
