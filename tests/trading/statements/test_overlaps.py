"""Rows that stand in several files, take back others, or say nothing of their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.previews import ALPACA_HEAD, bought, ib, preview_of

FLEX = (
    "AssetClass,LevelOfDetail,TradeID,DateTime,CurrencyPrimary,Symbol,Buy/Sell,Quantity,TradePrice,IBCommission,"
    "NetCash\n"
)
HISTORY = """\
Statement,Header,Field Name,Field Value
Statement,Data,Title,Transaction History
Summary,Data,Base Currency,USD
Transaction History,Header,Date,Account,Description,Transaction Type,Symbol,Quantity,Price,Gross Amount ,Commission,Net Amount
"""  # noqa: E501


def summary_of(shipped, files):
    found = preview_of(shipped, files)
    assert found.problems == []
    summary = found.summary()
    return summary["cash"], summary["positions"], summary["realised"]


def without_ids(rows):
    return f"id,activity_type,transaction_time,date,symbol,side,qty,price,net_amount,description\n{rows}"


@pytest.mark.parametrize(
    "again",
    [
        ",CSD,,2025-01-02T00:00:00Z,,,,,10000.00,another note\n,FILL,2025-01-03T14:30:01Z,,AAPL,buy,10.0,243.850,,\n",
        ",CSD,,2025-01-02 15:30:00,,,,,10000,\n,FILL,2025-01-03 14:30:01.250000+00:00,,AAPL,buy,10,243.85,,\n",
        ",CSD,,2025-01-02,,,,,1E4,\n,FILL,2025-01-03T09:30:01.25-05:00,,AAPL,BUY,10.000,243.85,,\n",
    ],
)
def test_rows_in_another_notation_are_the_same_facts(shipped, again):
    first = ",CSD,,2025-01-02,,,,,10000,deposit\n,FILL,2025-01-03T14:30:01.250Z,,AAPL,buy,10,243.85,,\n"
    files = {"alpaca_1.csv": without_ids(first), "alpaca_2.csv": without_ids(again)}
    assert summary_of(shipped, files) == ("7561.50", {"AAPL": "10"}, "0.00")


def test_equal_trades_of_one_second_stay_two_in_every_file(shipped):
    trades = bought("ABC") + bought("ABC")
    files = {f"interactive_brokers_{n}.csv": ib(trades) for n in (1, 2)}
    assert summary_of(shipped, files) == ("95998.00", {"ABC": "200"}, "0.00")


def test_order_that_another_statement_shows_whole_counts_once_without_a_code(shipped):
    files = {"interactive_brokers_1.csv": ib(bought("ABC", 10)), "interactive_brokers_2.csv": ib(bought("ABC", 25))}
    assert summary_of(shipped, files) == ("99499.00", {"ABC": "25"}, "0.00")


def test_two_orders_of_one_second_that_both_statements_have_stay_two(shipped):
    trades = bought("ABC", 10) + bought("ABC", 25)
    files = {f"interactive_brokers_{n}.csv": ib(trades) for n in (1, 2)}
    assert summary_of(shipped, files) == ("99298.00", {"ABC": "35"}, "0.00")


def test_cancelled_execution_of_a_flex_query_leaves_no_trace(shipped):
    rows = (
        "STK,EXECUTION,1,20250103;093512,USD,KO,BUY,100,62,-1,-6201\n"
        "STK,EXECUTION,2,20250204;093512,USD,KO,BUY,50,64,-1,-3201\n"
        "STK,EXECUTION,3,20250204;093512,USD,KO,BUY (Ca.),-50,64,1,3201\n"
    )
    assert summary_of(shipped, {"flex_trades.csv": FLEX + rows}) == ("-6201.00", {"KO": "100"}, "0.00")


def test_cancellation_in_a_later_statement_finds_the_trade_of_an_earlier_one(shipped):
    cancelled = bought("ABC").replace(",100,20,20,-2000,-1,2001,0,0,O", ",-100,20,20,2000,1,-2001,0,0,Ca")
    files = {"interactive_brokers_1.csv": ib(bought("ABC")), "interactive_brokers_2.csv": ib(bought("ABC") + cancelled)}
    assert summary_of(shipped, files) == ("100000.00", {}, "0.00")
    found = preview_of(shipped, {"interactive_brokers.csv": ib(cancelled)})
    assert "takes back a fill that no statement has" in found.problems[0]


def test_day_that_does_not_say_which_row_came_first_lets_purchases_come_first(shipped):
    rows = (
        "Transaction History,Data,2025-01-15,U***1,COCA COLA,Sell,KO,-40,63.0,2520.0,-,2520.0\n"
        "Transaction History,Data,2025-01-15,U***1,COCA COLA,Buy,KO,40,62.0,-2480.0,-1.0,-2481.0\n"
    )
    assert summary_of(shipped, {"interactive_brokers_history.csv": HISTORY + rows}) == ("39.00", {}, "39.00")


@pytest.mark.parametrize("name", ["b", "alpaca:fill:b"])
def test_correction_by_hand_names_a_trade_of_another_format(shipped, name):
    by_hand = f"date,kind,instrument,side,quantity,price,fee,fill,id\n2025-01-06,correction,AAPL,buy,9,200,1,{name},1\n"
    files = {"alpaca.csv": ALPACA_HEAD, "plain.csv": by_hand}
    assert summary_of(shipped, files) == ("8199.00", {"AAPL": "9"}, "0.00")


def test_bust_of_a_trade_that_no_file_has_is_a_problem(shipped):
    found = preview_of(shipped, {"plain.csv": "date,kind,fill,id\n2025-01-06,bust,nothing,1\n"})
    assert "corrects the fill plain:fill:nothing, which the ledger does not have" in found.problems[0]


def test_trade_in_a_history_that_tells_the_day_only_and_in_an_activity_statement_is_a_problem(shipped):
    row = "Transaction History,Data,2025-01-03,U***1,ABC INC,Buy,ABC,100,20.0,-2000.0,-1.0,-2001.0\n"
    files = {"interactive_brokers.csv": ib(bought("ABC")), "interactive_brokers_history.csv": HISTORY + row}
    assert "an export of another format; keep the files of one" in preview_of(shipped, files).problems[0]


DAY_OF_ROWS = st.lists(
    st.tuples(st.integers(2, 10), st.sampled_from(["AAPL", "KO"]), st.integers(1, 3), st.sampled_from([60, 61])),
    min_size=1,
    max_size=12,
)


@given(DAY_OF_ROWS, st.integers(2, 10), st.integers(2, 10))
def test_overlapping_exports_book_what_one_export_of_all_books(shipped, trades, first_end, second_start):
    """Every export has whole days; together they cover all."""

    def export(start, end):
        days = [(day, *rest) for day, *rest in sorted(trades) if start <= day <= end]
        rows = [f"2025-02-{day:02},fill,{name},buy,{quantity},{price}" for day, name, quantity, price in days]
        return "\n".join(["date,kind,instrument,side,quantity,price", *rows]) + "\n"

    calendar = "24/7"
    whole = preview_of(shipped, {"plain.csv": export(2, 10)}, calendar)
    parts = {
        "plain_1.csv": export(2, max(first_end, second_start)),
        "plain_2.csv": export(min(first_end, second_start), 10),
    }
    split = preview_of(shipped, parts, calendar)
    assert (whole.problems, split.problems) == ([], [])
    assert split.state.cash == whole.state.cash
    assert {name: held.quantity for name, held in split.state.positions.items()} == {
        name: held.quantity for name, held in whole.state.positions.items()
    }
