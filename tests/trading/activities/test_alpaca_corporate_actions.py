"""Corporate actions in the shapes that Alpaca's documentation shows, booked with literal results."""

from decimal import Decimal

import pytest

from tests.helpers.alpaca_activities import record


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("group", [{}, {"group_id": "g1"}, {"ca_id": "c1"}])
def test_a_split_in_two_records_keeps_cost_and_day_and_realises_nothing(account, order, group):
    account.hold("AAPL", 10, 2000)
    gone = record("SPLIT", 1, symbol="AAPL", qty="-10", net_amount="0", activity_sub_type="FSPLIT", **group)
    come = record("SPLIT", 2, symbol="AAPL", qty="30", net_amount="0", activity_sub_type="FSPLIT", **group)
    account.read(*[(gone, come)[place] for place in order])
    assert account.lots("AAPL") == [(30, 2000, "2025-01-03")]
    assert (account.state.realised, account.codes()) == (0, [])


def test_a_reverse_split_pays_cash_for_its_fraction(account):
    account.hold("AAPL", 25, 100)
    account.read(
        record("SPLIT", 1, symbol="AAPL", qty="-25", net_amount="0", activity_sub_type="RSPLIT", group_id="g"),
        record("SPLIT", 2, symbol="AAPL", qty="2", net_amount="0", activity_sub_type="RSPLIT", group_id="g"),
        record("CIL", 3, symbol="AAPL", net_amount="19.50", group_id="g"),
    )
    assert account.lots("AAPL") == [(2, 100, "2025-01-03")]
    assert (account.state.cash, account.state.realised) == (Decimal("10019.50"), Decimal("19.50"))


def test_a_split_whose_records_come_in_two_readings_is_booked_when_it_is_whole(account):
    account.hold("AAPL", 10, 2000)
    account.read(record("SPLIT", 1, symbol="AAPL", qty="-10", net_amount="0"))
    assert (account.codes(), set(account.state.quarantine)) == (
        ["INCOMPLETE"],
        {"quarantine:20250106000000001::r1"},
    )
    account.read(record("SPLIT", 2, symbol="AAPL", qty="30", net_amount="0"))
    assert account.lots("AAPL") == [(30, 2000, "2025-01-03")]
    assert account.state.quarantine == {}


def test_a_dividend_in_shares_brings_shares_and_no_cash(account):
    account.hold("AAPL", 10, 2000)
    account.read(record("DIV", 1, symbol="AAPL", qty="0.2", net_amount="0", activity_sub_type="SDIV"))
    assert account.lots("AAPL") == [(Decimal("10.2"), 2000, "2025-01-03")]
    assert (account.state.cash, account.state.dividends) == (10_000, 0)


def test_a_return_of_capital_lowers_the_cost_and_is_profit_beyond_it(account):
    account.hold("AAPL", 10, 40)
    account.read(record("DIV", 1, symbol="AAPL", net_amount="30", activity_sub_type="ROC"))
    assert (account.lots("AAPL"), account.state.realised, account.state.cash) == ([(10, 10, "2025-01-03")], 0, 10_030)
    account.read(record("DIVROC", 2, symbol="AAPL", net_amount="25"))
    assert (account.state.positions["AAPL"].cost, account.state.realised) == (0, 15)
    account.read(record("DIVROC", 3, symbol="GONE", net_amount="5"))
    assert (account.state.realised, account.state.dividends) == (20, 0)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_cash_merger_in_two_records_realises_its_profit(account, grouped):
    account.hold("OLD", 100, 1000)
    group = {"group_id": "g"} if grouped else {}
    account.read(
        record("MA", 1, symbol="OLD", qty="0", net_amount="1439", activity_sub_type="CMA", **group),
        record("MA", 2, symbol="OLD", qty="-100", net_amount="0", activity_sub_type="CMA", **group),
    )
    assert (account.state.cash, account.state.realised, account.state.positions) == (11_439, 439, {})
    assert account.state.contributed == 11_000


def test_a_merger_for_shares_and_cash_gives_back_cost_first(account):
    account.hold("OLD", 100, 1000)
    account.read(
        record("MA", 1, symbol="OLD", qty="-100", net_amount="0", activity_sub_type="SCMA", ca_id="c"),
        record("MA", 2, symbol="OLD", qty="0", net_amount="300", activity_sub_type="SCMA", ca_id="c"),
        record("MA", 3, symbol="NEW", qty="50", net_amount="0", activity_sub_type="SCMA", ca_id="c"),
    )
    assert account.lots("NEW") == [(50, 700, "2025-01-03")]
    assert (account.state.cash, account.state.realised) == (10_300, 0)


def test_a_merger_for_shares_and_cash_waits_for_its_shares(account):
    account.hold("OLD", 100, 1000)
    account.read(
        record("MA", 1, symbol="OLD", qty="-100", net_amount="0", activity_sub_type="SCMA", ca_id="c"),
        record("MA", 2, symbol="OLD", qty="0", net_amount="300", activity_sub_type="SCMA", ca_id="c"),
    )
    assert (account.cash(), account.shares(), account.state.cash) == (10_300, {}, 10_000)
    account.read(record("MA", 3, symbol="NEW", qty="50", net_amount="0", activity_sub_type="SCMA", ca_id="c"))
    assert (account.lots("NEW"), account.state.cash, account.state.quarantine) == (
        [(50, 700, "2025-01-03")],
        10_300,
        {},
    )


def test_a_unit_is_parted_by_the_values_of_its_parts(account):
    account.hold("UNITU", 10, 100)
    account.read(
        record("SPLIT", 1, symbol="UNITU", qty="-10", net_amount="0", activity_sub_type="USPLIT", group_id="g"),
        record(
            "SPLIT", 2, symbol="UNIT", qty="10", price="9", net_amount="0", activity_sub_type="USPLIT", group_id="g"
        ),
        record(
            "SPLIT", 3, symbol="UNITW", qty="5", price="2", net_amount="0", activity_sub_type="USPLIT", group_id="g"
        ),
    )
    assert account.lots("UNIT") == [(10, 90, "2025-01-03")]
    assert account.lots("UNITW") == [(5, 10, "2025-01-03")]
    assert account.codes() == []


def test_a_unit_whose_parts_have_no_values_leaves_its_cost_to_the_share(account):
    account.hold("UNITU", 10, 100)
    account.read(
        record("SPLIT", 1, symbol="UNITU", qty="-10", net_amount="0", activity_sub_type="USPLIT", group_id="g"),
        record("SPLIT", 2, symbol="UNIT", qty="10", net_amount="0", activity_sub_type="USPLIT", group_id="g"),
        record("SPLIT", 3, symbol="UNITW", qty="5", net_amount="0", activity_sub_type="USPLIT", group_id="g"),
    )
    assert (account.lots("UNIT"), account.lots("UNITW")) == ([(10, 100, "2025-01-03")], [(5, 0, "2025-01-03")])
    assert account.codes() == ["COST_UNKNOWN"]


def test_worthless_shares_leave_as_a_loss(account):
    account.hold("DUST", 7, 70)
    account.read(record("REORG", 1, symbol="DUST", qty="-7", net_amount="0", activity_sub_type="WRM"))
    assert (account.state.positions, account.state.realised, account.state.contributed) == ({}, -70, 10_070)


def test_two_renamings_of_one_day_differ_by_their_quantities(account):
    account.hold("KEEP", 40, 2000).hold("SELL", 60, 3000)
    account.read(
        record("NC", 1, symbol="KEEP", qty="-40"),
        record("NC", 2, symbol="SELL", qty="-60"),
        record("NC", 3, symbol="SELLN", qty="60"),
        record("NC", 4, symbol="KEEPN", qty="40"),
    )
    assert (account.lots("KEEPN"), account.lots("SELLN")) == (
        [(40, 2000, "2025-01-03")],
        [(60, 3000, "2025-01-03")],
    )


def test_a_renaming_in_two_readings_keeps_the_cost(account):
    account.hold("KEEP", 40, 2000)
    account.read(record("NC", 1, symbol="KEEP", qty="-40", net_amount="0"))
    assert account.shares() == {}
    account.read(record("NC", 2, symbol="KEEPN", qty="40", net_amount="0"))
    assert account.lots("KEEPN") == [(40, 2000, "2025-01-03")]


@pytest.mark.parametrize(
    ("words", "assigned"),
    [
        ({}, False),
        ({"description": "name change from {old}"}, True),
        ({"cusip": "{old}1"}, True),
    ],
)
def test_renamings_of_equal_quantities_are_not_guessed(account, words, assigned):
    account.hold("AAA", 5, 10).hold("BBB", 5, 20)
    of = lambda old: {name: text.format(old=old) for name, text in words.items()}  # noqa: E731
    account.read(
        record("NC", 1, symbol="AAA", qty="-5", **({} if "cusip" not in words else of("AAA"))),
        record("NC", 2, symbol="BBB", qty="-5", **({} if "cusip" not in words else of("BBB"))),
        record("NC", 3, symbol="BBBN", qty="5", **of("BBB")),
        record("NC", 4, symbol="AAAN", qty="5", **of("AAA")),
    )
    if assigned:
        assert (account.lots("AAAN")[0][1], account.lots("BBBN")[0][1]) == (10, 20)
    else:
        assert set(account.codes()) == {"AMBIGUOUS"}
        assert account.shares() == {"AAAN": 5, "BBBN": 5}


def test_a_new_cusip_of_the_same_symbol_changes_nothing(account):
    account.hold("AAPL", 10, 2000)
    account.read(record("NC", 1, symbol="AAPL", qty="-10"), record("NC", 2, symbol="AAPL", qty="10"))
    assert account.lots("AAPL") == [(10, 2000, "2025-01-03")]
