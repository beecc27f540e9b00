"""Append-only, keyed by nature, hash-chained, durable."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError, StorageError
from quant_pipeline.common.storage_errors import KnownErrorsInOneLine
from quant_pipeline.trading.ledger.events import Event, EventKind, client_order_id, money
from quant_pipeline.trading.ledger.store import Ledger

DAY = pd.Timestamp("2025-01-02")


def event(key, **payload):
    return Event(DAY, EventKind.ACCOUNT_OPENED, key, {"account": "sim", "cash": "100.0000", **payload})


@pytest.fixture
def ledger(tmp_path):
    return Ledger.at(tmp_path / "account" / "ledger.sqlite")


def test_events_come_back_as_they_were_in_order(ledger):
    events = (event("a"), event("b", note="ü"))
    assert ledger.append(events) == 2
    assert ledger.events() == events
    assert ledger.verify() == 2


def test_the_same_event_twice_is_booked_once(ledger):
    assert ledger.append([event("a")]) == 1
    assert ledger.append([event("a"), event("b")]) == 1
    assert [known.key for known in ledger.events()] == ["a", "b"]


def test_another_content_under_a_known_key_is_an_error_and_nothing_is_appended(ledger):
    ledger.append([event("a")])
    with pytest.raises(AccountError, match="knows a with another content"):
        ledger.append([event("new"), event("a", cash="999.0000")])
    assert [known.key for known in ledger.events()] == ["a"]


@pytest.mark.parametrize(
    "statement",
    [
        "update event set payload = replace(payload, '100.0000', '900.0000') where sequence = 2",
        "delete from event where sequence = 2",
        "update event set session = '2025-01-03' where sequence = 2",
    ],
)
def test_a_change_from_outside_is_found(ledger, tmp_path, statement):
    ledger.append([event("a"), event("b"), event("c")])
    with sqlite3.connect(tmp_path / "account" / "ledger.sqlite") as connection:
        connection.execute(statement)
    with pytest.raises(AccountError, match="changed from outside at event 2"):
        ledger.verify()


def test_two_ledgers_with_the_same_events_are_equal_to_the_hash(tmp_path):
    hashes = []
    for name in ("one", "two"):
        Ledger.at(tmp_path / name).append([event("a"), event("b")])
        with sqlite3.connect(tmp_path / name) as connection:
            hashes.append(connection.execute("select hash from event").fetchall())
    assert hashes[0] == hashes[1]


def test_a_process_killed_between_appends_loses_nothing_and_doubles_nothing(tmp_path):
    file = tmp_path / "ledger.sqlite"
    script = textwrap.dedent(
        f"""
        import os, signal, pandas as pd
        from pathlib import Path
        from quant_pipeline.trading.ledger.events import Event, EventKind
        from quant_pipeline.trading.ledger.store import Ledger
        ledger = Ledger.at(Path({str(file)!r}))
        for n in range(1000):
            key = f"k{{n}}"
            ledger.append([Event(pd.Timestamp("2025-01-02"), EventKind.ORDER_ENDED, key, {{"n": str(n)}})])
            if n == int(os.environ["KILL_AT"]):
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    for kill_at in (3, 7):
        environment = {**os.environ, "KILL_AT": str(kill_at)}
        done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
        assert done.returncode == -signal.SIGKILL
    ledger = Ledger.at(file)
    assert [known.key for known in ledger.events()] == [f"k{n}" for n in range(8)]
    assert ledger.verify() == 8


def test_an_order_has_the_same_name_in_every_process():
    assert client_order_id("sim", DAY, "AAA", "buy", 0) == "sim-20250102-AAA-buy-0"
    long = client_order_id("account-name-too-", DAY, "A VERY LONG INSTRUMENT NAME/X", "sell", 3)
    assert len(long) <= 48
    assert long == client_order_id("account-name-too-", DAY, "A VERY LONG INSTRUMENT NAME/X", "sell", 3)
    assert client_order_id("sim", DAY, "BRK/B", "buy", 0) != client_order_id("sim", DAY, "BRK-B", "buy", 0)


def test_money_is_text_with_four_decimals():
    assert money(0.1) == "0.1000"
    assert money("12.34567") == "12.3457"


def test_a_reader_takes_no_lock_and_leaves_no_file(tmp_path):
    file = tmp_path / "ledger.sqlite"
    Ledger.at(file).append([event("a")])
    with sqlite3.connect(file, isolation_level=None) as writer:
        writer.execute("begin immediate")
        assert [read.key for read in Ledger.read(file).events()] == ["a"]
        assert Ledger.read(file).verify() == 1
        writer.execute("rollback")


def test_a_ledger_in_a_folder_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    file = tmp_path / "with space %41" / "ledger.sqlite"
    Ledger.at(file).append([event("a"), event("b")])
    assert Ledger.at(file).file == Ledger.read(file).file == file
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert [read.key for read in Ledger.read(file).events()] == ["a", "b"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from quant_pipeline.common.storage_errors import explain_storage_error
from quant_pipeline.trading.ledger.store import Ledger

# No file may grow, as on a full disk: SQLite cannot make its shared memory.
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    print(*(event.key for event in Ledger.read(Path(sys.argv[1])).events()))
except Exception as error:
    print(explain_storage_error(error))
"""


@pytest.mark.parametrize("has_log", [False, True])
def test_a_ledger_on_a_full_disk_is_read_unless_its_log_would_be_missed(tmp_path, has_log):
    origin, file = tmp_path / "ledger.sqlite", tmp_path / "full" / "ledger.sqlite"
    ledger = Ledger.at(origin)
    ledger.append([event("a"), event("b")])
    ledger._engine.dispose()
    file.parent.mkdir()
    file.write_bytes(origin.read_bytes())
    if has_log:
        file.with_name("ledger.sqlite-wal").write_bytes(b"what a killed writer left")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(file)], capture_output=True, text=True, check=True)
    if has_log:
        assert "no space is left on the disk" in done.stdout
        assert done.stdout.count("\n") == 1
    else:
        assert done.stdout == "a b\n"


def test_what_a_killed_writer_left_in_its_log_is_read_too(tmp_path, monkeypatch):
    file = tmp_path / "ledger.sqlite"
    script = textwrap.dedent(
        f"""
        import os, signal, pandas as pd
        from pathlib import Path
        from quant_pipeline.trading.ledger.events import Event, EventKind
        from quant_pipeline.trading.ledger.store import Ledger
        Ledger.at(Path({str(file)!r})).append([Event(pd.Timestamp("2025-01-02"), EventKind.ORDER_ENDED, "a", {{}})])
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert file.with_name("ledger.sqlite-wal").stat().st_size > 0
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert [read.key for read in Ledger.read(file).events()] == ["a"]


def test_a_ledger_whose_making_was_killed_is_an_empty_one(tmp_path):
    file = tmp_path / "ledger.sqlite"
    file.touch()
    assert Ledger.read(file).events() == ()


def test_a_folder_in_the_place_of_the_ledger_is_named(tmp_path):
    file = tmp_path / "ledger.sqlite"
    file.mkdir()
    for opened in (Ledger.read, Ledger.at):
        with pytest.raises(AccountError, match=r"ledger.sqlite is a folder, but has to be the ledger; move it away"):
            opened(file)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update event set kind = 'hologram_moved' where sequence = 2", "event 2 of the ledger is of the kind 'holog"),
        ("update event set payload = '{' where sequence = 2", r"changed from outside at event 2 \(b\)"),
    ],
)
def test_an_event_that_cannot_be_read_is_named_with_the_remedy(ledger, statement, said):
    ledger.append([event("a"), event("b")])
    with sqlite3.connect(ledger.file) as connection:
        connection.execute(statement)
    for read in (ledger.events, lambda: ledger.find(["b"]), lambda: ledger.events_after(1)):
        with pytest.raises(AccountError, match=said):
            read()


def test_a_ledger_with_other_columns_is_of_another_version(ledger):
    ledger.append([event("a")])
    with sqlite3.connect(ledger.file) as connection:
        connection.execute("alter table event rename column payload to body")
    with pytest.raises(StorageError, match=r"it is of another version\."), KnownErrorsInOneLine():
        Ledger.read(ledger.file).events()
