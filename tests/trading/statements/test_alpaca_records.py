"""Alpaca's records as a dump of its activities has them: cancelled, corrected, in two halves, of every type."""

import pytest

from tests.helpers.previews import ALPACA_HEAD, preview_of


def record(
    kind, name, amount="0", symbol="", quantity="", status="executed", previous="", words="", sub_type="", day="06"
):
    return f"{kind},{sub_type},{name},2025-01-{day},{amount},{symbol},{quantity},{status},,,,,{previous},{words}\n"


def fill(name, quantity, price, status="", previous=""):
    return f"FILL,,{name},,,AAPL,{quantity},{status},2025-01-06T15:30:01Z,fill,{price},buy,{previous},\n"


@pytest.fixture
def preview(shipped):
    def preview(rows, **more):
        return preview_of(shipped, {"alpaca.csv": ALPACA_HEAD + rows, **more})

    return preview


@pytest.mark.parametrize(
    ("rows", "cash", "positions", "realised"),
    [
        (record("DIV", "d1", "2.5", "AAPL") + record("DIV", "d2", "2.5", "AAPL", status="canceled", day="07"),
         "8000.00", {"AAPL": "10"}, "0.00"),
        (record("DIV", "d1", "2.5", "AAPL") + record("DIV", "d2", "2.7", "AAPL", status="correct", previous="d1"),
         "8002.70", {"AAPL": "10"}, "0.00"),
        (fill("c", 8, 201, "correct", "b"), "8392.00", {"AAPL": "8"}, "0.00"),
        (fill("c", 10, 200, "canceled", "b"), "10000.00", {}, "0.00"),
        (record("SPLIT", "s1", symbol="AAPL", quantity="-10") + record("SPLIT", "s2", symbol="AAPL", quantity="1"),
         "8000.00", {"AAPL": "1"}, "0.00"),
        (record("NC", "s2", symbol="APPL", quantity="10") + record("NC", "s1", symbol="AAPL", quantity="-10"),
         "8000.00", {"APPL": "10"}, "0.00"),
        (record("MA", "s1", "2439", "AAPL") + record("MA", "s2", symbol="AAPL", quantity="-10"),
         "10439.00", {}, "439.00"),
        (record("REORG", "s1", symbol="AAPL", quantity="-10", sub_type="WRM"), "8000.00", {}, "-2000.00"),
        (record("DIV", "s1", "20", "AAPL", sub_type="ROC"), "8020.00", {"AAPL": "10"}, "0.00"),
        (record("MEM", "s1", "0"), "8000.00", {"AAPL": "10"}, "0.00"),
        (record("SPLIT", "s1", symbol="AAPL", quantity="-10", sub_type="USPLIT")
         + record("SPLIT", "s2", symbol="SHRS", quantity="10", sub_type="USPLIT")
         + record("SPLIT", "s3", symbol="WRNT", quantity="5", sub_type="USPLIT"),
         "8000.00", {"SHRS": "10", "WRNT": "5"}, "0.00"),
        (record("MAGIC", "s1", "-5"), "7995.00", {"AAPL": "10"}, "0.00"),
        (record("MAGIC", "s1", "5", "AAPL", "3"), "8000.00", {"AAPL": "10"}, "0.00"),
        (record("MAGIC", "s1", "5", status="canceled"), "8000.00", {"AAPL": "10"}, "0.00"),
        (record("MAGIC", "s1", "NaN"), "8000.00", {"AAPL": "10"}, "0.00"),
    ],
    ids=["cancelled without id", "corrected", "corrected trade", "busted trade", "reverse split", "renamed",
         "cash merger", "worthless", "return of capital", "memo", "unit", "unknown cash", "unknown shares",
         "unknown taken back", "unknown amount"],
)  # fmt: skip
def test_records_do_what_alpaca_means_by_them(preview, rows, cash, positions, realised):
    found = preview(rows)
    assert found.problems == []
    summary = found.summary()
    assert (summary["cash"], summary["positions"], summary["realised"]) == (cash, positions, realised)
    assert found.state.discrepancy == 0


@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        ("FEE", "charges"), ("DIVFEE", "charges"), ("CFEE", "charges"), ("PTC", "charges"),
        ("DIVNRA", "taxes"), ("INTNRA", "taxes"), ("INTTW", "taxes"), ("WH", "taxes"),
        ("CSW", "contributed"), ("JNLC", "contributed"), ("ACATC", "contributed"),
        ("CORR", "other"), ("SEG", "other"), ("SUB", "other"), ("OPCSH", "other"), ("INT", "interest"),
    ],
)  # fmt: skip
def test_cash_of_a_type_goes_where_the_live_account_books_it(preview, kind, amount):
    found = preview(record(kind, "x", "-5"))
    assert found.problems == []
    before = {"contributed": 10_000}.get(amount, 0)
    sign = 1 if amount in ("charges", "taxes") else -1
    assert getattr(found.state, amount) == before + sign * 5
    assert found.summary()["cash"] == "7995.00"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (record("DIV", "d2", "2.5", "AAPL", status="canceled"), "takes back a cash_dividend that no statement has"),
        (
            record("SPLIT", "s", symbol="AAPL", quantity="30", words="ADD; From QTY:10"),
            "the row with the old shares is missing",
        ),
        (
            record("ACATS", "s", symbol="KO", quantity="10"),
            "by the row 2025-01-06,transfer,KO,10,<cost>,<day of purchase>",
        ),
        (record("SPIN", "s", symbol="XYZ", quantity="2"), "by the row 2025-01-06,spin_off,<old>,2,XYZ,<0 to 1>"),
        (
            record("SPLIT", "s", symbol="AAPL", quantity="-10", sub_type="USPLIT"),
            "only a part of a split of a unit has been reported: -10 AAPL; the rows with the other parts are missing",
        ),
        (
            record("NC", "s", symbol="AAPL", quantity="-10"),
            "10 AAPL leave under their name, but no row has the new one",
        ),
    ],
)
def test_what_is_not_whole_is_a_problem_with_a_remedy(preview, rows, message):
    found = preview(rows)
    assert len(found.problems) == 1
    assert message in found.problems[0]


def test_shares_transferred_in_take_the_cost_that_the_user_writes(preview):
    by_hand = "date,kind,instrument,quantity,cost,opened\n2025-01-06,transfer,KO,10,600,2020-01-02\n"
    found = preview(record("ACATS", "s", symbol="KO", quantity="10"), **{"plain.csv": by_hand})
    assert found.problems == []
    lot = found.state.positions["KO"].lots[0]
    assert (f"{lot.session:%Y-%m-%d}", str(lot.quantity), str(lot.cost)) == ("2020-01-02", "10", "600")


def test_options_and_coins_are_carried_and_their_cash_counts(preview):
    rows = (
        "FILL,,o,,,AAPL250117C00210000,1,,2025-01-03T15:30:01Z,fill,5,sell,,\n"
        "FILL,,p,,,BTC/USD,0.1,,2025-01-03T15:30:01Z,fill,5000,buy,,\n"
    )
    found = preview(rows)
    assert (found.problems, found.summary()["cash"]) == ([], "8000.00")
    assert {name: str(held) for name, held in found.state.foreign.items()} == {
        "AAPL250117C00210000": "-1",
        "BTC/USD": "0.1",
    }


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        # Thursday 9 January 2025 was a day of mourning without trading.
        ("2025-01-09T01:30:00Z", "2025-01-10"),
        ("2025-01-08T00:59:59Z", "2025-01-07"),
        ("2025-01-08T01:00:00Z", "2025-01-08"),
        ("2025-01-08T08:30:00.123456789Z", "2025-01-08"),
    ],
)
def test_trade_of_the_night_belongs_to_the_next_session(preview, moment, session):
    found = preview(f"FILL,,o,,,KO,1,,{moment},fill,60,buy,,\n")
    assert found.problems == []
    assert f"{found.state.positions['KO'].lots[0].session:%Y-%m-%d}" == session


def test_same_id_with_another_price_in_another_file_is_a_problem(shipped):
    files = {"alpaca_1.csv": ALPACA_HEAD, "alpaca_2.csv": ALPACA_HEAD.replace(",200,buy", ",201,buy")}
    assert "alpaca_2.csv, row 3: another file has this row with other values" in preview_of(shipped, files).problems[0]


def test_row_that_overlapping_pages_of_a_dump_have_twice_counts_once(preview):
    again = ALPACA_HEAD.splitlines()[2] + "\n"
    found = preview(again)
    assert (found.problems, found.summary()["positions"]) == ([], {"AAPL": "10"})
    assert "'b' stands in this file twice for a fill" in preview(again.replace(",200,", ",201,")).problems[0]


def test_same_file_under_two_names_counts_once(shipped):
    found = preview_of(shipped, {"alpaca_1.csv": ALPACA_HEAD, "alpaca_2.csv": ALPACA_HEAD})
    assert (found.problems, found.summary()["cash"]) == ([], "8000.00")
