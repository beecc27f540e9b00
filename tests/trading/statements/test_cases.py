"""Statements rebuilt from public bug reports and layouts of exports: what a preview of each folder has to say.

Every folder of `cases` holds one: `statements`, and `conf.yml` where the user has a map of their own.
"""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from quant_pipeline.datasets.statements import StatementFolder
from quant_pipeline.trading.statements import read_statements
from quant_pipeline.trading.statements.preview import preview_statements

CASES = Path(__file__).parent / "cases"
TWO_WAYS = "can be read in two ways; say in its format which mark is the decimal one"

UNDERSTOOD = {
    "ib_order_and_trade_rows": ("79999.00", {"AAPL": "100"}, "0.00"),
    "ib_split_and_sale_same_day": ("88623.00", {"NVDA": "950"}, "23.95"),
    "ib_reverse_split": ("98399.00", {"VOD": "13.3333"}, "0.00"),
    "ib_reverse_split_new_first": ("98399.00", {"VOD": "13.3333"}, "0.00"),
    "ib_cash_merger": ("100439.00", {}, "439.00"),
    "flex_cash_summary_and_detail": ("3837.52", {"KO": "100"}, "0.00"),
    "flex_cash_types": ("9995.76", {}, "0.00"),
    "flex_xml": ("3789.00", {"KO": "100"}, "0.00"),
    "flex_csv_with_header_trailer": ("-6211.00", {"KO": "100"}, "0.00"),
    "ib_transaction_history": ("2537.00", {"KO": "40"}, "0.00"),
    "ib_trade_cancel": ("97999.00", {"AAPL": "10"}, "0.00"),
    "alpaca_dump_newest_first": ("10005.00", {}, "5.00"),
    "alpaca_cancelled_dividend": ("8002.70", {"AAPL": "10"}, "0.00"),
    "alpaca_overnight_sunday": ("8000.00", {"AAPL": "10"}, "0.00"),
    "alpaca_split_two_records": ("8000.00", {"AAPL": "30"}, "0.00"),
    "alpaca_stock_dividend_under_div": ("8000.00", {"AAPL": "10.2"}, "0.00"),
    # 1,000 - 1,006 of the merger and 609.98 - 620 of the sale.
    "schwab": ("7503.90", {"KO": "40.3193"}, "-16.02"),
    "robinhood": ("6924.25", {"KO": "50"}, "0.00"),
    "fidelity": ("6900.00", {"KO": "50"}, "0.00"),
    "tdx_xls_is_tsv": ("489744.90", {"SH600000": "1000"}, "0.00"),
    "csv_utf16": ("489744.90", {"SH600000": "1000"}, "0.00"),
    "overlap_reformatted": ("7561.50", {"AAPL": "10"}, "0.00"),
    "split_by_hand_in_another_file": ("88623.00", {"NVDA": "950"}, "23.95"),
    "day_trade_across_files": ("100624.00", {}, "24.00"),
    "other_files_in_folder": ("10000.00", {}, "0.00"),
    "est_and_ampm": ("100.00", {}, "0.00"),
    "numbers_code": ("5.00", {}, "0.00"),
    "numbers_exp": ("1000.00", {}, "0.00"),
    "numbers_indian": ("123456.78", {}, "0.00"),
    "numbers_nbsp": ("1234.50", {}, "0.00"),
    "fractional_positions": ("97875.20", {"AAPL": "10.5", "KO": "0.4"}, "0.00"),
    "spin_off_child_unknown_to_market": ("83000.00", {"GE": "100", "GEVX": "25"}, "0.00"),
    "negative_cash_margin": ("-19000.00", {"AAPL": "100"}, "0.00"),
    "old_account_before_market": ("800.00", {"AAPL": "1"}, "0.00"),
    "split_only_in_market": ("7999.00", {"NVDA": "100"}, "0.00"),
    "ib_legacy_sections": ("100048.50", {}, "0.00"),
    "bust_of_another_format": ("10000.00", {}, "0.00"),
    "bust_by_the_whole_key": ("10000.00", {}, "0.00"),
    "ib_month_and_quarter": ("97047.00", {"AAPL": "15"}, "48.50"),
    "ib_partial_then_full": ("95999.00", {"AAPL": "20"}, "0.00"),
}
REFUSED = {
    "decimal_comma": f"my_broker.csv: '10000,00' {TWO_WAYS}",
    "ib_spin_off": "row 14 (Corporate Actions): which part of the cost of GE the 25 GEV take over (cost_fraction) is",
    "ib_mixed_assets": "row 14 (Transfers): it needs a cost: the export does not tell what 2500 KO, transferred in",
    "degiro_account": "degiro_account.csv: columns 9 and 11 have no name; address one by its position",
    "header_twice": "delivery.csv: columns 6 and 9 are called '发生金额'; address the one that is meant",
    "xlsx_is_html": "plain.xlsx is no workbook (it is HTML); open it and save it as xlsx",
    "xlsx_password": "plain.xlsx is protected by a password; save it without one",
    "short_sale": "plain.csv, row 3: sells 10 AAPL, but 0 are held. This is a short sale, and this",
    "ambiguous_dates": "my.csv, column Date: '01/02/2025' is 2025-01-02 by %m/%d/%Y and 2025-02-01 by %d/%m/%Y",
    "numbers_comma": f"my.csv: '1,5' {TWO_WAYS}",
    "numbers_dash": "my.csv, row 2, column Amount: a row that is booked as deposit needs a cash",
    "numbers_euro": "my.csv, row 2, column Amount: '€5.00' is an amount in EUR, the amounts of this file are in USD",
    "numbers_full_width_yen": "'￥5' is an amount in CNY, the amounts of this file are in USD",
    "numbers_typographic_minus": "my.csv, row 2, column Amount: the cash of a deposit must be positive, it is -5",
}


@pytest.fixture
def preview(shipped):
    """Preview a folder of statements by the shipped maps and those of the user."""

    def preview(folder, conf=None, actions=None):
        conf = conf or {}
        parameters = shipped.with_changes(conf.get("statement_import", {}))
        imported = read_statements(StatementFolder(str(folder)).load(), parameters, conf.get("calendar", "XNYS"))
        return preview_statements(imported, corporate_actions=actions)

    return preview


@pytest.fixture
def case(preview):
    """Preview one of the cases."""

    def case(name, **changes):
        file = CASES / name / "conf.yml"
        conf = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
        return preview(CASES / name / "statements", conf, **changes)

    return case


def test_every_case_has_an_expected_outcome():
    assert {path.name for path in CASES.iterdir()} == {*UNDERSTOOD, *REFUSED}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_folder_that_is_understood_books_exactly_this(case, name):
    found = case(name)
    cash, positions, realised = UNDERSTOOD[name]
    assert found.problems == []
    summary = found.summary()
    assert (summary["ok"], summary["cash"]) == (True, cash)
    assert (summary["positions"], summary["realised"]) == (positions, realised)
    assert found.state.discrepancy == 0


@pytest.mark.parametrize("name", REFUSED)
def test_folder_that_is_not_understood_says_why(case, name):
    found = case(name)
    assert [problem for problem in found.problems if REFUSED[name] in problem] == found.problems
    assert found.summary()["ok"] is False


def lots(found, instrument):
    return [
        (f"{lot.session:%Y-%m-%d}", str(lot.quantity), str(lot.cost)) for lot in found.state.positions[instrument].lots
    ]


def test_split_before_the_open_leaves_the_new_shares_with_their_cost(case):
    assert lots(case("ib_split_and_sale_same_day"), "NVDA") == [("2025-01-03", "950", "11400.9500")]


@pytest.mark.parametrize("name", ["ib_reverse_split", "ib_reverse_split_new_first"])
def test_reverse_split_in_two_rows_keeps_cost_and_day_of_purchase(case, name):
    assert lots(case(name), "VOD") == [("2025-01-03", "13.3333", "1601")]


def test_busted_purchase_leaves_the_older_lot(case):
    assert lots(case("ib_trade_cancel"), "AAPL") == [("2025-01-03", "10", "2001")]


def test_split_in_two_records_keeps_cost_and_day_of_purchase(case):
    assert lots(case("alpaca_split_two_records"), "AAPL") == [("2025-01-03", "30", "2000")]


def test_overnight_trade_of_sunday_belongs_to_monday(case):
    assert lots(case("alpaca_overnight_sunday"), "AAPL") == [("2025-01-06", "10", "2000")]


def test_options_and_exchanges_are_reported_and_their_cash_counts(case):
    found = case("ib_mixed_assets")
    assert len(found.warnings) == 2
    # 100,000 - 20,001 of the stock + 498.95 of the option + 103 of the exchange.
    assert found.summary()["cash"] == "80600.95"
    assert found.state.foreign == {"AAPL 17JAN25 210 C": -1}


def test_system_files_are_passed_over_and_a_document_is_reported_once(preview, tmp_path):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "~$plain.xlsx", "plain.csv.part"):
        (tmp_path / name).write_bytes(b"\x00")
    (tmp_path / "confirmation.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "alpaca.csv").write_text("id,activity_type,date,symbol,net_amount\na,CSD,2025-01-02,,5\n")
    found = preview(tmp_path)
    assert (found.problems, found.summary()["cash"]) == ([], "5.00")
    assert found.warnings == ["confirmation.pdf is not read: no format reads documents of this kind"]


def test_split_that_only_the_market_knows_names_the_missing_row(case):
    split = {"date": pd.Timestamp("2025-02-10"), "instrument": "NVDA", "kind": "split", "value": 10.0}
    found = case("split_only_in_market", actions=pd.DataFrame([split]))
    assert len(found.problems) == 1
    assert "NVDA split 10 for 1 on 2025-02-10, when 100 were held; no statement books it" in found.problems[0]
    assert found.problems[0].endswith("2025-02-10,split,NVDA,900")
    assert case("split_by_hand_in_another_file", actions=pd.DataFrame([split])).problems == []


def test_dividend_that_only_the_market_knows_is_a_warning(case):
    paid = {"date": pd.Timestamp("2025-01-15"), "instrument": "AAPL", "kind": "cash_dividend", "value": 0.25}
    found = case("ib_month_and_quarter", actions=pd.DataFrame([paid]))
    assert found.problems == []
    known = "the market knows a dividend of 0.25 per share of AAPL on 2025-01-15, when 20 were held"
    assert found.warnings == [f"{known}; no statement books it yet"]


def test_dates_that_rows_contradict_are_refused_with_what_would_read_the_column(case):
    assert "only %d/%m/%Y reads all dates of the column" in case("ambiguous_dates").problems[0]
