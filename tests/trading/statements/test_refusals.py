"""A row that is not understood is an error that names the file, the row and the column; nothing is dropped."""

import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.statements import StatementFormat, StatementImportParameters, import_statements
from tests.helpers.broker_statements import (
    ALPACA,
    INTERACTIVE_BROKERS,
    SETTLEMENT,
    SETTLEMENT_HEADER,
    csv_file,
    xlsx_file,
)


def changed(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("243.85", "abc", r"alpaca.csv, row 3, column price: 'abc' is no number"),
        ("243.85", "nan", r"alpaca.csv, row 3, column price: 'nan' is no number"),
        (",10,243.85", ",0,243.85", r"alpaca.csv, row 3, column qty: a trade needs shares"),
        (",10,243.85", ",,243.85", r"alpaca.csv, row 3, column qty: .* needs a quantity"),
        ("AAPL,buy", ",buy", r"alpaca.csv, row 3, column symbol: .* needs a instrument"),
        ("AAPL,buy", "AAPL,hold", r"alpaca.csv, row 3, column side: 'hold' is neither buy nor sell"),
        ("2025-01-02T14:30:01.25Z", "yesterday", r"alpaca.csv, row 3, column transaction_time: 'yesterday' is no date"),
        ("2025-01-02T14:30:01.25Z", "2025-01-04T17:30:01.25Z", r"row 3: XNYS did not trade on 2025-01-04"),
        (",-500,", ",500,", r"alpaca.csv, row 8, column net_amount: the cash of a withdrawal must be negative"),
        (",2.5,", ",0,", r"alpaca.csv, row 6, column net_amount: the cash of a dividend must not be zero"),
        ("20250103010000000::c", "20250102143001000::b", r"alpaca.csv, row 4, column id: .* twice"),
        ("net_amount,", "netamount,", r"alpaca.csv: there is no column 'net_amount', which the format reads as cash"),
        (",withdrawal\n", ",withdrawal,more\n", r"alpaca.csv, row 8: 11 cells under a header of 10"),
    ],
)
def test_an_alpaca_row_that_is_not_understood(read, old, new, message):
    with pytest.raises(AccountError, match=message):
        read(csv_file(changed(ALPACA, old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Interest,Header", "Bonds,Header", r"row 17: the format knows no section 'Bonds'"),
        ("Order,Stocks,USD,MSFT", "Order,Stocks,EUR,MSFT", r"row 4 \(Trades\), column Currency: .* in EUR"),
        ("-418500,-5", "-418500,-6", None),
        ("-418500", "-418400", r"column Proceeds \+ Comm/Fee: -418405 is not what .* give, -418505"),
    ],
)
def test_an_interactive_brokers_row_that_is_not_understood(read, old, new, message):
    file = csv_file(changed(INTERACTIVE_BROKERS, old, new), "interactive_brokers.csv")
    if message is None:
        assert read(file)
        return
    with pytest.raises(AccountError, match=message):
        read(file)


def settlement(number, **cells):
    rows = [list(row) for row in SETTLEMENT]
    for column, value in cells.items():
        rows[number - 2][SETTLEMENT_HEADER.index(column)] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (settlement(3, 交易市场="沪港通"), r"row 3, column 交易市场: '沪港通' is not among the values"),
        (settlement(3, 证券代码=""), r"row 3, column 证券代码: the name of the instrument needs it"),
        (settlement(3, 发生金额=-10250.1), r"row 3, column 发生金额: -10250.1 is not what .* -10255.1"),
        (settlement(5, 资金余额=1), r"row 5, column 资金余额: .* a row is missing"),
        (SETTLEMENT[:3] + SETTLEMENT[4:], r"row 5, column 资金余额: .* a row is missing"),
    ],
)
def test_a_chinese_row_that_is_not_understood(read, rows, message):
    with pytest.raises(AccountError, match=message):
        read(xlsx_file(rows), currency="CNY", calendar="XSHG")


@pytest.mark.parametrize(
    ("file", "currency", "calendar", "message"),
    [
        (csv_file(changed(ALPACA, "FEE,", "MAGIC,")), "USD", "XNYS", r"csv, row 5: no rule .* activity_type 'MAGIC'"),
        (
            csv_file(changed(INTERACTIVE_BROKERS, "Order,Stocks", "Order,Futures"), "interactive_brokers.csv"),
            "USD",
            "XNYS",
            r"row 4 \(Trades\): no rule .* Asset Category 'Futures'",
        ),
        (
            xlsx_file(settlement(3, 业务名称="新股申购")),
            "CNY",
            "XSHG",
            r"交割单.xlsx, row 3: no rule .* 业务名称 '新股申购'",
        ),
    ],
)
def test_a_row_of_an_unknown_sort_is_an_error_where_that_is_wanted(shipped, file, currency, calendar, message):
    strict = shipped.model_copy(update={"currency": currency, "on_unknown": "refuse"})
    with pytest.raises(AccountError, match=message):
        import_statements([file], strict, calendar)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (csv_file(ALPACA, "unheard_of.csv"), r"unheard_of.csv: no format reads it.*alpaca reads alpaca\*.csv"),
        (csv_file("", "alpaca.csv"), "alpaca.csv is empty"),
        (csv_file("date,kind\n2025-01-02,é\n", "plain.csv", "latin-1"), r"is not utf-8-sig \(byte 21\)"),
        (csv_file("Trades,Header,Code\nx\n", "interactive_brokers.csv"), "row 2: a line of a section needs its name"),
        (csv_file("Kontoinformation,Header,x\n", "interactive_brokers.csv"), "switch it to English"),
        (csv_file("Trades,Data,1\n", "interactive_brokers.csv"), "section 'Trades' has no header above it"),
    ],
)
def test_a_file_that_is_not_understood(read, file, message):
    with pytest.raises(AccountError, match=message):
        read(file)


def test_a_file_that_two_formats_read_is_an_error():
    form = StatementFormat(files="*.csv", columns={"date": "d", "cash": "c"}, rows=[{"book": "deposit"}])
    parameters = StatementImportParameters(formats={"one": form, "two": form})
    with pytest.raises(AccountError, match="one and two read it"):
        import_statements([csv_file("d,c\n2025-01-02,5\n", "a.csv")], parameters, "XNYS")


def test_a_format_without_dates_is_refused():
    with pytest.raises(ValueError, match="no column states the date of rows that are booked as fee"):
        StatementFormat(files="*.csv", columns={"cash": "c"}, rows=[{"book": "fee"}])


def test_a_sheet_that_is_not_there_is_named(shipped):
    form = shipped.formats["guotai_junan"].model_copy(update={"sheet": "对账单"})
    with pytest.raises(AccountError, match="has no sheet '对账单', only Sheet"):
        import_statements([xlsx_file(SETTLEMENT)], StatementImportParameters(formats={"x": form}), "XSHG")
