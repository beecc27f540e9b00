"""Selling everything of an account at a fake Alpaca, in a project without any market."""

import sqlite3
from contextlib import closing
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.project.resolvers import latest_closed_session
from quant_pipeline.testing.fake_alpaca import OrderScript, Refusal, Script, bookings
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.orders.account_orders import AccountOrders
from tests.helpers.broker_account import DAY, order, pin, statuses


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


@pytest.mark.parametrize(("globals_", "parameters"), [(DAY, "2024-03-28"), (f"{DAY} 15:00", DAY), ("soon", "latest")])
def test_what_reduces_risk_goes_on_where_the_session_is_no_day_or_contradicted(
    run, exchange, project, ledger, stop, globals_, parameters
):
    pin(project)
    conf = project.project_path / "conf"
    (conf / "local/globals.yml").write_text(f"as_of: {DAY}\n")
    run("reconcile", as_of="", env="live")
    run("arm", "--account-number", "PA3FAKE00001", as_of="", env="live")
    (conf / "local/globals.yml").write_text(f"as_of: {globals_}\n")
    (conf / "local/parameters.yml").write_text(f"as_of: {parameters}\n")
    told = "`as_of` of conf/local/"
    assert told in run("arm", "--account-number", "PA3FAKE00001", as_of="", env="live", fails=True)
    assert told in run("resume", as_of="", fails=True)
    if globals_ == DAY:
        assert "sends nothing in the session" in run("disarm", as_of="", env="live")
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    assert "1 open orders were cancelled" in run("cancel", as_of="")
    assert "0 stops are touched" in run("protect", as_of="")
    assert "may send sales again" in run("resume", "--reducing", as_of="")
    exchange.auto_fill = True
    if globals_ != DAY:
        # The session of now is that of the exchange, which the fake one has to have, too.
        closed = pd.Timestamp(latest_closed_session("XNYS"))
        session = execution_session(TradingCalendar.of("XNYS", closed, closed), closed)
        exchange.hours.set(f"{session:%Y-%m-%d} 15:00")
    assert "everything is sold" in run("flatten", "--yes", as_of="")
    assert exchange.positions == {}
    assert "the ledger says halted" in run("halt", as_of="")
    assert stop.exists()


@pytest.mark.parametrize("written", ["2025-03-02", "0001-01-01", "'{today}'"])
def test_what_reduces_risk_goes_on_where_the_exchange_has_no_such_session(run, exchange, project, stop, written):
    pin(project)
    (project.project_path / "conf/local/globals.yml").write_text(f"as_of: {written}\n")
    for adding, env in ((("arm", "--account-number", "PA3FAKE00001"), "live"), (("resume",), "paper")):
        assert run(*adding, as_of="", env=env, fails=True).startswith("Error: ")
    order(exchange, "paper-rehearsal-20250304-CCC-buy-0")
    assert "1 open orders were cancelled" in run("cancel", as_of="")
    closed = pd.Timestamp(latest_closed_session("XNYS"))
    session = execution_session(TradingCalendar.of("XNYS", closed, closed), closed)
    exchange.hours.set(f"{session:%Y-%m-%d} 15:00")
    exchange.auto_fill = True
    assert "everything is sold" in run("flatten", "--yes", as_of="")
    assert exchange.positions == {}
    assert "the ledger says halted" in run("halt", as_of="")
    assert stop.exists()


def test_flatten_with_a_ledger_that_was_cut_off_sells_and_waits_for_no_order_by_hand(run, exchange, ledger):
    run("reconcile")
    order(exchange, "by-hand")
    with closing(sqlite3.connect(ledger().file)) as file:
        file.execute("delete from event where sequence = (select max(sequence) from event)")
        file.commit()
    assert "events, but " in run("show", fails=True), "what is shown would be the account of an earlier time"
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert "ledger.anchors shows that it had " in said
    assert "everything is sold" in said
    assert (exchange.positions, statuses(exchange)["by-hand"]) == ({}, "accepted")


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


@pytest.mark.parametrize("wrong", ["a changed event", "a changed hash", "anchors of another ledger", "a newer kind"])
def test_flatten_with_a_ledger_that_was_changed_sells_without_it(run, exchange, ledger, wrong):
    run("reconcile")
    change = {
        "a changed event": "update event set payload='{\"x' where sequence=2",
        "a changed hash": "update event set hash='beef' where sequence=2",
        "a newer kind": "update event set kind='hologram_moved' where sequence=2",
    }
    if wrong == "anchors of another ledger":
        ledger().file.with_suffix(".anchors").write_text(f"1 {'a' * 64}\n2 {'b' * 64}\n")
    else:
        with closing(sqlite3.connect(ledger().file)) as file:
            file.execute(change[wrong])
            file.commit()
    exchange.auto_fill = True
    said = run("flatten", "--yes", fails=ExitStatus.ATTENTION)
    assert "the ledger cannot be used: " in said
    assert "everything is sold" in said
    assert exchange.positions == {}


def test_flatten_says_which_switch_holds_its_orders(run, exchange, monkeypatch):
    monkeypatch.setenv("QUANT_PIPELINE_KILL_SWITCH", "1")
    said = run("flatten", "--yes", fails=ExitStatus.INCOMPLETE)
    assert "4 BBB: its order has not left: QUANT_PIPELINE_KILL_SWITCH is set" in said
    assert len(exchange.positions) == 2


def test_flatten_without_a_ledger_says_of_what_was_not_sold_why(run, exchange, locked_ledger):
    said = run("flatten", "--yes", more=",execution.wait_for_sales_seconds=0.1", fails=ExitStatus.INCOMPLETE)
    assert "4 BBB: its sale has not ended yet" in said
    assert "sold 0" not in said
