"""The SQLite store of a project: made beside its place and moved there whole, whatever kills the process.

MLflow makes and migrates a store in place, in sixty steps that are no transaction; a process that ends in the middle
leaves a file that no later one can open.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import mlflow
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow.store.db import utils
from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from quant_pipeline.exceptions import TrackingError
from quant_pipeline.tracking.relocation import ARTIFACTS

logger = logging.getLogger(__name__)

SECONDS_FOR_OTHERS = 20
"""How long a process waits for another one that writes, as MLflow does."""


def prepare_store(file: Path) -> None:
    """Make a store that MLflow can open and write: create it, or bring one of an older MLflow up to date.

    A store that a killed process left half made is put aside when it holds no runs.

    Parameters
    ----------
    file
        The SQLite file; its folder is made.

    Raises
    ------
    TrackingError
        When the file is no store, is of a newer MLflow, or is half migrated and holds runs.
    OSError, sqlite3.Error
        When the file cannot be written.
    """
    if not _is_current(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(file):
            if not _is_current(file):
                try:
                    _make_current(file)
                finally:
                    _sweep(file)
    with closing(_connect(file)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _connect(file: Path) -> sqlite3.Connection:
    """Open an existing file; SQLite would make a new one."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=SECONDS_FOR_OTHERS)


@contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    """Hold a lock that the kernel releases when the process ends, and remove what a killed holder left."""
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep(file)
        yield


def _sweep(file: Path) -> None:
    """Remove unfinished neighbours; who holds the lock is the only one that may have one."""
    for leftover in file.parent.glob(f".{file.name}.[0-9]*"):
        leftover.unlink()


def _is_current(file: Path) -> bool:
    if not file.exists() or file.stat().st_size == 0:
        return False
    revision, tables = _schema(file)
    return revision == utils._get_latest_schema_revision() and tables >= set(Base.metadata.tables)


def _schema(file: Path) -> tuple[str | None, set[str]]:
    """Return the revision that alembic has noted, and the names of the tables."""
    try:
        with closing(_connect(file)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            found = connection.execute("SELECT version_num FROM alembic_version") if "alembic_version" in tables else ()
            return next((revision for (revision,) in found), None), tables
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{file} is not a database that can be read ({error}); move it away, the next run makes a new one"
        ) from error


def _make_current(file: Path) -> None:
    neighbour = file.with_name(f".{file.name}.{os.getpid()}")
    if not file.exists() or file.stat().st_size == 0:
        _create(neighbour, file)
        return
    revision, _ = _schema(file)
    try:
        _upgrade(file, neighbour)
    except (CommandError, SQLAlchemyError) as error:
        if getattr(getattr(error, "orig", None), "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
            # A full disk, a lock, a failing read: nothing is wrong with the schema.
            raise
        _sweep(file)
        _set_aside(file, revision, error)
        _create(neighbour, file)


def _create(neighbour: Path, file: Path) -> None:
    # The default experiment keeps its artifacts beside the final place.
    store = SqlAlchemyStore(f"sqlite:///{neighbour}", str(file.with_name(ARTIFACTS)))
    store.engine.dispose()
    neighbour.replace(file)


def _upgrade(file: Path, neighbour: Path) -> None:
    """Migrate a copy and put it in the place of the original, which stays beside it under the name of its revision."""
    with closing(_connect(file)) as original, closing(sqlite3.connect(neighbour)) as copy:
        original.backup(copy)
    revision, _ = _schema(file)
    engine = create_engine(f"sqlite:///{neighbour}")
    if revision is None:
        utils._initialize_tables(engine)
    else:
        utils._upgrade_db(engine)
    engine.dispose()
    kept = file.with_name(f"{file.name}.{revision}")
    shutil.copy2(file, kept)
    neighbour.replace(file)
    logger.info("%s was of an older MLflow and is up to date now; as it was, it is in %s", file, kept.name)


def _set_aside(file: Path, revision: str | None, error: Exception) -> None:
    """Move a store that cannot be migrated out of the way, unless it holds runs."""
    known = ScriptDirectory.from_config(utils._get_alembic_config(""))
    if revision is not None and revision not in {script.revision for script in known.walk_revisions()}:
        raise TrackingError(
            f"{file} was written by a newer MLflow than {mlflow.__version__}; install that one, or move the file away"
        ) from error
    with closing(_connect(file)) as connection:
        runs = connection.execute("SELECT COUNT(*) FROM runs").fetchone()[0] if "runs" in _schema(file)[1] else 0
    if runs:
        raise TrackingError(
            f"{file} was left half migrated and holds {runs} runs; put a copy from before in its place, or move it "
            "away, and the next run makes a new one"
        ) from error
    broken = file.with_name(f"{file.name}.broken-{datetime.now():%Y%m%d-%H%M%S}")
    file.replace(broken)
    logger.warning("%s was left half made and held no runs; it is in %s now, and a new one is made", file, broken.name)
