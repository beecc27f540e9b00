"""Stopping, selling and explaining an account at a fake Alpaca, in a project that has never ingested any market."""

import os
import resource
import sqlite3
from contextlib import closing
from decimal import Decimal

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.account import account as command
from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    Director,
    ExchangeHours,
    FakeAlpaca,
    FakeExchange,
    FaultKind,
    OrderScript,
    Refusal,
    Request,
    Script,
    ScriptedFault,
    bookings,
)
from quant_pipeline.trading.activities.quarantine import quarantine_event
from quant_pipeline.trading.broker_records import UnknownActivity
from quant_pipeline.trading.ledger import store
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.account_orders import AccountOrders
from tests.helpers.project import bare_project

DAY, NEXT = "2025-03-03", pd.Timestamp("2025-03-04")


@pytest.fixture
def project(project_path, tmp_path, monkeypatch):
    path = bare_project(project_path, tmp_path / "project")
    # Another process that holds the lock does so until the command has given up.
    monkeypatch.setattr(store, "BUSY_MILLISECONDS", 100)
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

    def run(*words, fails=False, env="paper", more="", **options):
        patience = "execution.poll_seconds=0.02,execution.missing_fill_polls=2"
        params = f"alpaca_url={server.url},as_of={DAY},{patience}{more}"
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


def order(exchange, name, side="buy", symbol="CCC"):
    facts = {"symbol": symbol, "side": side, "qty": "1", "type": "market", "time_in_force": "day"}
    return exchange.submit(facts | {"client_order_id": name})


def pin(project):
    """Pin the account at the fake, as its owner does in the file of the live account."""
    file = project.project_path / "conf/live/parameters_execution.yml"
    rules = yaml.safe_load(file.read_text())
    rules["execution"]["account_number"] = "PA3FAKE00001"
    file.write_text(yaml.safe_dump(rules))


def statuses(exchange):
    return {name: known.status for name, known in exchange.by_client_id.items()}


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


@pytest.fixture
def locked_ledger(run, ledger):
    """The ledger of an account whose books are open, while another process holds SQLite's lock for writing."""
    run("reconcile")
    other = sqlite3.connect(ledger().file, isolation_level=None)
    other.execute("begin immediate")
    yield
    other.execute("rollback")
    other.close()


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


def test_flatten_sells_also_while_the_ledger_is_locked(run, exchange, stop, locked_ledger):
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert "the ledger cannot be used: " in said
    assert "what is sold now is not recorded" in said
    assert "sold 10.5 AAA at 10.0000" in said
    assert "run `kedro account reconcile --env paper` as soon as the ledger can be used" in said
    assert (exchange.positions, statuses(exchange)["paper-rehearsal-20250304-CCC-buy-0"]) == ({}, "canceled")
    assert stop.exists(), "no other process may buy meanwhile"


def test_what_was_sold_without_the_ledger_is_booked_by_the_next_comparison(run, exchange, ledger):
    run("reconcile")
    exchange.auto_fill = True
    with closing(sqlite3.connect(ledger().file, isolation_level=None)) as other:
        other.execute("begin immediate")
        run("flatten", "--yes", fails=ExitStatus.ATTENTION)
        other.execute("rollback")
    run("reconcile")
    account = fold(ledger().events())
    assert (account.positions, account.cash) == ({}, exchange.cash)
    assert AccountOrders.of(ledger().events()).trading_state == "reducing"
    assert "may send orders again" in run("resume")


def test_flatten_sells_also_when_the_ledger_was_lost(run, exchange, ledger):
    run("reconcile")
    folder = ledger().file.parent
    for file in folder.glob("ledger.sqlite*"):
        file.unlink()
    exchange.auto_fill = True
    assert "everything is sold" in run("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert exchange.positions == {}


def test_flatten_without_a_ledger_names_what_is_left_and_tries_it_under_another_name(run, exchange, locked_ledger):
    exchange.auto_fill = True
    exchange.director.play(Script(orders=(OrderScript(instrument="AAA", refuse=Refusal.DAY_TRADING),)))
    said = run("flatten", "--yes", fails=ExitStatus.INCOMPLETE)
    assert "still holds 1 positions: 10.5 AAA: " in said
    assert "everything is sold" in run("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert exchange.positions == {}


def test_flatten_without_a_ledger_asks_for_the_number_of_a_real_account(run, exchange, project, ledger):
    pin(project)
    exchange.auto_fill = True
    live = {"env": "live"}
    run("reconcile", **live)
    with closing(sqlite3.connect(ledger("live").file, isolation_level=None)) as other:
        other.execute("begin immediate")
        assert "nothing was sold" in run("flatten", "--yes", fails=True, input="PA9\n", **live)
        assert len(exchange.positions) == 2
        run("flatten", "--yes", fails=ExitStatus.ATTENTION, input="PA3FAKE00001\n", **live)
        other.execute("rollback")
    assert exchange.positions == {}


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


def test_halt_on_a_full_disk_makes_the_file_and_reaches_the_broker(run, run_on_full_disk, exchange, stop):
    run("reconcile")
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    said = run_on_full_disk("halt", "--reason", "fire drill", fails=True)
    assert "the reason was not written into it: File too large" in said
    assert f"wrote {stop}: nothing is sent while it exists" in said
    assert "the ledger: not stopped, " in said
    assert stop.exists()
    assert (exchange.suspended, statuses(exchange)["paper-rehearsal-20250304-CCC-buy-0"]) == (True, "canceled")


def test_flatten_on_a_full_disk_sells_without_the_ledger(run, run_on_full_disk, exchange):
    run("reconcile")
    exchange.auto_fill = True
    assert "everything is sold" in run_on_full_disk("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert exchange.positions == {}


def test_flatten_sells_what_the_broker_holds_also_from_a_halted_account(run, exchange, stop, ledger):
    run("reconcile")
    run("halt")
    exchange.auto_fill = True
    said = run("flatten", "--yes")
    assert "sold 10.5 AAA at 10.0000" in said
    assert "sold 4 BBB at 20.0000" in said
    assert exchange.positions == {}
    assert not stop.exists()
    book = AccountOrders.of(ledger().events())
    assert (book.trading_state, book.state_code) == ("reducing", "FLATTEN")
    assert fold(ledger().events()).positions == {}


def test_flatten_sells_what_the_broker_holds_when_the_books_say_something_else(run, exchange):
    run("reconcile")
    exchange.move("BBB", Decimal(3), Decimal(20))
    exchange.auto_fill = True
    run("flatten", "--yes")
    assert exchange.positions == {}


def test_flatten_sells_at_the_market_also_where_orders_are_limited(run, exchange):
    exchange.auto_fill = True
    run("flatten", "--yes", more=",execution.order_type=limit,execution.time_in_force=opg,execution.waves=together")
    sent = {(o.symbol, o.order_type, o.limit_price, o.time_in_force) for o in exchange.by_client_id.values()}
    assert sent == {("AAA", "market", None, "day"), ("BBB", "market", None, "day")}
    assert exchange.positions == {}


def test_flatten_names_what_it_could_not_sell_and_sells_it_the_next_time(run, exchange):
    exchange.auto_fill = True
    exchange.director.play(Script(orders=(OrderScript(instrument="AAA", refuse=Refusal.DAY_TRADING),)))
    said = run("flatten", "--yes", fails=ExitStatus.INCOMPLETE)
    assert "sold 4 BBB" in said
    assert "1 sales were executed, worth 80.00 USD; buys stay closed" in said
    assert "still holds 1 positions: 10.5 AAA: 40310100" in said
    assert "everything is sold" in run("flatten", "--yes")
    assert exchange.positions == {}


def test_flatten_leaves_and_names_what_is_no_share(run, exchange):
    bookings.trade_by_hand(exchange, "buy", "AAA250404C00010000", 1, "2")
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.INCOMPLETE)
    assert "1 AAA250404C00010000: it is held short or is no share" in said
    assert set(exchange.positions) == {"AAA250404C00010000"}


def test_flatten_of_a_closed_exchange_closes_buys_and_says_when_to_come_back(run, exchange, ledger):
    exchange.hours.set("2025-03-04 13:00")
    assert "may be sent from 2025-03-04 14:30 UTC" in run("flatten", "--yes", fails=True)
    assert AccountOrders.of(ledger().events()).trading_state == "reducing"


def test_a_real_account_is_flattened_only_with_its_typed_number(run, exchange, project):
    pin(project)
    exchange.auto_fill = True
    live = {"env": "live", "more": ""}
    assert "nothing was sold" in run("flatten", "--yes", fails=True, input="PA9\n", **live)
    assert "everything is sold" in run("flatten", "--yes", input="PA3FAKE00001\n", **live)
    assert exchange.positions == {}


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


def test_a_row_in_quarantine_is_listed_booked_and_dismissed_with_reason_and_name(run, exchange, ledger):
    run("reconcile")
    exchange.move("DDD", Decimal(3), Decimal(7))
    exchange.prices["DDD"] = Decimal(7)
    day = {"date": "2025-03-04", "status": "executed"}
    gift = exchange.feed.append(exchange.hours.now(), {"activity_type": "GIFT", "symbol": "DDD", "qty": "3"} | day)
    dividend = {"activity_type": "DIV", "symbol": "AAA", "net_amount": "NaN"}
    odd = exchange.feed.append(exchange.hours.now(), dividend | day)
    run("reconcile")
    assert AccountOrders.of(ledger().events()).trading_state == "reducing"
    listed = run("quarantine", "list")
    assert f"{gift['id']}  2025-03-04  GIFT: 0 cash, 3 DDD; its type is not known" in listed
    assert f"{odd['id']}  2025-03-04  DIV: unknown cash; net_amount is 'NaN'" in listed
    assert "2 rows in quarantine" in listed
    why = ("--reason", "a present", "--name", "Ann")
    assert "is not in quarantine" in run("quarantine", "book", "nothing", *why, fails=True)
    assert "say with --cost" in run("quarantine", "book", gift["id"], *why, fails=True)
    run("quarantine", "book", gift["id"], "--cost", "21", *why)
    assert "say it with --cash" in run("quarantine", "book", odd["id"], *why, fails=True)
    assert "0 more rows" in run("quarantine", "dismiss", odd["id"], *why)
    account = fold(ledger().events())
    assert (account.positions["DDD"].cost, account.quarantine, account.discrepancy) == (21, {}, 0)
    answers = [e.payload for e in ledger().events() if e.kind is EventKind.QUARANTINE_RESOLVED]
    assert [(a["how"], a["name"], a["reason"]) for a in answers] == [
        ("booked", "Ann", "a present"),
        ("dismissed", "Ann", "a present"),
    ]
    run("reconcile")


def test_an_adjustment_books_what_no_record_explains(run, exchange, ledger):
    run("reconcile")
    exchange.cash -= Decimal("1.25")
    assert "cash: 10000 in the books, 9998.75 at the broker" in run("reconcile", fails=True)
    run("adjust", "--cash", "-1.25", "--reason", "wire fee without record", "--name", "Ann")
    run("reconcile")
    assert "say what is corrected" in run("adjust", "--reason", "none", fails=2)
    absent = ("--instrument", "ZZZ", "--quantity", "-1")
    assert "holds 0" in run("adjust", *absent, "--reason", "none", fails=True)
    account = fold(ledger().events())
    assert (account.other, account.discrepancy) == (Decimal("-1.25"), 0)


NOT_MEANT = (
    (("--cash", "1e40"), "larger or longer than an amount can be", 2),
    (("--cash", "1e-30"), "more than 9 decimals", 2),
    (("--cash", "0"), "say what is corrected", 2),
    (("--instrument", " ", "--quantity", "1", "--cost", "1"), "it is empty", 2),
    (("--instrument", "AAA", "--quantity", "1", "--cost", "-5"), "is not negative", 1),
    (("--instrument", "AAA", "--quantity", "-11"), "holds 10.5; say --foreign", 1),
    (("--cash", "1", "--reason", " "), "it is empty", 2),
)


def test_an_adjustment_that_cannot_be_meant_is_refused_and_books_nothing(run, ledger):
    run("reconcile")
    before = len(ledger().events())
    for words, said, status in NOT_MEANT:
        assert said in " ".join(run("adjust", "--reason", "typed too fast", *words, fails=status).split())
    assert len(ledger().events()) == before


def test_coins_and_short_shares_that_the_operator_books_are_carried_and_can_be_corrected(run, exchange, ledger):
    run("reconcile")
    exchange.prices["BTC/USD"] = Decimal(100)
    exchange.move("BTC/USD", Decimal("0.5"), Decimal(0))
    exchange.move("CCC", Decimal(-3), Decimal(5))
    exchange.cash += 15
    day = {"date": "2025-03-04", "status": "executed"}
    coins = exchange.feed.append(
        exchange.hours.now(), {"activity_type": "COIN", "symbol": "BTCUSD", "qty": "0.5"} | day
    )
    lent = exchange.feed.append(exchange.hours.now(), {"activity_type": "LENT", "symbol": "CCC", "qty": "-3"} | day)
    run("reconcile", fails=True)
    why = ("--reason", "sent from a wallet", "--name", "Ann")
    run("quarantine", "book", coins["id"], *why)
    assert "say --foreign" in run("quarantine", "book", lent["id"], "--cash", "15", *why, fails=True)
    run("quarantine", "book", lent["id"], "--cash", "15", "--foreign", *why)
    run("reconcile")
    exchange.move("BTC/USD", Decimal("-0.25"), Decimal(0))
    run("adjust", "--instrument", "BTC/USD", "--quantity", "-0.25", *why)
    run("reconcile")
    account = fold(ledger().events())
    assert account.foreign == {"BTC/USD": Decimal("0.25"), "CCC": -3}
    assert (set(account.positions), account.cash, account.discrepancy) == ({"AAA", "BBB"}, 10_015, 0)


@pytest.mark.parametrize("words", [("show",), ("verify",), ("quarantine", "list"), ("halt",), ("resume",)])
def test_commands_of_an_account_that_statements_fill_know_trades_without_orders(project, words):
    (project.project_path / "conf/sim/parameters_own.yml").write_text("account: {filled_by: statements}\n")
    day = pd.Timestamp("2025-03-03")
    fill = {"instrument": "AAA", "side": "buy", "quantity": "3", "price": "10", "fee": "0", "cash": "-30"}
    opened = {"account": "sim", "cash": "100"}
    events = [
        Event(day, EventKind.ACCOUNT_OPENED, "open:sim", opened),
        Event(day, EventKind.FILL, "plain:fill:1", fill),
        Event(day, EventKind.TRADE_CORRECTION, "plain:c:1", {"fill": "plain:fill:1", "quantity": "2", "price": "10"}),
        Event(day, EventKind.SESSION_CLOSED, "close:2025-03-03", {"net_asset_value": "100", "cash": "80"}),
    ]
    Ledger.at(project.project_path / "data/accounts/sim/ledger.sqlite").append(events)
    result = CliRunner().invoke(command, [*words, "--env", "sim", "--params", f"as_of={DAY}"], obj=project)
    assert result.exit_code == 0, (result.output, result.exception)


def test_a_row_of_a_statement_in_quarantine_is_answered_as_one_of_a_broker(project):
    (project.project_path / "conf/sim/parameters_own.yml").write_text("account: {filled_by: statements}\n")
    day = pd.Timestamp("2025-03-03")
    row = UnknownActivity("mine:7", day, "Gift", Decimal(0), "AAA", None, raw={"Kind": "Gift", "Pieces": "2"})
    events = [
        Event(day, EventKind.ACCOUNT_OPENED, "open:sim", {"account": "sim", "cash": "100"}),
        quarantine_event(row, day, "UNKNOWN_ROW", "january.csv, row 4: no rule of the format says what it means"),
        Event(day, EventKind.SESSION_CLOSED, "close:2025-03-03", {"net_asset_value": "100", "cash": "100"}),
    ]
    ledger = Ledger.at(project.project_path / "data/accounts/sim/ledger.sqlite")
    ledger.append(events)

    def run(*words):
        return CliRunner().invoke(command, [*words, "--env", "sim", "--params", f"as_of={DAY}"], obj=project)

    assert "mine:7  2025-03-03  Gift: 0 cash; january.csv, row 4" in run("quarantine", "list").output
    why = ("quarantine", "book", "mine:7", "--reason", "a present", "--cost", "21")
    assert "how many shares mine:7 moves is not known; say it with --quantity" in run(*why).output
    answered = run(*why, "--quantity", "2")
    assert answered.exit_code == 0, (answered.output, answered.exception)
    account = fold(ledger.events())
    assert (account.positions["AAA"].quantity, account.quarantine, account.discrepancy) == (2, {}, 0)
