"""A ledger copied and put back: the same chain, or an error that names what is wrong."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.backup import back_up, newer_events, read_backup, restore
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger, anchors_beside

DAY = pd.Timestamp("2025-01-02")


def event(key):
    return Event(DAY, EventKind.ORDER_ENDED, key, {})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "sim" / "ledger.sqlite"


@pytest.fixture
def ledger(file):
    ledger = Ledger.at(file)
    ledger.append([event("a"), event("b")])
    return ledger


def test_backup_of_a_killed_writer_has_what_a_copy_of_the_file_lacks(file, tmp_path):
    script = textwrap.dedent(
        f"""
        import os, signal, pandas as pd
        from pathlib import Path
        from quant_pipeline.trading.ledger.events import Event, EventKind
        from quant_pipeline.trading.ledger.store import Ledger
        ledger = Ledger.at(Path({str(file)!r}))
        ledger.append([Event(pd.Timestamp("2025-01-02"), EventKind.ORDER_ENDED, str(n), {{}}) for n in range(20)])
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    (tmp_path / "copy.sqlite").write_bytes(file.read_bytes())
    with pytest.raises(AccountError, match="is no backup of a ledger"):
        read_backup(tmp_path / "copy.sqlite")
    assert back_up(Ledger.read(file), tmp_path / "backup.sqlite").end == Ledger.read(file).newest()
    assert not list(tmp_path.glob(".*"))


def test_backup_is_taken_while_another_process_writes(ledger, tmp_path):
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("create table noise (n integer)")
        made = back_up(Ledger.read(ledger.file), tmp_path / "backup.sqlite")
    assert len(made.chain) == 2


def test_backup_overwrites_nothing(ledger, tmp_path):
    back_up(ledger, tmp_path / "backup.sqlite")
    with pytest.raises(AccountError, match="exists already"):
        back_up(ledger, tmp_path / "backup.sqlite")


@pytest.mark.parametrize("content", [b"", b"no database at all", None])
def test_what_is_no_backup_is_refused_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "backup.sqlite"
    if content is None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("create table other (n integer)")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(AccountError, match="is no backup of a ledger"):
        read_backup(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["backup.sqlite"]


def test_changed_backup_is_refused(ledger, tmp_path):
    path = back_up(ledger, tmp_path / "backup.sqlite").file
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update event set payload = '{\"x\":1}' where sequence = 1")
    with pytest.raises(AccountError, match="changed from outside at event 1"):
        read_backup(path)


@pytest.mark.parametrize("loss", ["removed", "emptied", "damaged", "cut"])
def test_restored_ledger_is_the_backed_up_one_and_goes_on(ledger, file, tmp_path, loss):
    backup = back_up(ledger, tmp_path / "backup.sqlite")
    ledger.append([event("after the backup")])
    ledger.engine.dispose()
    if loss == "removed":
        file.unlink()
    elif loss == "cut":
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("delete from event where sequence = 3")
    else:
        file.write_bytes(b"" if loss == "emptied" else b"x" * 5000)
    assert loss == "damaged" or newer_events(file, backup) == 0
    restore(backup, file, tmp_path / "kept")
    restored = Ledger.at(file)
    assert [known.key for known in restored.events()] == ["a", "b"]
    assert restored.append([event("c")]) == 1
    assert restored.verify() == 3
    assert (tmp_path / "kept" / "ledger.sqlite").exists() == (loss != "removed")


def test_events_after_the_backup_are_counted(ledger, file, tmp_path):
    backup = back_up(ledger, tmp_path / "backup.sqlite")
    assert newer_events(file, backup) == 0
    ledger.append([event("c"), event("d")])
    assert newer_events(file, backup) == 2


def test_kill_between_moving_and_replacing_is_refused_and_healed_by_restoring_again(ledger, file, tmp_path):
    backup = back_up(ledger, tmp_path / "backup.sqlite")
    ledger.engine.dispose()
    file.rename(tmp_path / "moved.sqlite")
    with pytest.raises(AccountError, match="kedro account restore"):
        Ledger.at(file)
    restore(backup, file, tmp_path / "kept")
    assert Ledger.at(file).verify() == 2


def test_anchors_after_a_restoration_know_the_restored_chain_only(ledger, file, tmp_path):
    backup = back_up(ledger, tmp_path / "backup.sqlite")
    ledger.append([event("c")])
    ledger.engine.dispose()
    restore(backup, file, tmp_path / "kept")
    assert anchors_beside(file).read() == (backup.end,)
