"""Both websockets of the fake, as Alpaca's own streaming clients see them."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pandas as pd
import pytest
from alpaca.data.enums import DataFeed
from alpaca.data.live import StockDataStream
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest
from alpaca.trading.stream import TradingStream
from websockets.legacy.exceptions import InvalidStatusCode

from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, Script

# Seconds; far more than a loaded machine needs.
PATIENCE = 300.0


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@contextmanager
def running(stream):
    threading.Thread(target=stream.run, daemon=True).start()
    try:
        yield stream
    finally:
        # The client looks up from its socket every five seconds only; that is not waited for.
        stream.stop()


@contextmanager
def listening(server, raw=False):
    seen = []
    stream = TradingStream(API_KEY, SECRET_KEY, url_override=server.stream_url, raw_data=raw)
    stream._reconnect_min_backoff = 0.01

    async def on_update(update):
        seen.append(update)

    stream.subscribe_trade_updates(on_update)
    with running(stream):
        wait_for(lambda: server.trade_updates.connections)
        yield seen


def buy(client, name, qty=4):
    order = MarketOrderRequest(
        symbol="AAPL", qty=qty, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id=name
    )
    client.submit_order(order)


def events(seen):
    return [update.event for update in seen]


def test_an_order_is_reported_from_new_to_filled(server, client):
    server.play(Script.model_validate({"orders": [{"parts": ["0.5"]}]}))
    with listening(server) as seen:
        buy(client, "one")
        wait_for(lambda: len(seen) == 3)
    assert events(seen) == ["new", "partial_fill", "fill"]
    assert [update.qty for update in seen[1:]] == [2, 2]
    fed = {record["id"].partition("::")[2] for record in server.exchange.feed.records}
    assert {str(update.execution_id) for update in seen[1:]} == fed


def test_what_happens_without_a_listener_is_not_sent_again_but_is_in_the_feed(server, client):
    server.play(Script.model_validate({"stream": {"drop_before_fill": 1}}))
    with listening(server) as seen:
        buy(client, "one")
        wait_for(lambda: not server.trade_updates.connections)
        wait_for(lambda: server.trade_updates.connections)
        buy(client, "two")
        wait_for(lambda: "fill" in events(seen))
    assert [update.order.client_order_id for update in seen if update.event == "fill"] == ["two"]
    assert len(client.get("/account/activities", {"activity_types": "FILL"})) == 2


def test_repeated_and_unknown_updates_arrive_as_they_are(server, client):
    server.play(Script.model_validate({"stream": {"duplicate": True, "unknown_event": True}}))
    with listening(server, raw=True) as seen:
        buy(client, "one")
        wait_for(lambda: len(seen) == 6)
    told = [message["data"]["event"] for message in seen]
    assert told == ["some_new_event", "new", "new", "some_new_event", "fill", "fill"]


def test_a_word_of_the_future_loses_the_fill_for_typed_clients_only(server, client):
    server.play(Script.model_validate({"stream": {"unknown_status": True, "max_connections": 2}}))
    with listening(server) as typed, listening(server, raw=True) as raw:
        wait_for(lambda: len(server.trade_updates.connections) == 2)
        buy(client, "one")
        wait_for(lambda: len(raw) == 2)
    assert typed == []
    assert raw[1]["data"]["qty"] == "4"


def test_updates_may_come_out_of_order(server, client):
    server.play(Script.model_validate({"stream": {"reorder": True}}))
    with listening(server) as seen:
        buy(client, "one")
        wait_for(lambda: len(seen) == 2)
    assert events(seen) == ["fill", "new"]


def test_an_account_has_one_connection_and_another_is_refused_at_the_door(server):
    with listening(server), pytest.raises(InvalidStatusCode, match="429"):
        asyncio.run(TradingStream(API_KEY, SECRET_KEY, url_override=server.stream_url)._connect())


def test_a_mute_stream_is_connected_and_says_nothing(server, client):
    server.play(Script.model_validate({"stream": {"mute": True}}))
    with listening(server) as seen:
        buy(client, "one")
        assert client.get_order_by_client_id("one").filled_qty == "4"
        assert seen == []


@pytest.mark.parametrize(
    ("channel", "subscribe"), [("bars", "subscribe_bars"), ("updatedBars", "subscribe_updated_bars")]
)
def test_bars_reach_those_who_subscribed(server, channel, subscribe):
    seen = []
    stream = StockDataStream(API_KEY, SECRET_KEY, feed=DataFeed.IEX, url_override=server.market_stream_url)

    async def on_bar(bar):
        seen.append(bar)

    getattr(stream, subscribe)(on_bar, "AAPL")
    minute = pd.Timestamp("2025-03-03 15:30", tz="UTC")
    with running(stream):
        wait_for(lambda: any(channel in wanted for wanted in server.market_stream.subscriptions.values()))
        bar = {"o": 200.0, "h": 201.0, "l": 199.0, "c": 200.5, "v": 1000}
        server.market_stream.publish_bar("MSFT", minute, bar, channel)
        server.market_stream.publish_bar("AAPL", minute, bar, channel)
        wait_for(lambda: seen)
    assert [(bar.symbol, bar.close, bar.timestamp) for bar in seen] == [("AAPL", 200.5, minute.to_pydatetime())]


def test_strangers_are_not_let_in(server):
    stream = TradingStream("other", "keys", url_override=server.stream_url)

    async def knock():
        await stream._connect()
        try:
            await stream._auth()
        finally:
            await stream.close()

    with pytest.raises(ValueError, match="failed to authenticate"):
        asyncio.run(knock())
