"""Files that are not what they are called: read by their content, or named with what to do."""

import datetime

import pytest

from quant_pipeline.trading.statements import StatementImportParameters
from tests.helpers.broker_statements import xlsx_file
from tests.helpers.previews import preview_of

SETTLEMENT = """\
成交日期,证券代码,证券名称,业务名称,成交数量,成交均价,手续费,印花税,过户费,其他费,发生金额,资金余额,交易市场
20250102,,,银行转证券,0,0,0,0,0,0,500000,500000,
20250103,="600000",浦发银行,证券买入,1000,10.25,5,0,0.1,0,-10255.1,489744.9,上海A股
"""
TABBED = SETTLEMENT.replace(",", "\t")
PLAIN = ["date", "kind", "instrument", "side", "quantity", "price", "cash", "id"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("交割单.csv", SETTLEMENT.encode("gb18030")),
        ("交割单.csv", SETTLEMENT.encode()),
        ("交割单.csv", SETTLEMENT.encode("utf-8-sig")),
        ("交割单.csv", SETTLEMENT.encode("utf-16")),
        ("交割单.csv", SETTLEMENT.encode("utf-16-be")),
        ("交割单.csv", SETTLEMENT.encode("utf-16-le")),
        ("交割单.csv", SETTLEMENT.replace(",", ";").encode()),
        ("交割单.csv", TABBED.encode("gb18030")),
        ("交割单.xls", TABBED.encode("gb18030")),
        ("交割单.txt", TABBED.encode()),
        ("2025/交割单_1.txt", TABBED.encode()),
    ],
)
def test_text_is_read_in_whatever_encoding_and_with_whatever_name_it_comes(shipped, name, content):
    found = preview_of(shipped.with_changes({"currency": "CNY"}), {name: content}, "XSHG")
    assert (found.problems, found.summary()["cash"]) == ([], "489744.90")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("plain.csv", b"%PDF-1.7", "plain.csv is a PDF; export the statement as CSV or xlsx"),
        ("plain.csv", b'[{"a": 1}]', "plain.csv is JSON; export the statement as CSV"),
        ("plain.csv", b"<!DOCTYPE html><html>", "plain.csv is a page (HTML), not a statement"),
        ("plain.csv", b"\x1f\x8b\x08", "plain.csv is compressed (gzip); unpack it"),
        ("plain.xlsx", xlsx_file([], "plain.xlsx", PLAIN).content[:900], "plain.xlsx is damaged, its end is missing"),
        ("plain.xlsx", b"<table><tr>", "plain.xlsx is no workbook (it is HTML); open it and save it as xlsx"),
        ("plain.csv", b"date;kind\n2025-01-02;\xff\n", "plain.csv is not utf-8-sig (byte 21); it looks like"),
        ("plain.csv", b"Datum,Art\n1,2\n", "plain.csv has no header with the columns of its format"),
        ("flex.xml", b"<FlexQueryResponse><a>", "flex.xml is damaged XML"),
        ("flex.xml", b"<?xml version='1.0'?><OFX/>", "flex.xml is XML, but no Flex query of Interactive Brokers"),
        ("old.xls", bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 99, "old.xls is an old or password-protected workbook"),
        ("plain_1.csv", b"", "plain_1.csv is empty"),
        ("alpaca_0.csv", b"a,b\n", "has no header with the columns of its format"),
    ],
)
def test_file_that_cannot_be_read_says_what_it_is_and_what_to_do(shipped, name, content, message):
    found = preview_of(shipped, {name: content})
    assert len(found.problems) == 1
    assert message in found.problems[0]


def test_workbook_with_serial_dates_exact_numbers_and_titles_is_read(shipped):
    rows = [
        ["January"],
        PLAIN,
        [45659, "deposit", None, None, None, None, 1000, "1"],
        [datetime.datetime(2025, 1, 3), "fill", "AAPL", "buy", 2.5, 100.1, None, "2"],
    ]
    file = xlsx_file(rows, "plain.xlsx", ["My broker"])
    found = preview_of(shipped, {file.name: file.content})
    assert (found.problems, found.summary()["cash"], found.summary()["positions"]) == ([], "749.75", {"AAPL": "2.5"})


def one_deposit(lines, **options):
    form = {
        "files": "my*.csv",
        "date_formats": ["%m/%d/%Y"],
        "columns": {"date": "Date", "cash": "Amount"},
        "rows": [{"when": {"Kind": "Dep"}, "book": "deposit"}],
    }
    parameters = StatementImportParameters.model_validate({"formats": {"my": form | options}})
    return preview_of(parameters, {"my.csv": lines})


FOOT = "Date,Kind,Amount\n01/03/2025,Dep,5\nprinted on Friday,,,by us\n"


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (FOOT, {"skip_last_rows": 1}),
        (FOOT, {"ignore_rows_wider": True}),
        (FOOT, {"more_rows": [{"when": {"Kind": ""}, "book": "ignore"}]}),
        ("My broker\nJanuary,2025\n\nDate,Kind,Amount\n01/03/2025,Dep,5\n", {}),
        ("Date,Kind,Amount\n01/03/2025,Dep,5\n", {"skip_rows": 0}),
        ("Date,Kind,Amount,Amount\n01/03/2025,Dep,5,7\n", {"columns": {"date": "Date", "cash": "Amount#1"}}),
        ("Date,Kind,,\n01/03/2025,Dep,7,5\n", {"columns": {"date": "Date", "cash": "column 4"}}),
        ('Date,Kind,Amount\n01/03/2025,Dep,"1.234,50"\n', {"decimal": ","}),
    ],
)
def test_heads_feet_and_columns_without_a_name_can_be_described(lines, options):
    found = one_deposit(lines, **options)
    assert found.problems == []
    assert found.summary()["cash"] == ("1234.50" if options.get("decimal") else "5.00")


def test_foot_that_is_wider_than_the_header_names_the_options():
    (problem,) = one_deposit(FOOT).problems
    assert problem.startswith("my.csv, row 3: 4 cells under a header of 3; a rule that ignores it, `skip_last_rows` or")
