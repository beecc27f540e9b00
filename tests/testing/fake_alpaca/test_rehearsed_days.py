"""Days that go by at the fake, and what is booked by its control endpoint, as a client of Alpaca sees them."""

import json
import urllib.error
import urllib.request
from decimal import Decimal

import pandas as pd
import pytest
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient

from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, ExchangeHours, FakeAlpaca, FakeExchange, MarketTape

DAYS = pd.to_datetime(["2025-03-03", "2025-03-04", "2025-03-05"])


@pytest.fixture
def fake():
    """AAA pays 0.255 a share and is split 3:2 on 4 March; it closes at 30, then at 21 and 22."""
    bars = pd.DataFrame({"date": DAYS, "instrument": "AAA", "open": [29.0, 20.0, 21.5], "high": 40.0, "low": 1.0,
                         "close": [30.0, 21.0, 22.0], "volume": 1e6})  # fmt: skip
    actions = pd.DataFrame({"date": DAYS[1], "instrument": "AAA", "kind": ["cash_dividend", "split"],
                            "value": [0.255, 1.5]})  # fmt: skip
    tape = MarketTape(bars, actions)
    exchange = FakeExchange(1_000, always_open=False, hours=ExchangeHours("2025-03-03 15:00"))
    exchange.take_prices(tape.prices_at)
    with FakeAlpaca(exchange, tape) as server:
        yield server


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture
def client(fake):
    client = TradingClient(API_KEY, SECRET_KEY, url_override=fake.url, raw_data=True)
    order = {"symbol": "AAA", "qty": "11", "side": "buy", "type": "market", "time_in_force": "day"}
    client.post("/orders", order | {"client_order_id": "one"})
    return client


def account(client):
    facts = client.get_account()
    return facts["cash"], facts["equity"], facts["last_equity"]


def test_the_splits_and_dividends_of_the_tape_reach_what_is_held(fake, client):
    assert account(client) == ("681", "1000", "1000")
    post(f"{fake.url}/control/clock", {"now": "2025-03-04T15:00"})
    # 11 shares pay 2.805, then they are 16 and half a share, which is paid at the opening price before it is known.
    (held,) = client.get_all_positions()
    assert held["qty"] == "16"
    booked = [(row["activity_type"], row.get("qty"), row.get("net_amount")) for row in fake.exchange.feed.records]
    assert booked[1:] == [
        ("DIV", None, "2.81"), ("SPLIT", "-11", "0"), ("SPLIT", "16", "0"), ("CIL", None, "10"),
    ]  # fmt: skip
    assert {row["date"] for row in fake.exchange.feed.records[1:]} == {"2025-03-04"}
    assert account(client)[2] == "1011", "11 shares at the close of 30, before the split"


def test_the_equity_of_the_last_close_stays_what_it_was(fake, client):
    post(f"{fake.url}/control/clock", {"now": "2025-03-03T21:05"})
    assert account(client) == ("681", "1011", "1000"), "the close of today is not yet the last one"
    post(f"{fake.url}/control/bookings", {"book": "deposit", "amount": 500})
    post(f"{fake.url}/control/clock", {"now": "2025-03-04T09:00"})
    assert account(client) == ("1181", "1511", "1011"), "money that came later is no part of it"
    post(f"{fake.url}/control/clock", {"now": "2025-03-05T14:00"})
    assert account(client)[2] == "1529.81", "16 shares at 21, and 1193.81 in cash"


def test_bars_end_with_the_last_session_that_has_closed(fake):
    data = StockHistoricalDataClient(API_KEY, SECRET_KEY, raw_data=True, url_override=fake.url)
    wanted = StockBarsRequest(symbol_or_symbols="AAA", timeframe=TimeFrame.Day, start=DAYS[0], end=DAYS[2])
    with pytest.raises(KeyError):
        # The session of the clock is open, and none has closed yet: Alpaca answers with no bars.
        data.get_stock_bars(wanted)["AAA"]
    post(f"{fake.url}/control/clock", {"now": "2025-03-04T21:05"})
    assert [bar["c"] for bar in data.get_stock_bars(wanted)["AAA"]] == [30.0, 21.0]


def test_an_order_left_over_night_executes_at_the_open_and_ends_at_the_close(fake, client):
    post(f"{fake.url}/control/clock", {"now": "2025-03-04T22:00"})
    order = {"symbol": "AAA", "qty": "1", "side": "sell", "type": "limit", "time_in_force": "day"}
    client.post("/orders", order | {"client_order_id": "sold", "limit_price": "21.5"})
    client.post("/orders", order | {"client_order_id": "too dear", "limit_price": "50"})
    post(f"{fake.url}/control/clock", {"now": "2025-03-05T21:05"})
    assert client.get_order_by_client_id("sold")["filled_avg_price"] == "21.5"
    assert client.get_order_by_client_id("too dear")["status"] == "expired"


BOOKED = {
    "dividend": ({"symbol": "AAA", "rate": 0.1}, "682.1", "11"),
    "interest": ({"book": "cash", "kind": "INT", "amount": "1.23"}, "682.23", "11"),
    "fee": ({"book": "cash", "kind": "FEE", "amount": -0.07}, "680.93", "11"),
    "withdrawal": ({"amount": 81}, "600", "11"),
    "dividend_in_shares": ({"symbol": "AAA", "rate": "0.1"}, "681", "12.1"),
    "return_of_capital": ({"symbol": "AAA", "amount": 5}, "686", "11"),
    "split": ({"symbol": "AAA", "ratio": 10}, "681", "110"),
    "merger_for_cash": ({"symbol": "AAA", "price": 31}, "1022", None),
    "worthless": ({"symbol": "AAA"}, "681", None),
    "transfer": ({"symbol": "AAA", "quantity": 4, "price": 20}, "681", "15"),
    "trade_by_hand": ({"side": "sell", "symbol": "AAA", "quantity": 1, "price": 30}, "711", "10"),
    "late_fill": ({"client_order_id": "one", "quantity": 2, "price": 30}, "621", "13"),
    "bust": ({"fill": "last"}, "1000", None),
    "correct": ({"fill": "last", "quantity": 10, "price": 30}, "700", "10"),
}


@pytest.mark.parametrize("name", BOOKED)
def test_what_happens_to_a_real_account_is_booked_on_request(fake, client, name):
    arguments, cash, quantity = BOOKED[name]
    booked = post(f"{fake.url}/control/bookings", {"book": name} | arguments)
    assert booked == fake.exchange.feed.records[-len(booked) :]
    held = {row["symbol"]: row["qty"] for row in client.get_all_positions()}
    assert (client.get_account()["cash"], held) == (cash, {} if quantity is None else {"AAA": quantity})


def test_a_record_is_taken_back_by_its_id(fake, client):
    (paid,) = post(f"{fake.url}/control/bookings", {"book": "dividend", "symbol": "AAA", "rate": 1})
    assert client.get_account()["cash"] == "692"
    post(f"{fake.url}/control/bookings", [{"book": "cancel", "record": paid["id"]}])
    assert client.get_account()["cash"] == "681"
    with urllib.request.urlopen(f"{fake.url}/", timeout=60) as page:
        state = json.load(page)
    assert (state["cash"], state["positions"]) == ("681", {"AAA": "11"})
    assert [row["activity_type"] for row in state["activities"]] == ["FILL", "DIV", "DIV"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"book": "dividends"}, "no booking 'dividends'; there are cash, deposit"),
        ({"book": "dividend", "symbol": "AAA"}, "missing a required argument: 'rate'\")); it takes symbol, rate"),
        ({"book": "dividend", "symbol": "ZZZ", "rate": 1}, "'dividend' cannot be booked (KeyError('ZZZ'))"),
        ({"book": "deposit", "amount": "much"}, "'deposit' cannot be booked (InvalidOperation"),
        ({"book": "bust", "fill": "0::0"}, "'bust' cannot be booked (KeyError('0::0'))"),
    ],
)
def test_a_booking_that_makes_no_sense_is_refused_with_what_it_takes(fake, client, wanted, told):
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(f"{fake.url}/control/bookings", wanted)
    assert refused.value.code == 422
    assert told in json.load(refused.value)["message"]
    assert fake.exchange.cash == Decimal(681)
