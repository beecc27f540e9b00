"""Inputs of an attack: records out of order, in parts, amended, at night; their results were written before they ran.

Each case: what is held before (instrument, shares, cost), the readings, and what is held after: lots, cash, realised
profit. Nothing is left in quarantine unless the case says so.
"""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipeline.trading.ledger.account import fold

SUNDAY, MONDAY, TUESDAY, WEDNESDAY = "2025-01-05", "2025-01-06", "2025-01-07", "2025-01-08"
FRIDAY = "2025-01-03"


def record(kind, number, day=MONDAY, **facts):
    return {"activity_type": kind, "id": f"{day.replace('-', '')}000000{number:03d}::r{number}", "date": day, **facts}


def fill(number, side, symbol, quantity, price, day=MONDAY, time="15:00:00", **more):
    facts = {"type": "fill", "side": side, "qty": str(quantity), "price": str(price), "symbol": symbol}
    at = f"{day}T{time}Z"
    return record("FILL", number, day, **{"transaction_time": at, "order_id": f"o{number}", **facts, **more})


def moved(kind, number, symbol, quantity, day=MONDAY, net="0", **more):
    return record(kind, number, day, symbol=symbol, qty=str(quantity), net_amount=net, **more)


def split(number, gone, come, day=MONDAY, **more):
    return [
        moved("SPLIT", number + n, "AAPL", q, day, group_id=f"g{number}", **more) for n, q in enumerate((gone, come))
    ]


def renamed(kind, number, gone, come, **more):
    olds = moved(kind, number, "OLD", gone, group_id="g", **more)
    return [olds, moved(kind, number + 1, "NEW", come, group_id="g", **more)]


def bust(number, of, **more):
    return (
        of
        | {"id": f"20250108000000{number:03d}::r{number}", "type": "trade_bust", "previous_execution_id": _tail(of)}
        | more
    )


def _tail(of):
    return of["id"].partition("::")[2]


def taken_back(number, of, **more):
    name = f"20250108000000{number:03d}::r{number}"
    return of | {"id": name, "status": "canceled", "previous_id": of["id"]} | more


DIVIDEND = record("DIV", 50, symbol="AAPL", net_amount="24")
BOUGHT = fill(9, "buy", "AAPL", 10, 50)
SPLIT = split(1, -100, 400)
AAPL, OLD = ("AAPL", 100, 20_000), ("OLD", 100, 1_000)
WHOLE = {"AAPL": [(100, 20_000, FRIDAY)]}
CASES = {
    "a purchase between the halves of a split": (
        AAPL,
        [[SPLIT[0]], [BOUGHT], [SPLIT[1]]],
        {"AAPL": [(400, 20_000, FRIDAY), (10, 500, MONDAY)]},
        9_500,
        0,
    ),
    "the new half first, and a sale between": (
        AAPL,
        [[SPLIT[1]], [fill(9, "sell", "AAPL", 50, 55)], [SPLIT[0]]],
        {"AAPL": [(350, 17_500, FRIDAY)]},
        12_750,
        250,
    ),
    "two splits reported newest first": (
        AAPL,
        [split(5, -400, 800, TUESDAY), SPLIT],
        {"AAPL": [(800, 20_000, FRIDAY)]},
        10_000,
        0,
    ),
    "a purchase under the new name before the renaming is reported": (
        OLD,
        [[fill(9, "buy", "NEW", 10, 12)], renamed("NC", 1, -100, 100)],
        {"NEW": [(100, 1_000, FRIDAY), (10, 120, MONDAY)]},
        9_880,
        0,
    ),
    "a sale under the new name before the renaming is reported": (
        OLD,
        [[fill(9, "sell", "NEW", 40, 12)], renamed("NC", 1, -100, 100)],
        {"NEW": [(60, 600, FRIDAY)]},
        10_480,
        80,
    ),
    "a sale of shares of a merger before it is reported": (
        OLD,
        [[fill(9, "sell", "NEW", 20, 30)], renamed("MA", 1, -100, 50, activity_sub_type="SMA")],
        {"NEW": [(30, 600, FRIDAY)]},
        10_600,
        200,
    ),
    "a cancellation that stands before its record": (
        AAPL,
        [[taken_back(51, DIVIDEND), DIVIDEND]],
        WHOLE,
        10_000,
        0,
    ),
    "a cancellation that is reported before its record": (
        AAPL,
        [[taken_back(51, DIVIDEND)], [DIVIDEND]],
        WHOLE,
        10_000,
        0,
    ),
    "a correction that is reported before its record": (
        AAPL,
        [[taken_back(51, DIVIDEND, status="correct", net_amount="20")], [DIVIDEND]],
        WHOLE,
        10_020,
        0,
    ),
    "a bust that stands before its trade": (AAPL, [[bust(52, BOUGHT), BOUGHT]], WHOLE, 10_000, 0),
    "a bust that is reported before its trade": (AAPL, [[bust(52, BOUGHT)], [BOUGHT]], WHOLE, 10_000, 0),
    "a split whose cancellation is reported first": (
        AAPL,
        [[taken_back(53, SPLIT[0]), taken_back(54, SPLIT[1])], SPLIT],
        WHOLE,
        10_000,
        0,
    ),
    "a trade of the night before a split is one of new shares": (
        AAPL,
        [[fill(9, "buy", "AAPL", 10, 50, TUESDAY, "01:30:00")], split(1, -100, 400, TUESDAY)],
        {"AAPL": [(400, 20_000, FRIDAY), (10, 500, TUESDAY)]},
        9_500,
        0,
    ),
    "a trade of Sunday night belongs to Monday": (
        AAPL,
        [[fill(9, "buy", "AAPL", 10, 50, MONDAY, "01:30:00"), *SPLIT]],
        {"AAPL": [(400, 20_000, FRIDAY), (10, 500, MONDAY)]},
        9_500,
        0,
    ),
    "an instant with the offset of New York": (
        AAPL,
        [[fill(9, "buy", "AAPL", 10, 50, transaction_time="2025-01-06T15:59:59.999999-05:00")]],
        {"AAPL": [(100, 20_000, FRIDAY), (10, 500, MONDAY)]},
        9_500,
        0,
    ),
    "a dividend without a symbol": (AAPL, [[record("DIV", 1, net_amount="5")]], WHOLE, 10_005, 0),
    "a spin-off that is corrected": (
        AAPL,
        [
            [moved("SPIN", 1, "KID", 5)],
            [moved("SPIN", 2, "KID", 6, TUESDAY, status="correct", previous_id="20250106000000001::r1")],
        ],
        WHOLE | {"KID": [(6, 0, TUESDAY)]},
        10_000,
        0,
    ),
    "shares that were worthless are not after all, and are sold": (
        OLD,
        [
            [moved("WRM", 1, "OLD", -100)],
            [taken_back(2, moved("WRM", 1, "OLD", -100))],
            [fill(9, "sell", "OLD", 100, 3, WEDNESDAY)],
        ],
        {},
        10_300,
        -700,
    ),
    "two tenders of one offer": (
        OLD,
        [
            [moved("VOF", 1, "OLD", -30, net="900", ca_id="c")],
            [moved("VOF", 2, "OLD", -20, TUESDAY, net="600", ca_id="c")],
        ],
        {"OLD": [(50, 500, FRIDAY)]},
        11_500,
        1_000,
    ),
    "a fraction that is paid in a later reading": (
        ("AAPL", 25, 100),
        [
            split(1, -25, "2.5", activity_sub_type="RSPLIT"),
            [moved("CIL", 3, "AAPL", "-0.5", TUESDAY, net="9.75")],
        ],
        {"AAPL": [(2, 80, FRIDAY)]},
        Decimal("10009.75"),
        Decimal("-10.25"),
    ),
    "two corrections that both name the original": (
        AAPL,
        [
            [record("INT", 1, net_amount="5")],
            [record("INT", 2, TUESDAY, net_amount="4", status="correct", previous_id="20250106000000001::r1")],
            [record("INT", 3, TUESDAY, net_amount="3", status="correct", previous_id="20250106000000001::r1")],
        ],
        WHOLE,
        10_003,
        0,
    ),
    "a cancellation that is taken back by a correction": (
        AAPL,
        [
            [DIVIDEND],
            [taken_back(51, DIVIDEND)],
            [DIVIDEND | {"id": "20250109000000001::z", "status": "correct", "previous_id": "20250108000000051::r51"}],
        ],
        WHOLE,
        10_024,
        0,
    ),
    "a correction of a trade to another instrument": (
        AAPL,
        [[BOUGHT], [bust(52, BOUGHT, type="trade_correct", symbol="MSFT")]],
        WHOLE | {"MSFT": [(10, 500, MONDAY)]},
        9_500,
        0,
    ),
    "a correction of a trade to the other side": (
        AAPL,
        [[BOUGHT], [bust(52, BOUGHT, type="trade_correct", side="sell", price="210")]],
        {"AAPL": [(90, 18_000, FRIDAY)]},
        12_100,
        100,
    ),
    "a deposit that is cancelled with the opposite sign": (
        AAPL,
        [[record("CSD", 1, net_amount="500")], [taken_back(2, record("CSD", 1, net_amount="-500"))]],
        WHOLE,
        10_000,
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_records_count_as_what_happened(account, name):
    held, readings, lots, cash, realised = CASES[name]
    account.hold(*held)
    for reading in readings:
        account.read(*reading)
    assert {instrument: account.lots(instrument) for instrument in account.state.positions} == lots
    assert (account.state.cash, account.state.realised) == (cash, realised)
    assert (account.state.quarantine, account.state.foreign) == ({}, {})


def test_a_half_without_its_symbol_waits_with_the_other_and_changes_nothing(account):
    account.hold(*AAPL)
    account.read(SPLIT[0], SPLIT[1] | {"symbol": None})
    assert (account.lots("AAPL"), len(account.state.quarantine)) == (WHOLE["AAPL"], 2)


MERGED = renamed("MA", 40, -50, 25, activity_sub_type="SMA")
SOLD = fill(21, "sell", "AAPL", 30, 55, TUESDAY)
RECORDS = [*SPLIT, fill(20, "buy", "AAPL", 10, 50), SOLD, DIVIDEND, record("CSD", 31, net_amount="500"), *MERGED]
AMENDMENTS = [
    bust(60, RECORDS[2]),
    bust(61, SOLD, type="trade_correct", qty="20"),
    taken_back(62, DIVIDEND),
    taken_back(63, RECORDS[5], status="correct", net_amount="400"),
    taken_back(64, MERGED[1], status="correct", qty="30"),
    taken_back(65, SPLIT[1], status="correct", qty="500"),
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.sampled_from(range(len(AMENDMENTS))), max_size=3), st.randoms(use_true_random=False))
def test_neither_order_nor_readings_of_the_records_change_the_books(new_account, amended, random):
    """What is read in one go and in order is what comes of any order, read in any parts, some of them again."""
    records = [*RECORDS, *(AMENDMENTS[place] for place in sorted(amended))]
    whole = new_account().hold(*AAPL).hold("OLD", 50, 1_000).read(*records)
    account = new_account().hold(*AAPL).hold("OLD", 50, 1_000)
    shuffled = random.sample(records, len(records))
    read = 0
    while read < len(shuffled):
        upto = random.randint(read + 1, len(shuffled))
        account.read(*shuffled[0 if random.random() < 0.3 else read : upto])
        read = upto
    assert account.state.quarantine == whole.state.quarantine == {}
    assert (account.state.cash, account.state.realised) == (whole.state.cash, whole.state.realised)
    assert {name: account.lots(name) for name in account.state.positions} == {
        name: whole.lots(name) for name in whole.state.positions
    }
    stored = [replace(event, payload=json.loads(event.content)) for event in account.events]
    assert fold(stored).positions == account.state.positions


@pytest.mark.parametrize("group", [{"group_id": "g"}, {}])
def test_cash_for_a_fraction_that_stands_before_its_reverse_split_is_of_the_new_shares(account, group):
    # 25 shares cost 100, so a new one costs 40 and half of it 20; the half brings 19.50.
    account.hold("AAPL", 25, 100)
    account.read(
        record("CIL", 1, symbol="AAPL", qty="-0.5", net_amount="19.50", **group),
        record("SPLIT", 2, symbol="AAPL", qty="2.5", activity_sub_type="RSPLIT", **group),
        record("SPLIT", 3, symbol="AAPL", qty="-25", activity_sub_type="RSPLIT", **group),
    )
    assert account.lots("AAPL") == [(2, 80, "2025-01-03")]
    assert (account.state.cash, account.state.realised) == (Decimal("10019.50"), Decimal("-0.50"))


def test_a_split_that_stands_before_the_renaming_that_brings_its_shares_is_booked(account):
    account.hold("OLD", 10, 1000)
    account.read(
        record("SPLIT", 1, symbol="NEW", qty="-10"),
        record("SPLIT", 2, symbol="NEW", qty="20"),
        record("NC", 3, symbol="OLD", qty="-10"),
        record("NC", 4, symbol="NEW", qty="10"),
    )
    assert (account.lots("NEW"), account.codes()) == ([(20, 1000, "2025-01-03")], [])
