"""`kedro live` as it is typed: its check, its state, its channels, and what it refuses."""

import json
import os
import shutil
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from quant_pipeline.cli.live import begin_again, live
from quant_pipeline.cli.opened_account import open_account
from quant_pipeline.common.exceptions import NotReadyError
from quant_pipeline.common.locks import locked
from quant_pipeline.live.checks import CHECKS, report_problems
from quant_pipeline.live.commands import Commands
from quant_pipeline.live.timetable import Task, TaskKind
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.trading.orders.desk import arming_event
from tests.helpers.project import PROJECT, copy_project

PARAMS = "as_of=2025-01-02"


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


def test_the_check_reports_a_real_account_that_is_not_pinned_or_not_armed(place):
    def said(*events):
        lines = []
        with open_account(place, "live", {"as_of": "2025-01-02"}) as opened:
            opened.append(*events)
            with suppress(NotReadyError):
                report_problems(opened, lines.append, {"arming": CHECKS["arming"]})
        return lines[-1]

    file, home = place.project_path / "conf/live/parameters_execution.yml", place.project_path / "data/accounts/live"
    before = file.read_text()
    try:
        assert said().startswith("  ! it is not pinned, so it cannot be armed; write its number")
        file.write_text(before.replace("account_number: null", 'account_number: "123456789"'))
        asked = "it is not armed for 2025-01-03; `kedro account arm --env live` arms it, at any time before the open."
        assert said() == f"  ! {asked}"
        assert said(arming_event(pd.Timestamp("2025-01-03"), "123456789")) == "arming: as it should be"
    finally:
        file.write_text(before)
        shutil.rmtree(home, ignore_errors=True)


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


def test_a_test_message_reaches_each_channel_and_a_failed_one_is_named(run, place):
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
        home, port = place.project_path / "conf" / "sim", server.server_address[1]
        addresses = {name: f"json://127.0.0.1:{port}/{name}" for name in ("good", "bad")}
        (home / "credentials.yml").write_text(yaml.safe_dump({"notifications": addresses}))
        channels = {"channels": {"good": {"level": "alert"}, "bad": {}}}
        (home / "parameters_live.yml").write_text(yaml.safe_dump({"notifications": channels}))
        done = run("notify-test", "--params", PARAMS)
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
