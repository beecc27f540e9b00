"""The stream of market data by unmodified alpaca-py at the loopback fake: what arrives, and what if it does not."""

import logging
import time
from contextlib import contextmanager
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.live.market_data.ring import MarketRing
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, FakeAlpaca, FakeExchange, Script
from quant_pipeline.trading.broker_records import LastTrade
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.market_stream import AlpacaMarketStream

KEYS = {"api_key": API_KEY, "secret_key": SECRET_KEY}
OPENS, CLOSES = pd.Timestamp("2025-03-03 14:30", tz="UTC"), pd.Timestamp("2025-03-03 21:00", tz="UTC")
BAR = {"o": 200.0, "h": 201.0, "l": 199.0, "c": 200.5, "v": 1000}
PATIENCE = 120.0


@pytest.fixture
def fake():
    with FakeAlpaca(FakeExchange(cash=10_000, prices={"AAPL": "200", "MSFT": "400"})) as server:
        yield server


@contextmanager
def listening(fake, ring, max_mute=120.0):
    adapter = AlpacaAdapter(url=fake.url, max_mute_seconds=max_mute, read_pause_seconds=0.01)
    stream = adapter.market_stream(KEYS, ring.instruments, ring)
    assert isinstance(stream, AlpacaMarketStream)
    stream._stream._reconnect_min_backoff = 0.01
    with stream:
        yield stream


def until(holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def ready(fake):
    until(lambda: any("bars" in wanted for wanted in fake.market_stream.subscriptions.values()))


def ring():
    return MarketRing(["AAPL", "MSFT"], OPENS, CLOSES)


def at(clock):
    return pd.Timestamp(f"2025-03-03 {clock}", tz="UTC")


def test_trades_bars_corrections_and_halts_arrive_as_they_are_documented(fake):
    known = ring()
    with listening(fake, known):
        ready(fake)
        market = fake.market_stream
        market.publish_bar("AAPL", at("14:30"), BAR)
        market.publish_bar("AAPL", at("14:31"), BAR | {"h": 205.0, "c": 204.0, "v": 500})
        market.publish_bar("AAPL", at("14:30"), BAR | {"l": 190.0}, "updatedBars")
        market.publish_trade("AAPL", at("14:32:01"), 203.25)
        market.publish_status("MSFT", at("14:33"), "H", "Trading Halt")
        until(lambda: known.snapshot().halted)
        until(lambda: "AAPL" in known.snapshot().trades)
        assert known.snapshot().trades == {"AAPL": LastTrade(Decimal("203.25"), at("14:32:01"))}
        (row,) = known.session_bars().itertuples(index=False)
        assert tuple(row) == ("AAPL", 200.0, 205.0, 190.0, 204.0, 1500.0)
        market.publish_status("MSFT", at("14:40"), "T", "Trading Resumption")
        until(lambda: not known.snapshot().halted)


def test_a_dropped_stream_is_connected_again_and_its_gap_is_filled_from_rest(fake):
    known = ring()
    with listening(fake, known) as stream:
        ready(fake)
        until(lambda: known.connections)
        assert known.gap() == OPENS
        fake.market_stream.publish_bar("AAPL", at("14:30"), BAR)
        until(lambda: len(known.session_bars()) == 1)
        fake.play(Script.model_validate({"market": {"drop_before_message": 1}}))
        fake.market_stream.publish_bar("MSFT", at("14:31"), BAR | {"c": 401.0, "o": 400.0, "h": 402.0, "l": 400.0})
        until(lambda: known.connections == 2)
        assert len(known.session_bars()) == 1, "what happened meanwhile is not sent again"
        known.fill(stream.minutes_since(known.gap(), known.instruments))
        assert list(known.session_bars()["close"]) == [200.5, 401.0]
        assert known.gap() is None


def test_a_mute_stream_is_connected_again(fake):
    known = ring()
    fake.play(Script.model_validate({"market": {"mute": True}}))
    with listening(fake, known, max_mute=0.2):
        until(lambda: known.connections >= 2)
        fake.play(Script())
        ready(fake)
        until(lambda: (fake.market_stream.publish_trade("AAPL", at("15:00"), 201.0), known.snapshot().trades)[1])


def test_a_key_has_one_connection_and_the_second_one_waits_for_it(fake, caplog):
    caplog.set_level(logging.INFO)
    first, second = ring(), ring()
    with listening(fake, first):
        ready(fake)
        until(lambda: first.connections)
        with listening(fake, second):
            until(lambda: "connection limit exceeded" in caplog.text)
            assert (first.connections, second.connections) == (1, 0)
    assert "sends no market data for now (connection limit exceeded). Prices are asked for one by one" in caplog.text
    assert SECRET_KEY not in caplog.text
    assert "Traceback" not in caplog.text


def test_the_first_instruments_are_listened_to_where_a_plan_has_a_limit(fake, caplog):
    names = [f"N{number:02d}" for number in range(40)]
    known = MarketRing(["AAPL", *names], OPENS, CLOSES)
    with listening(fake, known):
        ready(fake)
        (wanted,) = fake.market_stream.subscriptions.values()
        assert wanted["bars"] == ["AAPL", *names[:29]]
        fake.market_stream.publish_trade("AAPL", at("15:00"), 200.0)
        until(lambda: known.snapshot().trades)
    assert "asked for 30 of 41 instruments (max_stream_symbols)" in caplog.text
    assert AlpacaAdapter(feed="sip").stream_symbols is None
    assert AlpacaAdapter(max_stream_symbols=100).stream_symbols == 100


def test_a_plan_with_a_smaller_limit_is_reported(fake, caplog):
    caplog.set_level(logging.INFO)
    fake.play(Script.model_validate({"market": {"max_symbols": 1}}))
    with listening(fake, ring()):
        until(lambda: "symbol limit exceeded" in caplog.text)


def test_a_bar_of_rest_that_cannot_be_read_is_left_out_and_the_others_come(fake, caplog):
    with listening(fake, ring()) as stream:
        fake.market_stream.publish_bar("AAPL", at("14:30"), BAR)
        fake.market_stream.publish_bar("AAPL", at("14:31"), BAR | {"l": 0.0})
        fake.market_stream.publish_bar("MSFT", at("14:31"), BAR)
        found = stream.minutes_since(OPENS, ["AAPL", "MSFT"])
    assert [(bar.instrument, bar.begins_at) for bar in found] == [("AAPL", at("14:30")), ("MSFT", at("14:31"))]
    assert "cannot be read" in caplog.text


def test_a_message_of_another_shape_is_left_out_and_the_stream_goes_on(fake, caplog):
    known = ring()
    with listening(fake, known):
        ready(fake)
        fake.market_stream.publish_bar("AAPL", at("14:30"), BAR | {"c": float("nan")})
        for price in (200.0, float("nan"), 0.0, -1.0):
            fake.market_stream.publish_trade("MSFT", at("14:31"), price)
        fake.market_stream.publish_trade("AAPL", at("14:31"), 200.0)
        until(lambda: "AAPL" in known.snapshot().trades)
    assert {name: trade.price for name, trade in known.snapshot().trades.items()} == {"AAPL": 200, "MSFT": 200}
    assert known.session_bars().empty
    assert "cannot be read" in caplog.text
