"""The ledger on a real PostgreSQL server, which the tests start when its programs are installed."""

import subprocess
import sys
import textwrap

import pandas as pd
import pytest
import sqlalchemy as sa

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.backup import back_up
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger
from tests.helpers.servers import running_postgres

DAY = pd.Timestamp("2025-01-02")
WRITERS, EVENTS_EACH = 4, 25


@pytest.fixture(scope="module")
def server():
    with running_postgres() as url:
        yield url


@pytest.fixture
def url(server, request):
    """An empty schema of its own for every test."""
    schema = f"test_{abs(hash(request.node.name))}"
    with sa.create_engine(server, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(f"create schema {schema}"))
    return f"{server}?options=-csearch_path={schema}"


def event(key, **payload):
    return Event(DAY, EventKind.ACCOUNT_OPENED, key, {"account": "sim", "cash": "100.0000", **payload})


def test_events_come_back_and_fold_as_from_sqlite(url, tmp_path):
    events = (
        event("a", note="ü"),
        Event(DAY, EventKind.FILL, "f", {"instrument": "A", "side": "buy", "quantity": "0.123456789", "price": "0.0001",
                                         "fee": "0.01"}),
    )  # fmt: skip
    here, there = Ledger(url), Ledger.at(tmp_path / "ledger.sqlite")
    for ledger in (here, there):
        assert ledger.append(events) == 2
        assert ledger.append(events) == 0
        assert ledger.verify() == 2
    assert here.events() == there.events() == events
    assert fold(here.events()) == fold(there.events())
    assert hashes(here) == hashes(there)


def hashes(ledger):
    with ledger.engine.connect() as connection:
        return connection.execute(sa.text("select hash from event order by sequence")).scalars().all()


def test_another_content_under_a_known_key_is_an_error_and_nothing_is_appended(url):
    ledger = Ledger(url)
    ledger.append([event("a")])
    with pytest.raises(AccountError, match="knows a with another content"):
        ledger.append([event("new"), event("a", cash="999.0000")])
    assert [known.key for known in ledger.events()] == ["a"]


def test_a_change_from_outside_is_found(url):
    ledger = Ledger(url)
    ledger.append([event("a"), event("b"), event("c")])
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("update event set payload = replace(payload, '100', '900') where sequence = 2"))
    with pytest.raises(AccountError, match="changed from outside at event 2"):
        ledger.verify()


def test_writers_at_the_same_time_make_one_chain(url):
    script = textwrap.dedent(
        f"""
        import sys, pandas as pd
        from quant_pipeline.trading.ledger.events import Event, EventKind
        from quant_pipeline.trading.ledger.store import Ledger
        ledger = Ledger({url!r})
        for n in range({EVENTS_EACH}):
            for key in (f"{{sys.argv[1]}}-{{n}}", f"shared-{{n}}"):
                ledger.append([Event(pd.Timestamp("2025-01-02"), EventKind.ORDER_ENDED, key, {{"n": str(n)}})])
        """
    )
    Ledger(url)
    writers = [subprocess.Popen([sys.executable, "-c", script, str(number)]) for number in range(WRITERS)]
    assert [writer.wait(timeout=1200) for writer in writers] == [0] * WRITERS
    # Every writer's own events, and those that all of them wrote once.
    assert Ledger(url).verify() == (WRITERS + 1) * EVENTS_EACH


def test_the_catalog_reaches_it_by_url_and_shows_no_password(url):
    dataset = LedgerEvents(url)
    assert dataset.load() == ()
    dataset.save([event("a")])
    assert [known.key for known in LedgerEvents(url).load()] == ["a"]
    secret = LedgerEvents("postgresql+psycopg://trader:hunter2@127.0.0.1/postgres")
    assert "hunter2" not in str(secret)


def test_connection_that_the_server_dropped_is_made_again(url):
    ledger = Ledger(url)
    ledger.append([event("a")])
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        assert True in connection.execute(sa.text(ended)).scalars().all()
    assert ledger.append([event("b")]) == 1
    assert [known.key for known in ledger.events()] == ["a", "b"]


def test_key_of_any_length_fits_also_into_a_ledger_made_with_short_keys(url):
    Ledger(url).append([event("a")])
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("alter table event alter column key type varchar(160)"))
    ledger = Ledger(url)
    assert ledger.append([event("statement:" + "x" * 400)]) == 1
    assert ledger.verify() == 2


def test_anchors_lie_beside_the_server_and_find_a_removed_tail(url, tmp_path):
    dataset = LedgerEvents(url, anchors={"filepath": str(tmp_path / "ledger.anchors")})
    dataset.save([event("a")])
    dataset.save([event("halt")])
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("delete from event where sequence = 2"))
    with pytest.raises(AccountError, match="has only 1 events"):
        dataset.verify()


def test_backup_in_a_file_has_the_chain_of_the_server(url, tmp_path):
    ledger = Ledger(url)
    ledger.append([event("a"), event("b")])
    assert back_up(ledger, tmp_path / "backup.sqlite").end == ledger.newest()
    assert [path.name for path in tmp_path.iterdir()] == ["backup.sqlite"]
