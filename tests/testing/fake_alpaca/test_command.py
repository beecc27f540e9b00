"""The fake as people start it: a process of its own, a script from a file, prices and faults while it runs."""

import json
import subprocess
import sys
import urllib.request
from decimal import Decimal

import pandas as pd
import pytest
import yaml
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    ExchangeHours,
    FakeAlpaca,
    FakeExchange,
    MarketTape,
    Script,
)
from quant_pipeline.testing.fake_alpaca.__main__ import SYMBOLS

SCRIPT = """
faults:
  - {request: account, kind: status_before, status: 500}
orders:
  - {instrument: AAPL, parts: [0.5], ending: expired}
"""


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


@pytest.fixture
def process(tmp_path):
    file = tmp_path / "script.yml"
    file.write_text(SCRIPT)
    command = [sys.executable, "-m", "quant_pipeline.testing.fake_alpaca", "--port", "0", "--seconds", "1200"]
    options = ["--symbols", "AAPL,SPY", "--now", "2025-03-03T15:00", "--script", str(file), "--start", "2024-06-03"]
    server = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    yield server
    server.terminate()
    server.wait(timeout=120)


def test_the_command_serves_the_script_and_takes_new_prices(process):
    url = process.stdout.readline().split()[3].rstrip(",")
    client = TradingClient(API_KEY, SECRET_KEY, url_override=url)
    with pytest.raises(APIError, match="scripted fault"):
        client.get_account()
    assert client.get_account().cash == "100000"
    assert post(f"{url}/control/prices", {"AAPL": 10.25})["AAPL"] == "10.25"
    order = {"symbol": "AAPL", "qty": "4", "side": "buy", "type": "market", "time_in_force": "day"}
    client.post("/orders", order | {"client_order_id": "one"})
    done = client.get_order_by_client_id("one")
    assert (done.status.value, done.filled_qty, done.filled_avg_price) == ("expired", "2", "10.25")
    with urllib.request.urlopen(f"{url}/", timeout=120) as page:
        state = json.load(page)
    assert state["requests"]["submit"] == 1
    assert [order["client_order_id"] for order in state["orders"]] == ["one"]
    post(f"{url}/control/script", {"faults": [{"request": "clock", "kind": "status_before", "status": 500}]})
    with pytest.raises(APIError, match="scripted fault"):
        client.get_clock()
    assert str(client.get_clock().timestamp) == "2025-03-03 15:00:00+00:00"


def test_time_advances_on_request_and_prices_and_orders_with_it():
    days = pd.to_datetime(["2025-03-03", "2025-03-04"])
    bars = pd.DataFrame({"date": days, "instrument": "AAA", "open": [10.0, 12.0], "high": 20.0, "low": 1.0,
                         "close": [11.0, 13.0], "volume": 1e6})  # fmt: skip
    tape = MarketTape(bars, MarketTape.empty().corporate_actions)
    exchange = FakeExchange(1_000, always_open=False, hours=ExchangeHours("2025-03-03 15:00"))
    exchange.take_prices(tape.prices_at)
    with FakeAlpaca(exchange, tape) as server:
        client = TradingClient(API_KEY, SECRET_KEY, url_override=server.url, raw_data=True)
        order = {"symbol": "AAA", "qty": "10", "side": "buy", "type": "limit", "time_in_force": "day"}
        client.post("/orders", order | {"limit_price": "12", "client_order_id": "one"})
        client.post("/orders", order | {"limit_price": "9", "client_order_id": "two"})
        for now, price, equity, before in [
            ("2025-03-03T21:05", "11", "1010", "1000"),
            ("2025-03-04T14:00", "11", "1010", "1010"),
            ("2025-03-04T15:00", "12", "1020", "1010"),
            ("2025-03-04T21:05", "13", "1030", "1010"),
        ]:
            assert post(f"{server.url}/control/clock", {"now": now})["timestamp"].startswith(now)
            account = client.get_account()
            told = (client.get_all_positions()[0]["current_price"], account["equity"], account["last_equity"])
            assert told == (price, equity, before)
        assert client.get_order_by_client_id("one")["filled_avg_price"] == "10"
        assert client.get_order_by_client_id("two")["status"] == "expired"


def test_a_taken_port_is_reported():
    with FakeAlpaca() as first, pytest.raises(ConfigurationError, match="choose another with --port"):
        FakeAlpaca(port=first.port).start()


def test_a_misspelt_script_is_reported(tmp_path):
    file = tmp_path / "script.yml"
    file.write_text("faults: [{request: submit, kind: rset_after}]")
    with pytest.raises(ConfigurationError, match=r"script.yml cannot be used"):
        Script.from_file(file)
    with pytest.raises(ConfigurationError, match=r"none.yml cannot be used"):
        Script.from_file(tmp_path / "none.yml")


def test_a_request_limit_is_stated_in_headers_and_answered_with_429():
    with FakeAlpaca(requests_a_minute=2) as server:
        client = TradingClient(API_KEY, SECRET_KEY, url_override=server.url)
        client._retry = 0
        left = []
        client._session.hooks["response"].append(
            lambda answer, **_: left.append(answer.headers["X-RateLimit-Remaining"])
        )
        client.get_account()
        client.get_account()
        with pytest.raises(APIError, match="rate limit exceeded"):
            client.get_account()
        assert left == ["1", "0", "0"]


def test_an_invented_history_trades_every_symbol_in_every_session():
    tape = MarketTape.simulated(["AAPL", "XOM", "SPY"], "2024-01-02", "2024-03-28")
    assert tape.bars.groupby("instrument").size().to_dict() == {"AAPL": 61, "SPY": 61, "XOM": 61}
    closes = tape.prices_at(pd.Timestamp("2024-03-28"), has_closed=True)
    assert set(closes) == {"AAPL", "XOM", "SPY"}
    assert all(isinstance(close, Decimal) and close > 0 for close in closes.values())


def test_the_symbols_of_the_paper_account_are_served_without_being_asked_for(project_path):
    globals_ = yaml.safe_load((project_path / "conf/base/globals.yml").read_text())
    assert set(SYMBOLS.split(",")) == {*globals_["symbols"], "SPY"}
    assert set(globals_["sectors"]) == set(globals_["symbols"])
