"""The store of a project is whole or not there, whatever happens while it is made."""

import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from quant_pipeline.common.exceptions import TrackingError
from quant_pipeline.tracking.store import prepare_store


def in_a_process(task):
    """Fork, run a task and leave without the clean-up of this process."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        task()
        status = 0
    finally:
        os._exit(status)


def query(file, text):
    with closing(sqlite3.connect(file)) as store:
        return store.execute(text).fetchall()


def execute(file, *statements):
    with closing(sqlite3.connect(file)) as store:
        for statement in statements:
            store.execute(statement)
        store.commit()


def experiments(file):
    """Names of the experiments as MLflow itself reads them, which refuses a store of another schema."""
    store = SqlAlchemyStore(f"sqlite:///{file}", str(file.with_name("mlruns")))
    found = [experiment.name for experiment in store.search_experiments()]
    store.engine.dispose()
    return found


RUN = "INSERT INTO runs (run_uuid, status, lifecycle_stage, experiment_id) VALUES ('a', 'FINISHED', 'active', 0)"


@pytest.fixture
def half_migrated(tmp_path):
    """What a kill leaves of a migration in place: the first step has been made and is not noted."""
    file = tmp_path / "mlflow.db"
    engine = create_engine(f"sqlite:///{file}")
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    execute(file, "ALTER TABLE metrics ADD COLUMN step BIGINT DEFAULT '0' NOT NULL")

    def open_it():
        with pytest.raises(OperationalError, match="duplicate column name: step"):
            experiments(file)

    assert os.waitpid(in_a_process(open_it), 0)[1] == 0
    return file


def test_a_kill_at_any_moment_leaves_no_store_or_a_whole_one(tmp_path):
    file = tmp_path / "mlflow[1].db"
    killed = 0
    for moment in (0.0, 0.02, 0.1, 0.2, 0.4, 0.8):
        child = in_a_process(lambda: prepare_store(file))
        while not (file.exists() or any(tmp_path.glob(".mlflow*"))):
            time.sleep(0.005)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        if file.exists():
            assert experiments(file) == ["Default"]
            file.unlink()
    assert killed >= 1
    prepare_store(file)
    assert experiments(file) == ["Default"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow[1].db", "mlflow[1].db.lock"]


def test_two_first_runs_at_once_both_find_a_store_and_say_nothing(tmp_path, capfd):
    file = tmp_path / "mlflow.db"
    children = [in_a_process(lambda: prepare_store(file)) for _ in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert capfd.readouterr() == ("", "")
    assert experiments(file) == ["Default"]


def test_a_store_that_an_interrupted_run_left_half_made_is_put_aside(half_migrated, caplog):
    prepare_store(half_migrated)
    assert experiments(half_migrated) == ["Default"]
    (broken,) = half_migrated.parent.glob("mlflow.db.broken-*")
    assert ("step",) in query(broken, "SELECT name FROM pragma_table_info('metrics')")
    (line,) = caplog.messages
    assert line.endswith(f"was left half made and held no runs; it is in {broken.name} now, and a new one is made")


def test_a_half_migrated_store_with_runs_is_left_alone_and_named(half_migrated):
    execute(half_migrated, RUN)
    before = half_migrated.read_bytes()
    with pytest.raises(TrackingError, match=r"mlflow\.db was left half migrated and holds 1 runs; put a copy"):
        prepare_store(half_migrated)
    assert half_migrated.read_bytes() == before
    assert not list(half_migrated.parent.glob(".mlflow.db.*"))


def test_a_store_of_an_older_mlflow_is_brought_up_to_date_with_its_runs(tmp_path):
    file = tmp_path / "mlflow.db"
    engine = create_engine(f"sqlite:///{file}")
    InitialBase.metadata.create_all(engine)
    head = ScriptDirectory.from_config(utils._get_alembic_config("")).get_revision(utils._get_latest_schema_revision())
    config = utils._get_alembic_config(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, head.down_revision)
    engine.dispose()
    execute(file, "INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (0, 'Default', 'active')", RUN)
    prepare_store(file)
    assert experiments(file) == ["Default"]
    assert query(file, "SELECT run_uuid FROM runs") == [("a",)]
    kept = tmp_path / f"mlflow.db.{head.down_revision}"
    assert query(kept, "SELECT version_num FROM alembic_version") == [(head.down_revision,)]


def test_a_store_of_a_newer_mlflow_is_named(empty_store, tmp_path):
    file = tmp_path / "mlflow.db"
    shutil.copy(empty_store, file)
    execute(file, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(TrackingError, match=r"was written by a newer MLflow than 3\.\d+\.\d+; install that one"):
        prepare_store(file)


def test_a_file_that_is_no_database_is_left_alone_and_named(tmp_path):
    file = tmp_path / "mlflow.db"
    file.write_text("notes of mine, much longer than the header of a database, about what I want to do " * 20)
    before = file.read_bytes()
    with pytest.raises(TrackingError, match=r"mlflow\.db is not a database that can be read .*; move it away"):
        prepare_store(file)
    assert file.read_bytes() == before


def test_a_full_disk_during_an_update_leaves_the_store_as_it_was(half_migrated, monkeypatch):
    before = half_migrated.read_bytes()

    def run_out_of_space(engine):
        # SQLite's own refusal to write beyond a limit, with the code of a full disk.
        with engine.begin() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.exec_driver_sql("CREATE TABLE more AS SELECT randomblob(100000)")

    monkeypatch.setattr(utils, "_initialize_tables", run_out_of_space)
    with pytest.raises(OperationalError, match="database or disk is full"):
        prepare_store(half_migrated)
    assert half_migrated.read_bytes() == before
    assert sorted(path.name for path in half_migrated.parent.iterdir()) == ["mlflow.db", "mlflow.db.lock"]
