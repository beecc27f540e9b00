"""The adapter of Alpaca before a fake Alpaca whose orders wait until a test lets them deal."""

import pytest

from quant_pipeline.testing.fake_alpaca import FakeAlpaca, FakeExchange
from tests.helpers.brokers import broker_of


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
