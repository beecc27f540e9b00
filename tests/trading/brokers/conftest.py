"""The adapter of Alpaca before a fake Alpaca whose orders wait until a test lets them deal."""

import pytest

from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, FakeAlpaca, FakeExchange
from quant_pipeline.trading.brokers.alpaca import AlpacaBroker
from quant_pipeline.trading.brokers.alpaca_transport import AlpacaBrokerParameters


@pytest.fixture
def exchange():
    return FakeExchange(cash=10_000, prices={"AAA": "10", "BBB": "20"})


@pytest.fixture
def server(exchange):
    with FakeAlpaca(exchange) as server:
        yield server


@pytest.fixture
def broker(server):
    return broker_of(server)


def broker_of(server, **options):
    options = {"read_seconds": 20, "read_pause_seconds": 0.01, "requests_a_minute": 100_000} | options
    return AlpacaBroker(AlpacaBrokerParameters(url=server.url, **options), API_KEY, SECRET_KEY)
