"""Alpaca's cancellations and corrections of what was booked before, booked with literal results."""

from decimal import Decimal

import pytest

from tests.helpers.alpaca_activities import record


def test_a_dividend_that_is_cancelled_and_corrected_in_one_reading_counts_once(account):
    first = record("DIV", 1, symbol="AAPL", qty="10", net_amount="2.50", status="executed")
    account.read(
        first,
        record("DIV", 2, symbol="AAPL", qty="10", net_amount="2.50", status="canceled", previous_id=first["id"]),
        record("DIV", 3, symbol="AAPL", qty="10", net_amount="2.70", status="correct", previous_id=first["id"]),
    )
    assert (account.state.dividends, account.state.cash) == (Decimal("2.70"), Decimal("10002.70"))


@pytest.mark.parametrize("in_one_reading", [True, False])
def test_a_cancellation_that_names_nothing_takes_back_the_equal_record(account, in_one_reading):
    rows = [
        record("DIV", 1, symbol="AAPL", net_amount="2.50", status="executed"),
        record("DIV", 2, symbol="AAPL", net_amount="2.50", status="canceled"),
    ]
    for reading in [rows] if in_one_reading else [rows[:1], rows[1:]]:
        account.read(*reading)
    assert (account.state.dividends, account.state.quarantine) == (0, {})


def test_a_cancellation_that_names_nothing_takes_back_no_amount_of_another_kind(account):
    account.read(record("DIV", 1, symbol="KO", net_amount="10"), record("FEE", 2, symbol="KO", net_amount="-10"))
    account.read(record("DIV", 3, symbol="KO", net_amount="10", status="canceled"))
    assert (account.state.cash, account.state.dividends, account.state.fees) == (9990, 0, 10)
    account.read(record("INT", 4, symbol="KO", net_amount="10", status="canceled"))
    assert (account.state.cash, account.codes()) == (9990, ["AMENDMENT_OF_UNKNOWN_ACTIVITY"])


def test_a_cancelled_split_that_names_nothing_leaves_the_stock_dividend_after_it(account):
    account.hold("KO", 10, 100)
    gone, come = ({"symbol": "KO", "qty": qty, "net_amount": "0"} for qty in ("-10", "20"))
    account.read(record("SPLIT", 1, group_id="g", **gone), record("SPLIT", 2, group_id="g", **come))
    for number in (3, 4):
        shares = {"symbol": "KO", "qty": "0.4", "net_amount": "0", "activity_sub_type": "SDIV"}
        account.read(record("DIV", number, **shares))
    account.read(record("SPLIT", 5, status="canceled", **gone), record("SPLIT", 6, status="canceled", **come))
    assert account.lots("KO") == [(Decimal("10.8"), 100, "2025-01-03")]
    account.read(record("DIV", 7, status="canceled", **shares), record("DIV", 8, status="canceled", **shares))
    assert (account.lots("KO"), account.codes()) == ([(10, 100, "2025-01-03")], [])


@pytest.mark.parametrize("names_it", [True, False])
def test_cash_in_lieu_that_is_cancelled_gives_its_fraction_back(account, names_it):
    account.hold("KO", "11", 110)
    paid = {"symbol": "KO", "qty": "-0.5", "net_amount": "6"}
    account.read(record("CIL", 1, **paid), record("CIL", 2, **paid))
    previous = [{"previous_id": record("CIL", number)["id"]} if names_it else {} for number in (2, 1)]
    account.read(record("CIL", 3, status="canceled", **paid, **previous[0]))
    assert (account.shares(), account.state.cash, account.state.realised) == ({"KO": Decimal("10.5")}, 10_006, 1)
    account.read(record("CIL", 4, status="canceled", **paid, **previous[1]))
    assert (account.lots("KO"), account.state.cash, account.state.realised) == ([(11, 110, "2025-01-03")], 10_000, 0)


@pytest.mark.parametrize("in_one_reading", [True, False])
def test_cash_in_lieu_is_corrected_with_its_fraction(account, in_one_reading):
    account.hold("KO", "10.5", 105)
    paid = record("CIL", 1, symbol="KO", qty="-0.5", net_amount="6")
    right = record("CIL", 2, symbol="KO", qty="-0.4", net_amount="5", status="correct", previous_id=paid["id"])
    for reading in [[paid, right]] if in_one_reading else [[paid], [right]]:
        account.read(*reading)
    assert (account.shares(), account.state.cash, account.state.realised) == ({"KO": Decimal("10.1")}, 10_005, 1)


def test_a_return_of_capital_beyond_the_cost_is_corrected_and_cancelled_as_if_it_had_not_been(account):
    names = [record("DIVROC", number)["id"] for number in range(6)]
    account.hold("KO", 10, 10)

    def books(number, amount, **facts):
        account.read(record("DIVROC", number, symbol="KO", net_amount=amount, **facts))
        return account.state.positions["KO"].cost, account.state.cash, account.state.realised

    assert books(1, "25") == (0, 10_025, 15)
    assert books(2, "6", status="correct", previous_id=names[1]) == (4, 10_006, 0)
    assert books(3, "8", status="correct", previous_id=names[2]) == (2, 10_008, 0)
    assert books(4, "8", status="canceled", previous_id=names[3]) == (10, 10_000, 0)
    assert books(5, "8", status="canceled", previous_id=names[3]) == (10, 10_000, 0)


def test_a_dividend_that_is_restated_as_a_return_of_capital_lowers_the_cost(account):
    account.hold("KO", 10, 100)
    account.read(record("DIV", 1, symbol="KO", net_amount="10"))
    previous = record("DIV", 1)["id"]
    account.read(record("DIVROC", 2, symbol="KO", net_amount="10", status="correct", previous_id=previous))
    assert (account.state.dividends, account.state.positions["KO"].cost, account.state.cash) == (0, 90, 10_010)


def test_a_cancellation_of_something_unknown_is_kept_aside_with_its_effect(account):
    account.read(record("DIV", 2, symbol="AAPL", net_amount="2.50", status="canceled", previous_id="before"))
    assert (account.state.cash, account.cash()) == (10_000, Decimal("9997.50"))
    assert account.codes() == ["AMENDMENT_OF_UNKNOWN_ACTIVITY"]


@pytest.mark.parametrize("in_one_reading", [True, False])
def test_a_split_that_is_cancelled_never_happened(account, in_one_reading):
    account.hold("AAPL", 10, 2000)
    split = [record("SPLIT", n, symbol="AAPL", qty=q, group_id="g") for n, q in ((1, "-10"), (2, "30"))]
    back = [
        record("SPLIT", n + 2, symbol="AAPL", qty=r["qty"], group_id="g", status="canceled", previous_id=r["id"])
        for n, r in enumerate(split, start=1)
    ]
    for reading in [split + back] if in_one_reading else [split, back]:
        account.read(*reading)
    assert (account.lots("AAPL"), account.state.quarantine) == ([(10, 2000, "2025-01-03")], {})


def test_a_split_that_is_corrected_counts_as_it_says_last(account):
    account.hold("AAPL", 10, 2000)
    split = [record("SPLIT", n, symbol="AAPL", qty=q, group_id="g") for n, q in ((1, "-10"), (2, "30"))]
    right = [
        record("SPLIT", n, symbol="AAPL", qty=q, group_id="h", status="correct", previous_id=r["id"])
        for n, q, r in ((3, "-10", split[0]), (4, "20", split[1]))
    ]
    account.read(*split)
    account.read(*right)
    assert (account.lots("AAPL"), account.state.quarantine) == ([(20, 2000, "2025-01-03")], {})
