"""What the anchors of a ledger see that its chain alone does not."""

import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.trading.ledger.anchors import Anchor, Anchors
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger, anchors_beside

DAY = pd.Timestamp("2025-01-02")


def event(key, **payload):
    return Event(DAY, EventKind.ORDER_ENDED, key, payload)


@pytest.fixture
def file(tmp_path):
    """A ledger of three events, appended by two commits."""
    file = tmp_path / "sim" / "ledger.sqlite"
    ledger = Ledger.at(file)
    ledger.append([event("a"), event("b")])
    ledger.append([event("halt")])
    ledger.append([event("halt")])
    ledger.engine.dispose()
    return file


def change(file, *statements):
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_each_commit_has_one_anchor_with_the_hash_of_its_end(file):
    chain = Ledger.read(file).chain()
    assert anchors_beside(file).read() == (Anchor(2, chain[1]), Anchor(3, chain[2]))
    assert Ledger.read(file).verify() == 3


def test_removed_newest_event_is_found_by_every_opening(file):
    change(file, "delete from event where sequence = 3")
    for look in (Ledger.at, Ledger.read):
        with pytest.raises(AccountError, match=r"has only 2 events, but .*ledger\.anchors shows that it had 3"):
            look(file)


def test_chain_that_was_hashed_anew_is_found(file, tmp_path):
    other = tmp_path / "other.sqlite"
    ledger = Ledger.at(other)
    ledger.append([event("a"), event("b", quantity="999"), event("halt")])
    ledger.engine.dispose()
    file.write_bytes(other.read_bytes())
    with pytest.raises(AccountError, match="rewritten: its event 2 is not the one"):
        Ledger.read(file).verify()


@pytest.mark.parametrize("loss", ["removed", "emptied", "without its log"])
def test_lost_ledger_is_no_new_account(file, loss):
    if loss == "removed":
        file.unlink()
    elif loss == "emptied":
        file.write_bytes(b"")
    else:
        change(file, "delete from event")
    for look in (LedgerEvents(str(file)).verify, lambda: LedgerEvents(str(file)).save([event("new")])):
        with pytest.raises((AccountError, DatasetError), match=r"has no events or is missing, but .* had 3"):
            look()


def test_new_account_has_no_anchors_and_opens(tmp_path):
    dataset = LedgerEvents(str(tmp_path / "new" / "ledger.sqlite"))
    assert dataset.load() == ()
    dataset.save([event("a")])
    assert dataset.verify() == 1


def test_ledger_from_before_anchors_gets_its_first_when_it_is_opened(file):
    anchors_beside(file).file.unlink()
    assert Ledger.read(file).verify() == 3
    end = Ledger.at(file).newest()
    assert anchors_beside(file).read() == (end,)


def test_incomplete_line_of_a_killed_process_hides_no_other(file):
    anchors = anchors_beside(file)
    with anchors.file.open("ab") as opened:
        opened.write(b"4 0123")
    assert anchors.newest() == Ledger.read(file).newest()
    Ledger.at(file).append([event("c")])
    Ledger.at(file).append([event("d")])
    assert Ledger.read(file).verify() == 5


def test_process_killed_between_commit_and_anchor_leaves_a_whole_ledger(file):
    lines = anchors_beside(file).file.read_text().splitlines(keepends=True)
    anchors_beside(file).file.write_text(lines[0])
    assert Ledger.at(file).verify() == 3


def test_anchor_that_cannot_be_written_stops_no_event(tmp_path, caplog):
    anchors = Anchors(tmp_path / "missing folder" / "ledger.anchors")
    anchors.add(Anchor(1, "0" * 64))
    assert "the ledger itself is whole" in caplog.text
