"""The SQLite store of a project: made beside its place and moved there whole, whatever kills the process.

MLflow makes and migrates a store in place, in sixty steps that are no transaction; a process that ends in the middle
leaves a file that no later one can open.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from glob import escape
from pathlib import Path

import mlflow
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow.store.db import utils
from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from quant_pipeline.common.atomic import replacing_file
from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.common.exceptions import TrackingError
from quant_pipeline.common.locks import locked
from quant_pipeline.tracking.relocation import ARTIFACTS

logger = logging.getLogger(__name__)

SECONDS_FOR_OTHERS = 20
"""How long a process waits for another one that writes, as MLflow does."""
SECONDS_TO_MAKE = 300
"""How long it waits for another one that makes or migrates the store."""


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
        lock = file.with_name(f"{file.name}.lock")
        with locked(lock, f"the making of {file}", patience=SECONDS_TO_MAKE, on_wait=logger.debug):
            _sweep(file)
            if not _is_current(file):
                _make_current(file)
    with closing(_connect(file)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _connect(file: Path) -> sqlite3.Connection:
    """Open an existing file; SQLite would make a new one."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=SECONDS_FOR_OTHERS)


def _sweep(file: Path) -> None:
    """Remove what killed processes have left; who holds the lock is the only one that may have an unfinished store."""
    for leftover in file.parent.glob(f".{escape(file.name)}.*.tmp*"):
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
    if file.exists() and file.stat().st_size:
        revision, _ = _schema(file)
        try:
            with replacing_file(file) as beside:
                _upgrade(file, beside, revision)
        except (CommandError, SQLAlchemyError) as error:
            if getattr(getattr(error, "orig", None), "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
                # A full disk, a lock, a failing read: nothing is wrong with the schema.
                raise
            _set_aside(file, revision, error)
        else:
            logger.info("%s was of an older MLflow; as it was, it is in %s.%s", file, file.name, revision)
            return
    with replacing_file(file) as beside:
        # The default experiment keeps its artifacts beside the final place.
        store = SqlAlchemyStore(sqlite_url(beside), file.with_name(ARTIFACTS).absolute().as_uri())
        store.engine.dispose()


def _upgrade(file: Path, beside: Path, revision: str | None) -> None:
    """Migrate a copy; another one stays under the name of its revision."""
    with closing(_connect(file)) as original, closing(sqlite3.connect(beside)) as copy:
        original.backup(copy)
    engine = create_engine(sqlite_url(beside))
    if revision is None:
        utils._initialize_tables(engine)
    else:
        utils._upgrade_db(engine)
    engine.dispose()
    shutil.copy2(file, file.with_name(f"{file.name}.{revision}"))


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
