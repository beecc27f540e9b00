"""Trade updates wake who waits, and no trouble of the stream is anybody else's trouble."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from aiohttp import web
from alpaca.common.enums import BaseURL

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, FakeAlpaca, FakeExchange
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.updates import TradeUpdates
from tests.helpers.trading_day_at_alpaca import wait_until

# No test waits for LONG: it is so long that a pause which ends before it was cut short, on a loaded machine too.
LONG, SHORT = 600.0, 0.3
MOMENT = LONG / 6
# Seconds that the client's library would wait for who is silent.
CLIENTS_OWN = 10.0
SECRETS = (API_KEY, SECRET_KEY)


@pytest.fixture
def exchange():
    return FakeExchange(cash=10_000_000, prices={"AAA": "10"}, auto_fill=False)


@pytest.fixture
def told(caplog):
    """Return everything that any logger was told, down to its details."""
    caplog.set_level(logging.DEBUG)
    return lambda: [record for record in caplog.records if record.name.startswith(("quant_pipeline", "alpaca", "webs"))]


def updates_of(server, keys=SECRETS):
    return TradeUpdates(AlpacaAdapter(url=server.url).updates_address, *keys)


def order(exchange, number):
    body = {"symbol": "AAA", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}
    exchange.submit({**body, "client_order_id": f"order-{number}"})


@contextmanager
def meanwhile(act):
    """Do something in another thread until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=act, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def seconds_of(act):
    began = time.monotonic()
    act()
    return time.monotonic() - began


def connect(updates, server):
    """Wait until the stream stands, which wakes."""
    assert updates.pause(LONG) < LONG
    assert server.trade_updates.connections


def test_the_address_is_alpacas_own_or_on_this_machine():
    assert AlpacaAdapter(kind="paper").updates_address == BaseURL.TRADING_STREAM_PAPER.value
    assert AlpacaAdapter(kind="live").updates_address == BaseURL.TRADING_STREAM_LIVE.value
    assert AlpacaAdapter(url="http://127.0.0.1:8765/").updates_address == "ws://127.0.0.1:8765/stream"
    assert AlpacaAdapter(url="https://localhost:8765").updates_address == "wss://localhost:8765/stream"


@pytest.mark.parametrize("url", ["http://paper-api.alpaca.markets", "http://127.0.0.1.example.com", "ws://127.0.0.1"])
def test_no_other_address_is_listened_to(url):
    with pytest.raises(ConfigurationError, match="is not allowed"):
        _ = AlpacaAdapter(url=url).updates_address


def test_a_fill_ends_the_pause(server, exchange):
    with updates_of(server) as updates:
        connect(updates, server)
        order(exchange, 1)
        assert updates.pause(LONG) < MOMENT

        def deal_soon(over):
            over.wait(0.5)
            exchange.work()

        with meanwhile(deal_soon):
            assert 0.3 < updates.pause(LONG) < MOMENT


def test_a_pause_without_news_lasts_as_long_as_it_was_asked_for(server):
    with updates_of(server) as updates:
        connect(updates, server)
        taken = []
        assert seconds_of(lambda: taken.append(updates.pause(0.4))) >= 0.4
        assert taken[0] >= 0.4
        assert updates.pause(0.0) >= 0.0


def test_a_proxy_is_not_asked_for_this_machine(server, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with updates_of(server) as updates:
        connect(updates, server)


def test_a_flood_of_updates_makes_no_storm_of_questions(server, exchange, monkeypatch):
    monkeypatch.setattr("quant_pipeline.trading.brokers.alpaca.updates._WINDOW_SECONDS", LONG)

    def flood(over):
        number = 0
        while not over.wait(0.01):
            order(exchange, number := number + 1)

    with updates_of(server) as updates:
        connect(updates, server)
        with meanwhile(flood):
            # One of the four of a window was taken by the connection itself.
            cut_short = [updates.pause(LONG) for _ in range(3)]
            whole = updates.pause(1.0)
    assert 0.25 <= min(cut_short) <= max(cut_short) < MOMENT
    assert whole >= 1.0


def test_the_stream_stands_again_after_it_dropped_and_that_wakes(server, exchange):
    with updates_of(server) as updates:
        connect(updates, server)
        exchange.director.drops = 1
        order(exchange, 1)
        updates.pause(LONG)
        exchange.work()
        assert updates.pause(LONG) < MOMENT
        assert server.trade_updates.connections
        order(exchange, 2)
        assert updates.pause(LONG) < MOMENT


def test_keys_are_in_no_log_even_when_everything_is_logged(server, exchange, told):
    with updates_of(server) as updates:
        connect(updates, server)
        order(exchange, 1)
        assert updates.pause(LONG) < MOMENT
    assert told() == []


@contextmanager
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{taken.getsockname()[1]}/stream"


@contextmanager
def silent_server():
    """Take connections and never say a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/stream"


@contextmanager
def serving(handle):
    """Serve the address of the updates by another handler."""
    server = FakeAlpaca()
    server.trade_updates.handle = handle
    with server:
        yield server.stream_url


async def _talk(request, *words):
    talking = web.WebSocketResponse()
    await talking.prepare(request)
    for word in words:
        await talking.send_str(word)
    async for _ in talking:
        pass
    return talking


async def no_json(request):
    authorized = json.dumps({"stream": "authorization", "data": {"status": "authorized"}})
    return await _talk(request, authorized, *["<html>"] * 20, "[]", '"a"', "7")


async def no_answer_to_the_keys(request):
    return await _talk(request)


async def refusal_that_repeats_the_keys(request):
    refusing = web.WebSocketResponse()
    await refusing.prepare(request)
    await refusing.receive()
    await refusing.close(code=1008, message=f"{API_KEY} {SECRET_KEY} are not known".encode())
    return refusing


@contextmanager
def wrong_path():
    with FakeAlpaca() as server:
        yield server.stream_url + "s"


@contextmanager
def taken_by_another():
    with FakeAlpaca() as server, TradeUpdates(server.stream_url, *SECRETS) as other:
        connect(other, server)
        yield server.stream_url


@contextmanager
def strange_keys():
    """Serve an account that other keys belong to."""
    with FakeAlpaca() as server:
        server.trade_updates._keys = ("other", "keys")
        yield server.stream_url


TROUBLES = {
    "nobody listens there": (closed_port, "Connect call failed"),
    "there is no websocket": (wrong_path, "HTTP 404"),
    "the one connection is taken": (taken_by_another, "HTTP 429"),
    "the keys are refused": (strange_keys, "failed to authenticate"),
    "the refusal repeats the keys": (lambda: serving(refusal_that_repeats_the_keys), "… … are not known"),
    "no word of it is JSON": (lambda: serving(no_json), "Expecting value"),
}


@pytest.mark.parametrize(("place", "reason"), TROUBLES.values(), ids=TROUBLES.keys())
def test_a_trouble_is_one_plain_line(place, reason, told, capfd):
    with place() as address, TradeUpdates(address, *SECRETS) as updates:
        wait_until(lambda: updates.pause(SHORT) and told())
        for _ in range(4):  # It is tried again after half a second to a second, and nothing is reported again.
            updates.pause(SHORT)
    (line,) = told()
    assert (line.levelname, line.exc_info) == ("INFO", None)
    assert reason in line.getMessage()
    assert "nothing is lost" in line.getMessage()
    assert not any(secret in line.getMessage() for secret in SECRETS)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "place", [silent_server, lambda: serving(no_answer_to_the_keys), closed_port], ids=["silent", "deaf", "closed"]
)
def test_the_end_does_not_wait_for_who_is_silent(place, told):
    with place() as address:
        before = set(threading.enumerate())
        with TradeUpdates(address, *SECRETS) as updates:
            assert updates.pause(SHORT) >= SHORT
            began = time.monotonic()
        assert time.monotonic() - began < CLIENTS_OWN
        assert set(threading.enumerate()) <= before
    assert len(told()) <= 1


def test_the_end_leaves_no_thread_and_no_connection(server):
    before = set(threading.enumerate())
    with updates_of(server) as updates:
        connect(updates, server)
    assert set(threading.enumerate()) <= before
    wait_until(lambda: not server.trade_updates.connections)


def test_who_never_waits_never_connects(server):
    before = threading.active_count()
    with updates_of(server):
        time.sleep(0.2)
        assert threading.active_count() == before
        assert not server.trade_updates._open


def test_keys_do_not_follow_a_redirect(server):
    async def elsewhere(request):
        raise web.HTTPFound(server.stream_url)

    heard = []
    obey = server.trade_updates._obey

    async def hear(socket, command):
        heard.append(command)
        await obey(socket, command)

    server.trade_updates._obey = hear
    with serving(elsewhere) as address, TradeUpdates(address, *SECRETS) as updates:
        assert updates.pause(1.0) >= 1.0
    assert heard == []


def test_the_clients_lines_of_others_are_not_held_back(server, told):
    with updates_of(server) as updates:
        connect(updates, server)
        logging.getLogger("alpaca.trading.stream").warning("of somebody else")
    assert [record.getMessage() for record in told()] == ["of somebody else"]


@pytest.mark.parametrize("ending", ["updates.stop()", "pass", "raise SystemExit(0)"])
def test_the_interpreter_ends_in_silence(server, ending):
    program = (
        "from quant_pipeline.trading.brokers.alpaca.updates import TradeUpdates\n"
        f"updates = TradeUpdates('{server.stream_url}', '{API_KEY}', '{SECRET_KEY}')\n"
        f"assert updates.pause(600) < 600\n{ending}\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG, check=True)
    assert (ended.stdout, ended.stderr) == ("", "")
