"""Interactive Brokers: actions in two rows, grains, sections, what the statement itself says is held."""

import pytest

from tests.helpers.previews import bought, ib, moved, preview_of

CHANGE = "ABC(US0000000001) CUSIP/ISIN Change to (US0000000002)"
MERGER = "ABC(US0000000001) Merged(Acquisition)  WITH US0000000002 1 for 2"
NEW = "(XYZ, XYZ INC (THE), US0000000002)"
OLD = "(ABC, ABC INC, US0000000001)"


@pytest.fixture
def preview(shipped):
    def preview(*parts, **more):
        return preview_of(shipped, {"interactive_brokers.csv": ib(*parts), **more})

    return preview


@pytest.mark.parametrize(
    ("rows", "cash", "positions", "realised"),
    [
        (moved(f"{CHANGE} (ABC, ABC, US0000000002)", 100) + moved(f"{CHANGE} (ABC.OLD, ABC, US0000000001)", -100),
         "97999.00", {"ABC": "100"}, "0.00"),
        (moved(f"{CHANGE} {NEW}", 100) + moved(f"{CHANGE} {OLD}", -100), "97999.00", {"XYZ": "100"}, "0.00"),
        (moved(f"{MERGER} {NEW}", 50) + moved(f"{MERGER} {OLD}", -100), "97999.00", {"XYZ": "50"}, "0.00"),
        # The cash gives back cost; nothing is realised before it exceeds it.
        (moved(f"{MERGER} {NEW}", 50) + moved(f"{MERGER} {OLD}", -100, 500), "98499.00", {"XYZ": "50"}, "0.00"),
        (moved(f"ABC(US0000000001) Merged(Acquisition) FOR USD 30.00 PER SHARE {OLD}", -100, 3000),
         "100999.00", {}, "999.00"),
        (moved(f"ABC(US0000000001) Delisted {OLD}", -100), "97999.00", {}, "-2001.00"),
        (moved(f"ABC(US0000000001) Stock Dividend US0000000001 11 for 10 {OLD}", 10),
         "97999.00", {"ABC": "110"}, "0.00"),
    ],
    ids=["number", "symbol", "stock", "stock and cash", "cash", "delisted", "stock dividend"],
)  # fmt: skip
def test_corporate_action_is_one_whatever_rows_it_takes(preview, rows, cash, positions, realised):
    found = preview(bought("ABC"), rows)
    assert found.problems == []
    summary = found.summary()
    assert (summary["cash"], summary["positions"], summary["realised"]) == (cash, positions, realised)
    for position in found.state.positions.values():
        assert [f"{lot.session:%Y-%m-%d}" for lot in position.lots] == ["2025-01-03"]


@pytest.mark.parametrize("quantity", [-100, 10])
def test_half_of_a_reverse_split_is_a_problem_not_a_loss(preview, quantity):
    found = preview(bought("ABC"), moved(f"ABC(US0000000001) Split 1 for 10 {OLD}", quantity))
    assert len(found.problems) == 1
    assert "one half of a split" in found.problems[0]
    assert found.summary()["positions"] == {"ABC": "100"}


def test_split_of_more_shares_than_are_held_is_a_problem(preview):
    split = "ABC(US0000000001) Split 1 for 10"
    found = preview(bought("ABC"), moved(f"{split} {OLD}", -200) + moved(f"{split} (ABC, ABC INC, US0000000002)", 20))
    assert "the split is of 200 ABC, but 100 are held" in found.problems[0]


def test_sale_of_more_than_the_old_shares_after_a_split_is_understood(preview):
    sold = 'Trades,Data,Order,Stocks,USD,ABC,"2025-02-11, 10:00:00",-200,2,2,400,-1,0,0,0,C\n'
    found = preview(bought("ABC") + sold, moved(f"ABC(US0000000001) Split 10 for 1 {OLD}", 900))
    assert (found.problems, found.summary()["positions"]) == ([], {"ABC": "800"})
    # 399 less a fifth of 2,001.
    assert found.summary()["realised"] == "-1.20"


def test_spin_off_is_completed_by_the_row_that_the_user_writes(preview):
    by_hand = "date,kind,instrument,quantity,new_instrument,cost_fraction\n2025-02-11,spin_off,ABC,25,XYZ,0.2\n"
    rows = moved(f"ABC(US0000000001) Spinoff  1 for 4 {NEW}", 25)
    found = preview(bought("ABC"), rows, **{"plain.csv": by_hand})
    assert found.problems == []
    assert {name: str(held.cost) for name, held in found.state.positions.items()} == {
        "ABC": "1600.8000",
        "XYZ": "400.2000",
    }


def test_split_that_is_written_by_hand_and_comes_with_the_export_counts_once(preview):
    by_hand = "date,kind,instrument,quantity\n2025-02-10,split,ABC,900\n"
    rows = moved(f"ABC(US0000000001) Split 10 for 1 {OLD}", 900)
    found = preview(bought("ABC"), rows, **{"plain.csv": by_hand})
    assert (found.problems, found.summary()["positions"]) == ([], {"ABC": "1000"})
    place = "interactive_brokers.csv, row 12 (Corporate Actions)"
    assert found.warnings == [f"{place}: plain.csv, row 2 states the same split by hand, which counts"]


def test_symbols_with_a_class_are_called_as_in_the_market(preview):
    assert preview(bought("BRK B")).summary()["positions"] == {"BRK.B": "100"}


def test_trade_rows_count_where_a_statement_has_no_orders(preview):
    trades = bought("ABC").replace("Order", "Trade")
    assert preview(trades).summary()["positions"] == {"ABC": "100"}


HELD = """\
Cash Report,Header,Currency Summary,Currency,Total,Securities
Cash Report,Data,Starting Cash,Base Currency Summary,0,0
Cash Report,Data,Ending Cash,Base Currency Summary,{cash},{cash}
Open Positions,Header,DataDiscriminator,Asset Category,Currency,Symbol,Quantity,Mult,Cost Price,Value
Open Positions,Data,Summary,Stocks,USD,{symbol},100,1,20,2000
Open Positions,Total,,Stocks,USD,,,,,2000
"""


def test_cash_report_and_open_positions_agree_with_the_books(preview):
    assert preview(bought("ABC"), "", HELD.format(cash=97999, symbol="ABC")).problems == []


def test_cash_of_the_currency_of_the_account_counts_before_the_sum_of_all(preview):
    report = HELD.format(cash=97894, symbol="ABC") + "Cash Report,Data,Ending Cash,EUR,-100,-100\n"
    assert len(preview(bought("ABC"), "", report).problems) == 1
    assert preview(bought("ABC"), "", report + "Cash Report,Data,Ending Cash,USD,97999,97999\n").problems == []


def test_cash_report_and_open_positions_that_differ_are_problems(preview):
    found = preview(bought("ABC"), "", HELD.format(cash=98000, symbol="XYZ")).problems
    assert [problem.partition(": ")[2].partition(";")[0] for problem in found] == [
        "the statement ends with 98000 cash, the books with 97999",
        "the statement ends with 100 XYZ, the books with 0",
        "the books end with 100 ABC, the statement lists none",
    ]


def test_unknown_sections_are_all_named_with_advice_that_fits(preview):
    found = preview(
        "", "", "Loans,Header,Currency,Date,Amount\nLoans,Data,USD,2025-01-06,5\nNews,Header,Text\nNews,Data,x\n"
    )
    assert [problem.partition("section ")[2] for problem in found.problems] == [
        "'Loans'; its rows may move cash or shares: say under `more_rows` what they book",
        "'News'; say under `more_rows` what its rows book, or add its name to `more_ignored_sections` if they book "
        "nothing",
    ]


def test_lists_of_a_shipped_format_are_extended_not_copied(shipped):
    rest = "Loans,Header,Currency,Date,Amount\nLoans,Data,USD,2025-01-06,5\nNews,Header,Text\nNews,Data,x\n"
    more = {
        "more_rows": [{"section": "Loans", "book": "interest", "columns": {"note": []}}],
        "more_ignored_sections": ["News"],
    }
    parameters = shipped.with_changes({"formats": {"interactive_brokers": more}})
    found = preview_of(parameters, {"interactive_brokers.csv": ib("", "", rest)})
    assert (found.problems, found.summary()["cash"]) == ([], "100005.00")


def test_base_currency_of_the_statement_is_compared(shipped):
    text = ib(bought("ABC")).replace("Base Currency,USD", "Base Currency,EUR")
    assert "the account is kept in EUR" in preview_of(shipped, {"interactive_brokers.csv": text}).problems[0]


def test_month_without_activity_is_a_warning(shipped):
    text = "Statement,Header,Field Name,Field Value\nStatement,Data,Title,Activity Statement\n"
    found = preview_of(shipped, {"interactive_brokers.csv": text})
    assert (found.problems, found.warnings) == ([], ["interactive_brokers.csv has no row that books anything"])


def test_dividend_with_other_words_in_an_overlapping_statement_counts_once(shipped):
    dividends = (
        "Dividends,Header,Currency,Date,Description,Amount\n"
        "Dividends,Data,USD,2025-01-15,ABC(US1) Cash Dividend {},48.5\n"
    )
    files = {f"interactive_brokers_{n}.csv": ib("", "", dividends.format(n)) for n in ("USD 0.485", "0.4850 USD")}
    assert preview_of(shipped, files).summary()["cash"] == "100048.50"


def test_one_trade_in_an_activity_statement_and_a_flex_query_is_a_problem(preview):
    flex = (
        "AssetClass,LevelOfDetail,TradeID,DateTime,CurrencyPrimary,Symbol,Buy/Sell,Quantity,TradePrice,IBCommission,NetCash\n"
        "STK,EXECUTION,1,20250103;100000,USD,ABC,BUY,100,20,-1,-2001\n"
    )
    found = preview(bought("ABC"), **{"flex_trades.csv": flex})
    assert "the same trade stands in flex_trades.csv, row 2, an export of another format" in found.problems[0]


def test_summaries_count_where_a_flex_query_has_no_details(shipped):
    text = (
        "CurrencyPrimary,Symbol,Description,Date/Time,Amount,Type,TransactionID,LevelOfDetail\n"
        "USD,,DEP,20250102,5,Deposits/Withdrawals,,SUMMARY\n"
    )
    assert preview_of(shipped, {"flex_cash.csv": text}).summary()["cash"] == "5.00"


def test_flex_xml_reads_corporate_actions_and_transfers(shipped):
    rows = [
        '<Trades><Trade currency="USD" assetCategory="STK" symbol="KO" tradeID="1" dateTime="20250103;093512" '
        'quantity="100" tradePrice="62" ibCommission="-1" netCash="-6201" buySell="BUY" levelOfDetail="EXECUTION"/>'
        '<Order currency="USD" assetCategory="STK" symbol="KO" dateTime="20250103;093512" quantity="100" '
        'tradePrice="62" ibCommission="-1" netCash="-6201" buySell="BUY" levelOfDetail="ORDER"/></Trades>',
        '<CorporateActions><CorporateAction currency="USD" symbol="KO" type="RS" actionID="7" reportDate="20250210" '
        'quantity="-100" proceeds="0" transactionID="2"/><CorporateAction currency="USD" symbol="KO" type="RS" '
        'actionID="7" reportDate="20250210" quantity="10" proceeds="0" transactionID="3"/></CorporateActions>',
        '<CashTransactions><CashTransaction currency="USD" dateTime="20250102" amount="10000" '
        'type="Deposits/Withdrawals" transactionID="700"/></CashTransactions><Transfers/>',
        '<AccountInformation currency="USD"/><ChangeInNAV mtm="1"/>',
    ]
    statement = f'<FlexStatement toDate="20250331">{"".join(rows)}</FlexStatement>'
    text = f"<FlexQueryResponse><FlexStatements>{statement}</FlexStatements></FlexQueryResponse>"
    found = preview_of(shipped, {"flex_2025.xml": text})
    assert (found.problems, found.summary()["cash"], found.summary()["positions"]) == ([], "3799.00", {"KO": "10"})
