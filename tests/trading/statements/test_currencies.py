"""Exchanges of currencies, rows in the other currency, and rows of the future; amounts are written by hand."""

from datetime import date
from decimal import Decimal

import pytest

from quant_pipeline.trading.statements import StatementFile, read_statements
from tests.helpers.previews import preview_of

HEAD = "Datum,Tijd,Valutadatum,Product,ISIN,Omschrijving,FX,Mutatie,,Saldo,,Order Id\n"
DEPOSIT = '02-01-2025,09:00,02-01-2025,,,iDEAL storting,,EUR,"1.000,00",EUR,"1.000,00",\n'
# Newest first, as the export has them: 20.33 USD of dividend, 3.05 of tax, exchanged a day later.
OF_DIVIDEND = """\
08-01-2025,07:31,07-01-2025,,,{credit},,EUR,"15,82",EUR,"1.015,82",
08-01-2025,07:31,07-01-2025,,,{debit},"1,0920",USD,"-17,28",USD,"0,00",
07-01-2025,06:12,06-01-2025,APPLE,US0378331005,Dividendbelasting,,USD,"-3,05",USD,"17,28",
07-01-2025,06:12,06-01-2025,APPLE,US0378331005,Dividend,,USD,"20,33",USD,"20,33",
"""
WORDS = [
    ("Valuta Creditering", "Valuta Debitering"),
    ("FX Credit", "FX Debit"),
    ("Währungswechsel (Einbuchung)", "Währungswechsel (Ausbuchung)"),
    ("Opération de change - Crédit", "Opération de change - Débit"),
    ("Ingreso Cambio de Divisa", "Retirada Cambio de Divisa"),
    ("Credito FX", "Prelievo FX"),
    ("Crédito de divisa", "Levantamento de divisa"),
]


@pytest.fixture
def degiro(shipped):
    return lambda files, currency="EUR", calendar="XETR": preview_of(
        shipped.with_changes({"currency": currency}), files, calendar
    )


@pytest.mark.parametrize(("credit", "debit"), WORDS)
def test_a_dividend_in_another_currency_is_worth_what_its_exchange_brought(degiro, credit, debit):
    found = degiro({"Account.csv": HEAD + OF_DIVIDEND.format(credit=credit, debit=debit) + DEPOSIT})
    assert (found.problems, found.summary()["cash"], found.quarantined) == ([], "1015.82", [])
    assert (found.state.other, found.state.contributed) == (Decimal("15.82"), 1_000)
    assert found.warnings == [
        f"Account.csv, row 2: 15.82, exchanged from another currency, is booked as other cash ({credit})",
        "3 rows in USD are left out; the exchanges bring in their worth",
    ]


def test_overlapping_files_exchange_once(degiro):
    rows = OF_DIVIDEND.format(credit="FX Credit", debit="FX Debit")
    older = rows.splitlines(keepends=True)[1:]
    files = {"Account.csv": HEAD + rows + DEPOSIT, "Account_2.csv": HEAD + "".join(older) + DEPOSIT}
    assert (degiro(files).problems, degiro(files).summary()["cash"]) == ([], "1015.82")
    apart = {"Account.csv": HEAD + "".join(rows.splitlines(keepends=True)[2:]) + DEPOSIT}
    apart["Account_2.csv"] = HEAD + "".join(rows.splitlines(keepends=True)[:2])
    assert (degiro(apart).problems, degiro(apart).summary()["cash"]) == ([], "1015.82")


def test_what_was_never_exchanged_is_named(degiro):
    rows = "".join(OF_DIVIDEND.format(credit="FX Credit", debit="FX Debit").splitlines(keepends=True)[2:])
    (problem,) = degiro({"Account.csv": HEAD + rows + DEPOSIT}).problems
    assert "17.28 USD are not exchanged, and these books are kept in one currency" in problem


def test_money_that_the_owner_exchanges_is_paid_in_and_no_profit(degiro):
    rows = (
        '03-01-2025,10:00,03-01-2025,,,FX Credit,"1,0800",USD,"1.080,00",USD,"1.080,00",\n'
        '03-01-2025,10:00,03-01-2025,,,FX Debit,,EUR,"-1.000,00",EUR,"0,00",\n'
    )
    found = degiro({"Account.csv": HEAD + rows + DEPOSIT}, "USD", "XNYS")
    assert (found.problems, found.summary()["cash"]) == ([], "1080.00")
    assert (found.state.contributed, found.state.other) == (1_080, 0)


def test_an_exchange_of_a_deposit_and_a_dividend_at_once_is_not_guessed(degiro):
    rows = (
        '08-01-2025,07:31,07-01-2025,,,FX Credit,,EUR,"110,00",EUR,"1.110,00",\n'
        '08-01-2025,07:31,07-01-2025,,,FX Debit,"1,1",USD,"-121,00",USD,"0,00",\n'
        '07-01-2025,06:12,06-01-2025,APPLE,US0378331005,Dividend,,USD,"21,00",USD,"121,00",\n'
        '06-01-2025,06:12,06-01-2025,,,Deposit,,USD,"100,00",USD,"100,00",\n'
    )
    (problem,) = degiro({"Account.csv": HEAD + rows + DEPOSIT}).problems
    assert "exchanges rows of several kinds (deposit, dividend) at once" in problem


def test_a_trade_in_another_currency_is_still_refused(degiro):
    trade = '06-01-2025,15:31,06-01-2025,APPLE,US0378331005,"Koop 2 @ 200 USD",,USD,"-400,00",USD,"-400,00",x\n'
    (problem,) = degiro({"Account.csv": HEAD + trade + DEPOSIT}).problems
    assert "the amounts are in USD, the account is kept in EUR" in problem


ALPACA = "activity_type,id,date,net_amount,symbol,qty,status,transaction_time,type,price,side,order_id\n"


def rows_read_on(shipped, rows, day):
    return read_statements([StatementFile("alpaca.csv", (ALPACA + rows).encode(), day)], shipped, "XNYS")


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("FILL,b,,,AAPL,10,,2099-01-05T14:30:01Z,fill,200,buy,o\n", "2099-01-05"),
        ("FILL,b,,,AAPL,10,,2025-01-08T14:30:01Z,fill,200,buy,o\n", "2025-01-08"),
        ("CSD,b,2025-03-06,100,,,executed,,,,,\n", "2025-03-06"),
        ("FILL,b,,,AAPL,10,,2025-01-07T00:30:01Z,fill,200,buy,o\n", ""),
        ("DIV,b,2025-02-05,4,AAPL,,executed,,,,,\n", ""),
    ],
)
def test_what_is_dated_after_today_is_refused_and_named(shipped, row, named):
    found = rows_read_on(shipped, "CSD,a,2025-01-02,10000,,,executed,,,,,\n" + row, date(2025, 1, 6))
    told = f"alpaca.csv, row 3: it is dated {named}, and today is 2025-01-06; correct the date, or"
    assert [problem.startswith(told) for problem in found.problems] == ([True] if named else [])


def test_a_file_that_is_read_without_a_clock_may_be_of_any_day(shipped):
    assert rows_read_on(shipped, "FILL,b,,,AAPL,10,,2099-01-05T14:30:01Z,fill,200,buy,o\n", None).problems == []
