"""The shipped brokers pass the shipped contract: the simulated one, and Alpaca's adapter before the fake Alpaca."""

from quant_pipeline.testing.broker_contract import BrokerContract
from tests.helpers.brokers import AlpacaHarness, SimulatedHarness


class TestSimulated(BrokerContract):
    def open_harness(self, folder):
        return SimulatedHarness(folder)


class TestAlpaca(BrokerContract):
    def open_harness(self, folder):
        return AlpacaHarness(folder)
