"""Alpaca's types of records in the shapes that its documentation shows, booked with literal results."""

from decimal import Decimal

import pytest

from quant_pipeline.testing.fake_alpaca import FakeExchange, bookings
from quant_pipeline.trading.activities.activity_types import ACTIVITY_TYPES, meaning_of
from quant_pipeline.trading.activities.alpaca import instrument_of, read_activity
from quant_pipeline.trading.broker_records import CashKind, PositionKind, UnknownActivity
from quant_pipeline.trading.brokers.alpaca.records import read_position
from tests.helpers.alpaca_activities import record

# Schema ActivityType of 6 November 2026, with the names that alpaca-py has and those of the changelog.
DOCUMENTED = (
    "FILL TRANS MISC ACATC ACATS CFEE CIL CSD CSW CSR DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVROC DIVTW DIVTXEX DIVWH "
    "FEE FXTRD FXCNV INT INTNRA INTPNL INTTW JNL JNLC JNLS MA MEM NC OPASN OPEXP OPEXC OPTRD OPCSH OPCA OCT PTC PTR "
    "REORG SC SPIN SPLIT SSO SSP SUB SWP VOF WH DTCS CORR SEG DVF EXTRD INVPNL FIMAT ALLOC ECEXP TRD"
)


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
