"""An account at a fake Alpaca, in a project that has never ingested any market."""

import os
import resource
import sqlite3
from decimal import Decimal

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.account import account as command
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    Director,
    ExchangeHours,
    FakeAlpaca,
    FakeExchange,
    Script,
)
from quant_pipeline.trading.ledger import connections
from quant_pipeline.trading.ledger.store import Ledger
from tests.helpers.broker_account import DAY
from tests.helpers.project import bare_project


@pytest.fixture
def project(project_path, tmp_path, monkeypatch):
    path = bare_project(project_path, tmp_path / "project")
    # Another process that holds the lock does so until the command has given up.
    monkeypatch.setattr(connections, "BUSY_MILLISECONDS", 100)
    monkeypatch.chdir(path)
    for kind in ("PAPER", "LIVE"):
        monkeypatch.setenv(f"ALPACA_{kind}_API_KEY", API_KEY)
        monkeypatch.setenv(f"ALPACA_{kind}_SECRET_KEY", SECRET_KEY)
    return bootstrap_project(path)


@pytest.fixture
def exchange():
    made = FakeExchange(
        10_000,
        {"AAA": 10, "BBB": 20, "CCC": 5},
        Director(Script()),
        hours=ExchangeHours("2025-03-04 15:00"),
        auto_fill=False,
    )
    made.move("AAA", Decimal("10.5"), Decimal(8))
    made.move("BBB", Decimal(4), Decimal(20))
    made.last_equity = made.equity()
    return made


@pytest.fixture
def server(exchange):
    with FakeAlpaca(exchange) as server:
        yield server


@pytest.fixture
def run(project, server):
    """Run a command of the paper account."""

    def run(*words, fails=False, env="paper", more="", as_of=f",as_of={DAY}", **options):
        patience = "execution.poll_seconds=0.02,execution.missing_fill_polls=2"
        params = f"alpaca_url={server.url}{as_of},{patience}{more}"
        arguments = [*words, "--env", env, "--params", params]
        result = CliRunner().invoke(command, arguments, obj=project, **options)
        assert result.exit_code == int(fails), (result.output, result.exception)
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result.output

    return run


@pytest.fixture
def stop(project, server):
    return project.project_path / f"data/accounts/paper-rehearsal-{server.port}/STOP"


@pytest.fixture
def ledger(project, server):
    """Return the ledger of an account that rehearses."""
    accounts = project.project_path / "data/accounts"
    return lambda name="paper": Ledger.at(accounts / f"{name}-rehearsal-{server.port}/ledger.sqlite")


@pytest.fixture
def locked_ledger(run, ledger):
    """The ledger of an account whose books are open, while another process holds SQLite's lock for writing."""
    run("reconcile")
    other = sqlite3.connect(ledger().file, isolation_level=None)
    other.execute("begin immediate")
    yield
    other.execute("rollback")
    other.close()


@pytest.fixture
def run_on_full_disk(run):
    """Run a command in a fork that can make files and write nothing into them, as on a full disk."""

    def run_in_fork(*words, **options):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            said = "FAILED"
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
                said = run(*words, **options)
            except AssertionError as error:
                said = f"FAILED {error}"
            finally:
                os.write(writing, said.encode())
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        assert not said.startswith("FAILED"), said
        return said

    return run_in_fork
