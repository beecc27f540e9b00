"""Connections to the database of a ledger: for readers, and for writers whose transactions survive anything."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

BUSY_MILLISECONDS = 10_000
"""How long a writer waits for another process that writes into the same file."""


def reading_engine(file: Path) -> sa.Engine:
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
    # One connection stays open: closing the last one makes SQLite copy its log, which costs more than a commit.
    engine = sa.create_engine(url, poolclass=sa.QueuePool, pool_size=1, pool_pre_ping=_is_served(url))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _make_durable)
        sa.event.listen(engine, "begin", _lock_for_writing)
    elif engine.dialect.name == "postgresql":
        sa.event.listen(engine, "begin", _lock_schema)
    return engine


def _is_served(url: str | sa.URL) -> bool:
    """Whether a server keeps the database, which may have dropped a connection since it was used last."""
    return sa.make_url(url).get_backend_name() != "sqlite"


def _make_durable(connection: object, _record: object) -> None:
    # The driver must not open transactions itself, or `BEGIN IMMEDIATE` comes too late to keep writers apart.
    connection.isolation_level = None  # type: ignore[attr-defined]
    for statement in ("pragma journal_mode=wal", "pragma synchronous=full", f"pragma busy_timeout={BUSY_MILLISECONDS}"):
        connection.execute(statement)  # type: ignore[attr-defined]


def _lock_schema(connection: sa.Connection) -> None:
    # What `BEGIN IMMEDIATE` is to SQLite: one transaction at a time, so that the chain has one end. Accounts that share
    # a database live in schemas of their own and do not wait for each other.
    connection.exec_driver_sql("select pg_advisory_xact_lock(hashtext('quant-pipeline ledger ' || current_schema()))")


def _lock_for_writing(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")
