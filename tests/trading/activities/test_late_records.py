"""Records of a broker that come late, in parts, or in another order than what they tell; literal lots and amounts.

The setting of most: 100 AAPL cost 20,000 (200 each) before Monday 6 January 2025, the ex-date of a split 4 for 1.
"""

from decimal import Decimal
from itertools import permutations

import pytest

from quant_pipeline.trading.ledger.tables import trades_table

MONDAY, TUESDAY, WEDNESDAY = "2025-01-06", "2025-01-07", "2025-01-08"


def record(kind, number, day=MONDAY, **facts):
    return {"activity_type": kind, "id": f"{day.replace('-', '')}000000{number:03d}::r{number}", "date": day, **facts}


def fill(number, side, quantity, price, day=MONDAY, symbol="AAPL", **more):
    at = f"{day}T15:00:00Z"
    facts = {"type": "fill", "side": side, "qty": str(quantity), "price": str(price), "symbol": symbol}
    return record("FILL", number, day, transaction_time=at, order_id=f"o{number}", **facts, **more)


def split(number=1, day=MONDAY, gone="-100", come="400", **more):
    group = {"group_id": "g", "activity_sub_type": "FSPLIT", "symbol": "AAPL", "net_amount": "0"} | more
    return record("SPLIT", number, day, qty=gone, **group), record("SPLIT", number + 1, day, qty=come, **group)


@pytest.fixture
def held(account):
    return account.hold("AAPL", 100, 20_000)


OLD = (400, 20_000, "2025-01-03")


@pytest.mark.parametrize("day_of_record", [MONDAY, TUESDAY])
@pytest.mark.parametrize("bought", [MONDAY, TUESDAY])
def test_shares_bought_since_the_ex_date_are_not_split(held, day_of_record, bought):
    held.read(fill(9, "buy", 10, 50, bought))
    held.read(*split(day=day_of_record))
    assert held.lots("AAPL") == [OLD, (10, 500, bought)]
    assert (held.state.realised, held.codes()) == (0, [])


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_order_of_the_records_of_one_reading_changes_nothing(held, order):
    records = [*split(), fill(8, "buy", 10, 50), fill(9, "sell", 20, 55, TUESDAY)]
    held.read(*[records[place] for place in order])
    assert held.lots("AAPL") == [(380, 19_000, "2025-01-03"), (10, 500, MONDAY)]
    assert (held.state.realised, held.state.cash) == (100, 10_600)
    assert held.state.quarantine == {}


def test_shares_sold_since_the_ex_date_were_new_ones(held):
    held.read(fill(9, "sell", 20, 55))
    assert held.state.realised == -2_900  # As long as nothing tells of the split.
    held.read(*split())
    assert held.lots("AAPL") == [(380, 19_000, "2025-01-03")]
    assert (held.state.realised, held.state.cash) == (100, 11_100)


def test_a_trade_of_the_session_before_that_comes_after_the_split_is_split_too(held):
    held.read(*split(gone="-110", come="440"))
    held.read(fill(9, "buy", 10, 200, "2025-01-03"))
    assert held.lots("AAPL") == [(400, 20_000, "2025-01-03"), (40, 2_000, "2025-01-03")]


def test_a_dividend_in_shares_is_of_the_lots_held_at_its_open(held):
    held.read(fill(9, "buy", 50, 190))
    held.read(record("DIV", 1, symbol="AAPL", qty="5", net_amount="0", activity_sub_type="SDIV"))
    assert held.lots("AAPL") == [(105, 20_000, "2025-01-03"), (50, 9_500, MONDAY)]


def test_a_reverse_split_that_comes_late_leaves_what_was_bought_since(held):
    held.read(fill(9, "buy", 3, 2_000, TUESDAY))
    held.read(*split(gone="-100", come="10"))
    assert held.lots("AAPL") == [(10, 20_000, "2025-01-03"), (3, 6_000, TUESDAY)]


def test_a_split_of_shares_that_were_never_held_is_booked_and_named(held):
    held.read(*split(gone="-120", come="480"))
    assert held.state.positions["AAPL"].quantity == 460
    assert held.codes() == ["COST_UNKNOWN"]


def test_a_late_split_that_is_cancelled_leaves_all_lots_as_they_were(held):
    held.read(fill(9, "buy", 10, 50))
    gone, come = split()
    held.read(gone, come)
    held.read(record("SPLIT", 5, TUESDAY, symbol="AAPL", qty="400", status="canceled", previous_id=come["id"]))
    assert held.lots("AAPL") == [(100, 20_000, "2025-01-03"), (10, 500, MONDAY)]


def test_a_sale_between_the_halves_of_a_split_waits_and_books_no_loss(held):
    gone, come = split()
    held.read(gone)
    held.read(fill(9, "sell", 200, 55))
    assert (held.state.realised, held.state.cash, held.cash()) == (0, 10_000, 21_000)
    assert held.codes() == ["INCOMPLETE", "WAITS_FOR_CORPORATE_ACTION"]
    held.read(come)
    assert held.lots("AAPL") == [(200, 10_000, "2025-01-03")]
    assert (held.state.realised, held.state.cash, held.state.quarantine) == (1_000, 21_000, {})


def test_a_sale_that_waits_and_is_busted_never_happened(held):
    gone, come = split()
    sale = fill(9, "sell", 200, 55)
    held.read(gone, sale)
    held.read(fill(10, "sell", 200, 55) | {"type": "trade_bust", "previous_execution_id": "r9"})
    held.read(come)
    assert held.lots("AAPL") == [OLD]
    assert (held.state.realised, held.state.cash, held.state.quarantine) == (0, 10_000, {})


def test_a_sale_of_new_shares_before_any_record_of_the_split_is_no_short_sale(held):
    held.read(fill(9, "sell", 250, 55))
    assert held.state.foreign == {"AAPL": -150}
    held.read(*split())
    assert held.lots("AAPL") == [(150, 7_500, "2025-01-03")]
    assert (held.state.foreign, held.state.realised, held.state.cash) == ({}, 1_250, 23_750)
    assert trades_table(held.events)["quantity"].tolist() == [0, 250]
    held.read(fill(10, "sell", 250, 55) | {"type": "trade_bust", "previous_execution_id": "r9"})
    assert (held.lots("AAPL"), held.state.cash) == ([OLD], 10_000)


def test_a_short_position_is_split_as_one(account):
    account.read(fill(1, "sell", 10, 200, "2025-01-03"))
    account.read(*split(2, gone="10", come="-40"))
    assert (account.state.foreign, account.state.quarantine) == ({"AAPL": -40}, {})


def merger(number, symbol, quantity, day=MONDAY, **more):
    facts = {"symbol": symbol, "qty": str(quantity), "net_amount": "0", "activity_sub_type": "SMA", "group_id": "g"}
    return record("MA", number, day, **facts, **more)


@pytest.mark.parametrize("which", ["old", "new"])
def test_one_record_of_a_merger_is_corrected_and_the_merger_counts_as_it_is_now(account, which):
    account.hold("OLD", 100, 1_000)
    old, new = merger(1, "OLD", -100), merger(2, "NEW", 50)
    account.read(old, new)
    if which == "new":
        account.read(merger(3, "NEW", 60, TUESDAY, status="correct", previous_id=new["id"]))
        assert account.lots("NEW") == [(60, 1_000, "2025-01-03")]
    else:
        account.read(merger(3, "OLD", -90, TUESDAY, status="correct", previous_id=old["id"]))
        assert (account.lots("NEW"), account.lots("OLD")) == (
            [(50, 900, "2025-01-03")],
            [(10, 100, "2025-01-03")],
        )
    assert account.state.quarantine == {}


def test_both_records_of_a_merger_are_corrected_one_after_the_other(account):
    account.hold("OLD", 100, 1_000)
    old, new = merger(1, "OLD", -100), merger(2, "NEW", 50)
    account.read(old, new)
    account.read(
        merger(3, "NEW", 30, TUESDAY, status="correct", previous_id=new["id"]),
        merger(4, "OLD", -60, TUESDAY, status="correct", previous_id=old["id"]),
    )
    assert (account.lots("NEW"), account.lots("OLD")) == ([(30, 600, "2025-01-03")], [(40, 400, "2025-01-03")])
    assert account.state.quarantine == {}


@pytest.mark.parametrize("names", ["the original", "the correction"])
def test_a_corrected_record_of_a_merger_is_corrected_again_and_taken_back(account, names):
    account.hold("OLD", 100, 1_000)
    old, new = merger(1, "OLD", -100), merger(2, "NEW", 50)
    first = merger(3, "NEW", 60, TUESDAY, status="correct", previous_id=new["id"])
    account.read(old, new)
    account.read(first)
    named = new["id"] if names == "the original" else first["id"]
    second = merger(4, "NEW", 70, WEDNESDAY, status="correct", previous_id=named)
    account.read(second)
    assert account.lots("NEW") == [(70, 1_000, "2025-01-03")]
    account.read(merger(5, "OLD", -100, WEDNESDAY, status="canceled", previous_id=old["id"]))
    assert (account.lots("OLD"), "NEW" in account.state.positions) == ([(100, 1_000, "2025-01-03")], False)
    assert account.state.quarantine == {}


def test_a_merger_whose_one_record_is_cancelled_and_reported_anew_counts_once(account):
    account.hold("OLD", 100, 1_000)
    old, new = merger(1, "OLD", -100), merger(2, "NEW", 50)
    account.read(old, new)
    account.read(merger(3, "NEW", 50, TUESDAY, status="canceled", previous_id=new["id"]))
    assert account.lots("OLD") == [(100, 1_000, "2025-01-03")]
    account.read(merger(4, "NEW", 55, TUESDAY))
    assert (account.lots("NEW"), account.state.quarantine) == ([(55, 1_000, "2025-01-03")], {})


def test_a_part_that_is_corrected_before_its_other_part_comes_is_booked_as_corrected(account):
    account.hold("OLD", 100, 1_000)
    old = merger(1, "OLD", -90)
    account.read(old)
    account.read(merger(2, "OLD", -100, status="correct", previous_id=old["id"]))
    account.read(merger(3, "NEW", 50))
    assert (account.lots("NEW"), account.state.quarantine) == ([(50, 1_000, "2025-01-03")], {})
    assert "OLD" not in account.state.positions


def test_a_split_with_a_purchase_since_is_corrected_for_the_old_lots_only(held):
    gone, come = split()
    held.read(gone, come)
    held.read(fill(9, "buy", 10, 50))
    held.read(record("SPLIT", 5, TUESDAY, symbol="AAPL", qty="500", status="correct", previous_id=come["id"]))
    assert held.lots("AAPL") == [(500, 20_000, "2025-01-03"), (10, 500, MONDAY)]
    assert held.state.quarantine == {}


@pytest.mark.parametrize("in_one_reading", [True, False])
@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("DIV", {"symbol": "AAPL", "net_amount": "24"}),
        ("CSD", {"net_amount": "500"}),
        ("FEE", {"net_amount": "-1.50"}),
        ("DIVROC", {"symbol": "AAPL", "net_amount": "30"}),
        ("SPIN", {"symbol": "KID", "qty": "5", "net_amount": "0"}),
        ("OPEXP", {"symbol": "AAPL250117C00200000", "qty": "-1", "net_amount": "0"}),
    ],
)
def test_a_record_that_its_broker_marks_as_cancelled_under_its_own_id_never_happened(held, kind, facts, in_one_reading):
    first = record(kind, 1, **facts)
    readings = (
        [[first, first | {"status": "canceled"}]] if in_one_reading else [[first], [first | {"status": "canceled"}]]
    )
    for reading in readings:
        held.read(*reading)
    assert (held.state.cash, held.lots("AAPL")) == (10_000, [(100, 20_000, "2025-01-03")])
    assert ({*held.state.positions}, held.state.foreign, held.state.quarantine) == ({"AAPL"}, {}, {})


def test_a_record_that_its_broker_corrects_under_its_own_id_counts_as_it_says_last(held):
    first = record("DIV", 1, symbol="AAPL", net_amount="24")
    held.read(first)
    held.read(first | {"status": "correct", "net_amount": "20"})
    held.read(first | {"status": "correct", "net_amount": "21"})
    assert (held.state.cash, held.state.dividends, held.state.quarantine) == (10_021, 21, {})


def test_a_split_whose_halves_become_cancelled_under_their_own_ids_never_happened(held):
    gone, come = split()
    held.read(gone, come)
    held.read(gone | {"status": "canceled"}, come | {"status": "canceled"})
    assert (held.lots("AAPL"), held.state.quarantine) == ([(100, 20_000, "2025-01-03")], {})


def test_a_trade_that_becomes_a_bust_under_its_own_id_never_happened(held):
    trade = fill(1, "buy", 10, 50)
    held.read(trade)
    held.read(trade | {"type": "trade_bust"})
    assert (held.lots("AAPL"), held.state.cash) == ([(100, 20_000, "2025-01-03")], 10_000)


def test_a_row_in_quarantine_that_becomes_cancelled_is_answered(held):
    row = record("WORMHOLE", 1, symbol="AAPL", qty="3")
    held.read(row)
    assert len(held.state.quarantine) == 1
    dividend = record("DIV", 2, symbol="AAPL", net_amount="x")
    held.read(dividend)
    held.read(record("DIV", 3, symbol="AAPL", net_amount="24", status="correct", previous_id=dividend["id"]))
    assert ([*held.state.quarantine], held.state.cash) == ([f"quarantine:{row['id']}"], 10_024)


@pytest.mark.parametrize("amount", ["twelve", "NaN", None])
def test_a_record_without_any_date_waits_in_quarantine_and_stops_no_other(held, amount):
    nameless = {"activity_type": "DIV", "id": "x-1::r", "symbol": "AAPL", "net_amount": amount}
    held.read(nameless, record("DIV", 2, symbol="AAPL", net_amount="24"))
    assert (held.state.cash, [*held.state.quarantine]) == (10_024, ["quarantine:x-1::r"])
    assert held.state.quarantine["quarantine:x-1::r"].payload["date"] == "an unknown date"


def test_a_readable_record_without_any_date_waits_too(held):
    held.read({"activity_type": "DIV", "id": "x-1::r", "symbol": "AAPL", "net_amount": "5"})
    assert (held.cash(), held.state.cash, len(held.state.quarantine)) == (Decimal(10_005), 10_000, 1)
