"""Answering the quarantine and adjusting books, of an account at a fake Alpaca or filled by statements."""

from decimal import Decimal

import pandas as pd
import pytest
from click.testing import CliRunner

from quant_pipeline.cli.account import account as command
from quant_pipeline.trading.activities.quarantine import quarantine_event
from quant_pipeline.trading.broker_records import UnknownActivity
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.account_orders import AccountOrders
from tests.helpers.broker_account import DAY


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
