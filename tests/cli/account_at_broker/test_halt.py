"""Halting, cancelling, disarming and resuming an account at a fake Alpaca, in a project without any market."""

import pandas as pd

from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.testing.fake_alpaca import FaultKind, Request, Script, ScriptedFault
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.account_orders import AccountOrders
from tests.helpers.broker_account import NEXT, order, pin, statuses


def test_halt_reaches_the_broker_without_any_market_data(run, exchange, stop):
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    order(exchange, "paper-rehearsal-eu-20250304-AAA-buy-0", symbol="AAA")
    order(exchange, "by-hand", symbol="BBB")
    said = run("halt", "--reason", "fire drill")
    assert stop.read_text() == "fire drill\n"
    for line in ("nothing is sent while it exists", "the ledger says halted", "1 open orders were cancelled"):
        assert line in said
    assert exchange.suspended
    assert statuses(exchange)["paper-rehearsal-20250304-CCC-buy-0"] == "canceled"
    assert {statuses(exchange)[name] for name in ("paper-rehearsal-eu-20250304-AAA-buy-0", "by-hand")} == {"accepted"}


def test_halt_works_with_a_broken_configuration_of_another_stage(run, exchange, stop, project):
    for text in ("models: [broken", "models: {}\nrisk: {max_order_weight: much}\n"):
        (project.project_path / "conf/paper/parameters_models.yml").write_text(text)
        stop.unlink(missing_ok=True)
        exchange.suspended = False
        said = run("halt")
        assert stop.exists()
        assert exchange.suspended, said


def test_halt_writes_the_file_when_no_configuration_can_be_read(run, stop, project):
    (project.project_path / "conf/base/catalog_execution.yml").write_text("trading_desk: [broken")
    said = run("halt", fails=True)
    assert stop.exists()
    assert f"only {stop} was written" in said


def test_halt_goes_on_to_the_broker_when_the_ledger_cannot_be_written(run, exchange, stop):
    stop.parent.mkdir(parents=True)
    (stop.parent / "ledger.sqlite").write_bytes(b"this is no database, whatever its name says" * 50)
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    said = run("halt", fails=True)
    assert "the ledger: not stopped" in said
    assert "the ledger could not be stopped" in said
    assert stop.exists()
    assert (exchange.suspended, statuses(exchange)["paper-rehearsal-20250304-CCC-buy-0"]) == (True, "canceled")


def test_a_file_that_resume_cannot_remove_is_named_and_goes_on_stopping(run, exchange, stop):
    (stop / "kept").mkdir(parents=True)
    run("halt")
    assert exchange.suspended
    said = run("resume", fails=True)
    assert f"{stop} cannot be removed" in said
    assert "nothing is sent while it exists; remove it by hand" in said
    assert stop.exists()


def test_halt_with_keys_that_the_broker_refuses_stops_here_and_says_what_goes_on_there(run, stop, ledger, monkeypatch):
    monkeypatch.setenv("ALPACA_PAPER_SECRET_KEY", "another")
    said = run("halt", fails=True)
    assert "the orders at the broker: not stopped, Alpaca refuses the keys" in said
    assert "trading at the broker: not stopped, Alpaca refuses the keys" in said
    assert stop.exists()
    assert AccountOrders.of(ledger().events()).trading_state == "halted"
    assert "another" not in said


def test_halt_says_which_layer_failed_and_tries_the_others(run, exchange, stop):
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    fault = ScriptedFault(request=Request.CANCEL, kind=FaultKind.STATUS_BEFORE, status=500, times=9)
    exchange.director.play(Script(faults=(fault,)))
    said = run("halt", fails=True)
    left = "1 orders may still be open: paper-rehearsal-20250304-CCC-buy-0"
    assert f"the orders at the broker: not stopped, {left}" in said
    assert "the orders at the broker could not be stopped" in said
    assert exchange.suspended


def test_halt_of_a_locked_ledger_stops_every_other_layer(run, exchange, stop, locked_ledger):
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    said = run("halt", fails=True)
    assert "the ledger: not stopped, " in said
    assert "another process is writing into it. Run again when that has ended" in said
    assert "the ledger could not be stopped; what is named above was. Run halt again." in said
    assert stop.exists()
    assert (exchange.suspended, statuses(exchange)["paper-rehearsal-20250304-CCC-buy-0"]) == (True, "canceled")


def test_halt_with_a_lost_ledger_says_what_was_lost_and_how_to_restore_it(run, exchange, stop, ledger):
    run("reconcile")
    lost = ledger().file
    for file in lost.parent.glob("ledger.sqlite*"):
        file.unlink()
    said = run("halt", fails=True)
    assert "the ledger: not stopped, the ledger" in said
    assert "has no events or is missing, but" in said
    assert "Restore it with `kedro account restore BACKUP" in said
    assert "the ledger could not be stopped; what is named above was. Run halt again." in said
    assert (stop.exists(), exchange.suspended) == (True, True)


def test_halt_and_flatten_act_with_a_ledger_of_another_account_and_say_so(run, exchange, stop, ledger):
    facts = {"account": "other", "cash": "1", "lot_method": "fifo"}
    ledger().append([Event(pd.Timestamp("2025-03-03"), EventKind.ACCOUNT_OPENED, "open", facts)])
    other = "is of the account 'other', not of 'paper-rehearsal'"
    assert other in run("reconcile", fails=True)
    assert f"the ledger: not stopped, the ledger {ledger().file} {other}" in run("halt", fails=True).replace("\n", "")
    assert (stop.exists(), exchange.suspended) == (True, True)
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert other in said
    assert (exchange.positions, len(ledger().events())) == ({}, 1)


def test_cancel_needs_no_ledger(run, exchange, locked_ledger):
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    order(exchange, "by-hand", symbol="BBB")
    assert "1 open orders were cancelled at the broker" in run("cancel")
    assert statuses(exchange) == {"paper-rehearsal-20250304-CCC-buy-0": "canceled", "by-hand": "accepted"}
    assert not exchange.suspended


def test_cancel_says_what_may_still_be_open(run, exchange):
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    fault = ScriptedFault(request=Request.CANCEL, kind=FaultKind.STATUS_BEFORE, status=500, times=9)
    exchange.director.play(Script(faults=(fault,)))
    said = run("cancel", fails=ExitStatus.INCOMPLETE)
    assert "1 orders may still be open: paper-rehearsal-20250304-CCC-buy-0" in said


def test_halt_on_a_full_disk_makes_the_file_and_reaches_the_broker(run, run_on_full_disk, exchange, stop):
    run("reconcile")
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    said = run_on_full_disk("halt", "--reason", "fire drill", fails=True)
    assert "the reason was not written into it: File too large" in said
    assert f"wrote {stop}: nothing is sent while it exists" in said
    assert "the ledger: not stopped, " in said
    assert stop.exists()
    assert (exchange.suspended, statuses(exchange)["paper-rehearsal-20250304-CCC-buy-0"]) == (True, "canceled")


def test_what_is_armed_is_disarmed_and_armed_again(run, project, ledger):
    pin(project)
    armed = ("arm", "--account-number", "PA3FAKE00001")
    assert "is not armed for 2025-03-04" in run("disarm", env="live", fails=True)
    for _ in range(2):
        run(*armed, env="live")
        assert AccountOrders.of(ledger("live").events()).armed == {NEXT: "PA3FAKE00001"}
        run("disarm", env="live")
        assert AccountOrders.of(ledger("live").events()).armed == {}


def test_resume_to_exits_only(run, exchange, ledger):
    run("halt")
    assert "may send sales again" in run("resume", "--reducing")
    assert AccountOrders.of(ledger().events()).trading_state == "reducing"
    assert not exchange.suspended
