"""Alpaca's records in the shapes that its documentation shows, booked with literal results."""

from decimal import Decimal

import pytest

from quant_pipeline.testing.fake_alpaca import FakeExchange, bookings
from quant_pipeline.trading.activities.activity_types import ACTIVITY_TYPES, meaning_of
from quant_pipeline.trading.activities.alpaca import instrument_of, read_activity
from quant_pipeline.trading.broker_records import CashKind, PositionKind, UnknownActivity
from quant_pipeline.trading.brokers.alpaca.records import read_position

# Schema ActivityType of 6 November 2026, with the names that alpaca-py has and those of the changelog.
DOCUMENTED = (
    "FILL TRANS MISC ACATC ACATS CFEE CIL CSD CSW CSR DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVROC DIVTW DIVTXEX DIVWH "
    "FEE FXTRD FXCNV INT INTNRA INTPNL INTTW JNL JNLC JNLS MA MEM NC OPASN OPEXP OPEXC OPTRD OPCSH OPCA OCT PTC PTR "
    "REORG SC SPIN SPLIT SSO SSP SUB SWP VOF WH DTCS CORR SEG DVF EXTRD INVPNL FIMAT ALLOC ECEXP TRD"
)


def record(kind, number, day="2025-01-06", **facts):
    return {"activity_type": kind, "id": f"{day.replace('-', '')}000000{number:03d}::r{number}", "date": day, **facts}


def test_every_documented_type_has_a_meaning():
    assert [name for name in DOCUMENTED.split() if name not in ACTIVITY_TYPES] == []


@pytest.mark.parametrize(
    ("kind", "sub_type", "meaning"),
    [
        ("DIV", "CDIV", CashKind.DIVIDEND),
        ("DIV", "SDIV", PositionKind.STOCK_DIVIDEND),
        ("DIV", "ROC", CashKind.RETURN_OF_CAPITAL),
        ("DIVROC", "", CashKind.RETURN_OF_CAPITAL),
        ("DIVFEE", "", CashKind.FEE),
        ("INTNRA", "", CashKind.TAX),
        ("INTTW", "", CashKind.TAX),
        ("SPLIT", "RSPLIT", PositionKind.SPLIT),
        ("SPLIT", "USPLIT", PositionKind.UNIT_SPLIT),
        ("REORG", "WRM", PositionKind.REMOVAL),
        ("WORMHOLE", "", None),
    ],
)
def test_the_sub_type_decides_where_it_changes_the_meaning(kind, sub_type, meaning):
    assert meaning_of(kind, sub_type) is meaning


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


def test_nanoseconds_of_an_execution_are_read(account):
    facts = {"qty": "2", "price": "10", "side": "buy", "symbol": "AAPL", "order_id": "o", "type": "fill"}
    row = record("FILL", 1, transaction_time="2025-01-06T14:30:01.123456789Z", **facts)
    fill = read_activity(row)
    assert (fill.occurred_at.nanosecond, fill.occurred_at.microsecond) == (789, 123456)
    account.read(row)
    assert account.lots("AAPL") == [(2, 20, "2025-01-06")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"side": "BUY"},
        {"side": None},
        {"qty": "-1"},
        {"qty": "NaN"},
        {"qty": None},
        {"price": "Infinity"},
        {"price": ""},
        {"price": "0"},
        {"transaction_time": None},
        {"transaction_time": "yesterday"},
        {"order_id": None},
        {"type": "restated"},
        {"qty": "1e400"},
        {"side": 1},
    ],
)
def test_a_fill_that_cannot_be_read_is_no_trade(account, wrong):
    facts = {"qty": "2", "price": "10", "side": "buy", "symbol": "AAPL", "order_id": "o", "type": "fill"}
    good = record("FILL", 2, transaction_time="2025-01-06T14:30:01Z", **facts)
    bad = {**good, "id": "20250106000000001::bad", **wrong}
    assert isinstance(read_activity(bad), UnknownActivity)
    account.read(bad, good)
    assert account.lots("AAPL") == [(2, 20, "2025-01-06")]
    assert account.codes() == ["UNREADABLE_ACTIVITY"]


@pytest.mark.parametrize(
    "wrong",
    [{"status": "pending_review"}, {"net_amount": "1,000.00"}, {"net_amount": True}, {"net_amount": ["2"]},
     {"net_amount": None}, {"date": "2025-13-45"}],
)  # fmt: skip
def test_a_dividend_that_cannot_be_read_waits_and_the_one_after_it_is_booked(account, wrong):
    good = record("DIV", 2, symbol="AAPL", net_amount="2.5")
    account.read({**good, "id": "20250106000000001::bad", **wrong}, good)
    assert (account.state.dividends, account.codes()) == (Decimal("2.5"), ["UNREADABLE_ACTIVITY"])


def test_options_move_cash_by_their_multiplier_and_are_carried(account):
    name = "AAPL250117C00190000"
    facts = {"side": "buy", "symbol": name, "order_id": "o", "type": "fill"}
    account.read(record("FILL", 1, qty="2", price="2.50", transaction_time="2025-01-06T15:00:00Z", **facts))
    assert (account.state.cash, account.state.foreign, account.state.positions) == (9500, {name: 2}, {})
    account.read(
        record("OPEXC", 2, symbol=name, qty="-2", net_amount="0"),
        record("OPTRD", 3, symbol="AAPL", qty="200", price="190", net_amount="-38000"),
    )
    assert (account.state.foreign, account.lots("AAPL"), account.state.cash) == (
        {},
        [(200, 38_000, "2025-01-06")],
        -28_500,
    )


def test_coins_are_carried_and_never_traded(account):
    facts = {"side": "buy", "symbol": "BTC/USD", "order_id": "o", "type": "fill", "price": "20000"}
    account.read(record("FILL", 1, qty="0.01", transaction_time="2025-01-06T15:00:00Z", **facts))
    account.read(record("CFEE", 2, symbol="BTC/USD", net_amount="-0.50"))
    assert (account.state.cash, account.state.foreign) == (Decimal("9799.50"), {"BTC/USD": Decimal("0.01")})


def test_fees_in_coins_are_taken_from_the_coins_under_either_spelling(account):
    facts = {"side": "buy", "order_id": "o", "type": "fill", "price": "20000"}
    at = "2025-01-06T15:00:00Z"
    account.read(record("FILL", 1, symbol="BTC/USD", qty="0.01", transaction_time=at, **facts))
    account.read(record("CFEE", 2, symbol="BTCUSD", qty="-0.000025", price="20000", net_amount="0"))
    account.read(record("FILL", 3, symbol="ETHUSD", qty="2", transaction_time=at, **facts | {"price": "1000"}))
    account.read(record("CFEE", 4, symbol="ETHUSD", qty="-0.005", price="1000"))
    held = {"BTC/USD": Decimal("0.009975"), "ETH/USD": Decimal("1.995")}
    assert (account.state.cash, account.state.foreign, account.state.positions) == (7800, held, {})


def test_coins_have_one_name_in_fills_and_positions_and_shares_keep_theirs(exchange_of_coins):
    (coins,) = (read_position(row) for row in exchange_of_coins)
    assert (exchange_of_coins[0]["symbol"], coins.instrument, coins.is_foreign) == ("BTCUSD", "BTC/USD", True)
    assert [instrument_of(name) for name in ("AUSD", "USD", "BRK.B", "USDTUSD", "LINKUSDT")] == [
        "AUSD",
        "USD",
        "BRK.B",
        "USDT/USD",
        "LINK/USDT",
    ]
    assert instrument_of("BTCUSD", "us_equity") == "BTCUSD"


@pytest.fixture
def exchange_of_coins():
    exchange = FakeExchange(cash=5000, prices={"AAA": "10"}, auto_fill=False)
    exchange.hours.set("2025-01-06 15:00")
    bookings.trade_by_hand(exchange, "buy", "BTC/USD", 1, "100")
    return [held.as_json(name, Decimal(100), Decimal(0)) for name, held in exchange.positions.items()]


def test_a_short_sale_by_hand_is_carried_until_it_is_bought_back(account):
    account.hold("OUT", 4, 8)
    fill = {"symbol": "OUT", "type": "fill", "transaction_time": "2025-01-06T15:00:00Z"}
    account.read(record("FILL", 1, qty="10", price="5", side="sell_short", order_id="a", **fill))
    assert (account.state.positions, account.state.foreign) == ({}, {"OUT": -6})
    assert (account.state.realised, account.state.other, account.state.cash) == (12, 30, 10_050)
    account.read(record("FILL", 2, qty="8", price="4", side="buy", order_id="b", **fill))
    assert (account.state.foreign, account.lots("OUT")) == ({}, [(2, 8, "2025-01-06")])
    assert (account.state.other, account.state.cash) == (6, 10_018)


def test_shares_that_are_transferred_in_cost_what_the_broker_states(account):
    account.read(
        record("ACATS", 1, symbol="KO", qty="20", price="55.5", net_amount="0"),
        record("JNLS", 2, symbol="PEP", qty="1", net_amount="0"),
    )
    assert (account.lots("KO"), account.lots("PEP")) == ([(20, 1110, "2025-01-06")], [(1, 0, "2025-01-06")])
    assert account.codes() == ["COST_UNKNOWN"]


@pytest.mark.parametrize(
    "row",
    [
        {"activity_type": "SPLIT", "symbol": "NONE", "qty": "-10"},
        {"activity_type": "REORG", "activity_sub_type": "WRM", "symbol": "NONE", "qty": "-10", "net_amount": "0"},
        {"activity_type": "ACATS", "symbol": "NONE", "qty": "-10", "net_amount": "0"},
        {"activity_type": "CORR", "symbol": "NONE", "qty": "3", "net_amount": "-6"},
        {"activity_type": "WORMHOLE", "symbol": "NONE", "qty": "3"},
        {"activity_type": "DIV", "symbol": "NONE", "net_amount": "NaN"},
    ],
)
def test_one_record_that_cannot_be_booked_stops_no_other(account, row):
    account.read(
        record("DIV", 1, symbol="AAPL", net_amount="1"),
        record(row["activity_type"], 2, **{n: v for n, v in row.items() if n != "activity_type"}),
        record("DIV", 3, symbol="AAPL", net_amount="2"),
    )
    assert account.state.dividends == 3
    assert len(account.state.quarantine) == 1
    (stored,) = account.state.quarantine.values()
    assert stored.payload["record"]["activity_type"] == row["activity_type"]


@pytest.mark.parametrize("kind", ["DIVFEE", "INTNRA", "INTTW", "CORR", "SEG", "SUB", "OPCSH", "CSR", "WORMHOLE"])
def test_every_type_with_a_net_amount_moves_the_cash(account, kind):
    account.read(record(kind, 1, net_amount="-1.25"))
    assert (account.state.cash, account.state.quarantine) == (Decimal("9998.75"), {})
    assert account.codes() == (["UNKNOWN_ACTIVITY"] if kind == "WORMHOLE" else [])


def test_a_memo_changes_nothing(account):
    account.read(record("MEM", 1, symbol="AAPL", qty="3", net_amount="5"))
    assert (account.cash(), account.shares(), account.codes()) == (10_000, {}, [])
