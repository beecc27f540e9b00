"""A fake Alpaca and the unmodified client of Alpaca: what the client understands is what Alpaca speaks."""

import pytest
from alpaca.trading.client import TradingClient

from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, FakeAlpaca, FakeExchange

PRICES = {"AAPL": "200", "MSFT": "400.05", "XOM": "100"}


@pytest.fixture
def exchange():
    return FakeExchange(cash=10_000, prices=PRICES)


@pytest.fixture
def server(exchange):
    with FakeAlpaca(exchange) as server:
        yield server


@pytest.fixture
def client(server):
    client = TradingClient(API_KEY, SECRET_KEY, url_override=server.url)
    client._retry = 0
    return client
