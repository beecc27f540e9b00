"""`kedro live` as it is typed: its check, its state, its channels, and what it refuses."""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from quant_pipeline.cli.live import SIGNALS, _listen, begin_again, live
from quant_pipeline.cli.opened_account import open_account
from quant_pipeline.common.exceptions import NotReadyError
from quant_pipeline.common.locks import locked
from quant_pipeline.live.checks import CHECKS, report_problems
from quant_pipeline.live.commands import Commands
from quant_pipeline.live.timetable import Task, TaskKind
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, ExchangeHours, FakeAlpaca, FakeExchange
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.desk import arming_event
from quant_pipeline.trading.orders.kill_switch import KILL_SWITCH_VARIABLE
from quant_pipeline.trading.orders.lease import Lease
from tests.helpers.project import PROJECT, copy_project

PARAMS = "as_of=2025-01-02"
AS_OF = {"as_of": "2025-01-02"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return SimpleNamespace(project_path=copy_project(PROJECT, tmp_path_factory.mktemp("live") / "project").path)


@pytest.fixture
def run(place, monkeypatch):
    for name in ("ALPACA_PAPER_API_KEY", "ALPACA_PAPER_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(live, [str(word) for word in words], obj=place)


def test_the_check_names_everything_that_would_stop_the_account_and_fails(run):
    done = run("--check", "--env", "paper", "--params", PARAMS)
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert "disk: as it should be" in lines
    assert "configuration and limits: as it should be" in lines
    assert any("'paper' has no api_key and no secret_key for Alpaca" in line for line in lines)
    assert any("there is no champion of" in line for line in lines)
    assert "things would stop 'paper'; see above." in done.output


def looked_at(opened, *names):
    lines = []
    with suppress(NotReadyError):
        report_problems(opened, lines.append, {name: CHECKS[name] for name in names})
    return [line for line in lines if line.startswith("  ! ")]


def test_the_check_reports_a_real_account_that_is_not_pinned_or_not_armed_and_passes_an_armed_one(place):
    def said(*events):
        with open_account(place, "live", {"as_of": "2025-01-02"}) as opened:
            opened.append(*events)
            return looked_at(opened, "arming", "switches and state of the account")

    file, home = place.project_path / "conf/live/parameters_execution.yml", place.project_path / "data/accounts/live"
    before = file.read_text()
    try:
        assert said()[0].startswith("  ! it is not pinned, so it cannot be armed; write its number")
        file.write_text(before.replace("account_number: null", 'account_number: "123456789"'))
        asked = "it is not armed for 2025-01-03; `kedro account arm --env live` arms it, at any time before the open."
        assert said() == [f"  ! {asked}"]
        assert said(arming_event(pd.Timestamp("2025-01-03"), "123456789")) == []
    finally:
        file.write_text(before)
        shutil.rmtree(home, ignore_errors=True)


def test_the_check_names_a_broker_that_takes_no_orders_and_a_kill_switch_of_the_shell(place, monkeypatch):
    for name, key in (("ALPACA_PAPER_API_KEY", API_KEY), ("ALPACA_PAPER_SECRET_KEY", SECRET_KEY)):
        monkeypatch.setenv(name, key)
    exchange = FakeExchange(cash=10_000, prices={}, hours=ExchangeHours(pd.Timestamp("2025-01-02 21:30", tz="UTC")))
    with FakeAlpaca(exchange) as fake, open_account(place, "paper", {**AS_OF, "alpaca_url": fake.url}) as opened:
        asked = ("broker, keys, clock and hours", "switches and state of the account")
        assert looked_at(opened, *asked) == []
        exchange.blocked, exchange.suspended = True, True
        monkeypatch.setenv(KILL_SWITCH_VARIABLE, "1")
        blocked, suspended, switch = looked_at(opened, *asked)
    assert "the broker blocks trading in account" in blocked
    assert "is suspended at the broker; `kedro account resume --env paper` resumes it" in suspended
    assert "QUANT_PIPELINE_KILL_SWITCH is set and stops every order" in switch


def test_the_check_of_the_right_to_send_takes_it_from_no_process(place):
    asked = "right to send"
    try:
        with open_account(place, "paper", AS_OF) as opened:
            opened.append(arming_event(pd.Timestamp("2025-01-03"), "1"))
            assert looked_at(opened, asked) == []
            engine = Ledger.at(opened.ledger.file).engine
            held = Lease.acquire(engine, 60.0, time.time)
            assert "may be sending orders of this account" in looked_at(opened, asked)[0]
            # A broker is slow to answer: the right has run out, and its holder goes on.
            late = Lease(engine, held.holder, held.fence, -60.0, time.time)
            late.check()
            assert looked_at(opened, asked) == []
            held.check()
            engine.dispose()
    finally:
        shutil.rmtree(place.project_path / "data", ignore_errors=True)


def test_the_check_misses_a_plan_only_after_the_daily_run_that_should_have_made_it(place):
    session, following = pd.Timestamp("2025-01-02"), pd.Timestamp("2025-01-03")
    closed = Event(session, EventKind.SESSION_CLOSED, "close:2025-01-02", {"cash": "0", "net_asset_value": "0"})
    planned = Event(
        following,
        EventKind.PLAN_RECORDED,
        "plan:2025-01-03",
        {"deal_session": "2025-01-03", "revision": 0, "orders": []},
    )
    with open_account(place, "paper", AS_OF) as opened:
        for events, number in (((), 0), ((closed,), 1), ((closed, planned), 0)):
            opened.__dict__["events"] = events
            opened.__dict__.pop("state", None)
            assert len(looked_at(opened, "plan of the next session")) == number


@pytest.mark.parametrize(("newest", "is_old"), [("2025-01-06", True), ("2025-01-07", False), ("2025-01-08", False)])
def test_the_check_names_a_market_that_was_not_ingested_for_a_while(place, newest, is_old):
    lines = []
    with open_account(place, "paper", {"as_of": "2025-01-08"}) as opened:
        opened.catalog.save("sessions", pd.DataFrame({"date": pd.bdate_range("2025-01-02", newest)}))
        try:
            with suppress(NotReadyError):
                report_problems(opened, lines.append, {"age": CHECKS["age of the market data"]})
        finally:
            opened.catalog.release("sessions")
            shutil.rmtree(place.project_path / "data", ignore_errors=True)
    words = "ingested up to 2025-01-06, and 2025-01-08 has closed; `kedro run --pipelines daily --env paper`"
    assert [words in line for line in lines[1:]] == ([True] if is_old else [])


def test_the_check_of_the_configuration_asks_nothing_else_and_names_the_key(run, place):
    assert run("--check-configuration", "--env", "paper", "--params", PARAMS).exit_code == 0
    file = place.project_path / "conf" / "paper" / "parameters_live.yml"
    file.write_text(yaml.safe_dump({"live": {"drain_secnds": 1}}))
    try:
        done = run("--check-configuration", "--env", "paper", "--params", PARAMS)
    finally:
        file.unlink()
    assert done.exit_code == 1
    assert "drain_secnds" in done.output
    assert "broker" not in done.output


def test_the_process_begins_again_as_it_was_called(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda program, words: called.append((program, words)))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "quant_pipeline", "live", "--env", "paper"])
    begin_again()
    assert called == [(sys.executable, [sys.executable, "-m", "quant_pipeline", "live", "--env", "paper"])]


@pytest.mark.parametrize(("before", "is_heeded"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_ends_the_process_unless_it_was_started_to_outlive_it(before, is_heeded):
    asked, known = [], {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGHUP, before)
    try:
        _listen(SimpleNamespace(stop=lambda: asked.append(True)))
        os.kill(os.getpid(), signal.SIGHUP) if is_heeded else None
        assert (signal.getsignal(signal.SIGHUP) is signal.SIG_IGN) == (not is_heeded)
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)
    assert asked == [True] * is_heeded


def test_the_check_names_a_market_whose_orders_could_never_be_executed(place):
    often = {"market_rules": {"calendar": "24/7"}, "live": {"execution_within_minutes": 15}}
    with open_account(place, "paper", {**AS_OF, **often}) as opened:
        (problem,) = looked_at(opened, "calendar")
    assert "orders are never executed in 31 of the coming sessions" in problem
    with open_account(place, "paper", AS_OF) as opened:
        assert looked_at(opened, "calendar") == []


def written_status(place, **facts):
    folder = place.project_path / "data/accounts/paper/live"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "status.json"
    market = {"net_asset_value": "5.00", "change": 0.0, "halted": {}}
    file.write_text(json.dumps({"state": "ready", "pid": 7, "now": "2025-01-02T22:00:00Z", "market": market} | facts))
    return file


def test_a_dead_process_shows_nothing_of_the_time_when_it_lived(run, place):
    written_status(place, running="daily 2025-01-02", progress="halfway")
    said = run("status", "--env", "paper", "--params", PARAMS).output
    assert said.startswith("paper: stopped\n")
    assert "value" not in said
    assert "halfway" not in said


def test_a_process_that_hangs_is_said_to_be_silent(run, place):
    file = written_status(place)
    os.utime(file, (time.time() - 600, time.time() - 600))
    with locked(file.with_name(".lock"), "the live process"):
        said = run("status", "--env", "paper", "--params", PARAMS).output
        os.utime(file)
        assert "has written nothing" not in run("status", "--env", "paper", "--params", PARAMS).output
    assert re.search(r"it has written nothing for \d{3,} s", said)


def test_a_ledger_that_cannot_be_read_is_not_called_empty(run, place):
    ledger = place.project_path / "data/accounts/paper/ledger.sqlite"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    ledger.write_text("no database")
    try:
        said = run("status", "--env", "paper", "--params", PARAMS).output
    finally:
        ledger.unlink()
    assert "booked up to: not known, the ledger cannot be read now" in said


def test_the_state_of_an_account_that_never_lived_says_that_nothing_happened(run):
    done = run("status", "--env", "paper", "--params", PARAMS)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:4] == [
        "paper: stopped",
        "next due: nothing is known yet",
        "last reconciliation: none",
        "booked up to: nothing yet",
    ]


def test_a_second_process_is_refused_and_the_first_is_named(run, place):
    with locked(place.project_path / "data/accounts/sim/live/.lock", "the live process"):
        done = run("--params", PARAMS)
    assert done.exit_code == 1
    assert "the live process of account 'sim' is in use by process" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--env", "paper", "--speed", 100, "--params", PARAMS), "--speed is for accounts at the simulated exchange"),
        (("--env", "paper", "status"), "options belong behind `status`"),
        (("notify-test",), "'sim' has no channel. Name one under notifications.channels"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(run, words, message):
    done = run(*words)
    assert done.exit_code != 0
    assert message in done.output


def test_a_test_message_reaches_each_channel_and_a_failed_one_is_named(tmp_path):
    own = SimpleNamespace(project_path=copy_project(PROJECT, tmp_path / "project").path)
    received = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if "good" in self.path else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home, port = own.project_path / "conf" / "sim", server.server_address[1]
        addresses = {name: f"json://127.0.0.1:{port}/{name}" for name in ("good", "bad")}
        (home / "credentials.yml").write_text(yaml.safe_dump({"notifications": addresses}))
        channels = {"channels": {"good": {"level": "alert"}, "bad": {}}}
        (home / "parameters_live.yml").write_text(yaml.safe_dump({"notifications": channels}))
        done = CliRunner().invoke(live, ["notify-test", "--params", PARAMS], obj=own)
        server.shutdown()
    assert done.exit_code == 3
    assert set(done.output.splitlines()[:2]) == {"good: delivered", "bad: not delivered"}
    assert {message["title"] for message in received} == {"sim: a test"}


def test_tasks_are_the_commands_that_can_be_typed(tmp_path):
    calendar = TradingCalendar.of("XNYS", "2025-01-02", "2025-01-10")
    commands = Commands(tmp_path, "paper", {"alpaca_url": "http://127.0.0.1:1"}, tmp_path, program=("kedro", "run"))
    session, opens = pd.Timestamp("2025-01-06"), pd.Timestamp("2025-01-06 14:30", tz="UTC")
    words = {kind: " ".join(commands.words(Task(kind, session, opens), calendar)) for kind in TaskKind}
    given = "--env paper --params alpaca_url=http://127.0.0.1:1,as_of="
    assert words[TaskKind.EXECUTION] == f"kedro run --pipelines execution {given}2025-01-03", "decided on Friday"
    assert words[TaskKind.DRY_RUN] == f"kedro run --pipelines execution {given}2025-01-03,dry_run=true"
    assert words[TaskKind.DAILY] == f"kedro run --pipelines daily {given}2025-01-06"
    host = replace(commands, daily=("ingestion", "post_trade"))
    assert " --pipelines ingestion,post_trade --env paper " in " ".join(
        host.words(Task(TaskKind.DAILY, session, opens), calendar)
    )
    assert words[TaskKind.RECONCILIATION].endswith(f"account reconcile {given}2025-01-06")
