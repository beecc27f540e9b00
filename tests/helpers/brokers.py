"""Two accounts on the market of the broker contract: the simulated one, and one at a fake Alpaca."""

from decimal import Decimal
from typing import ClassVar

import pandas as pd

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.testing.contract_market import (
    CASH,
    PRICES,
    SESSIONS,
    SPLIT_SESSION,
    contract_actions,
    contract_bars,
    contract_opening,
)
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    FakeAlpaca,
    FakeExchange,
    Script,
    ScriptedFault,
    bookings,
)
from quant_pipeline.trading.broker_records import OrderRequest
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker
from quant_pipeline.trading.brokers.simulated.adapter import SimulatedAdapter
from quant_pipeline.trading.brokers.simulated.broker import SimulatedBroker

FREE = CostRules(buy_rate=0, sell_rate=0, min_commission=0)


def simulated(file, costs=FREE, rules=None):
    rules = rules or MarketRules()
    return SimulatedBroker(
        f"sqlite:///{file}", contract_bars(), contract_actions(), SESSIONS, rules, costs, SESSIONS[0], CASH
    )


def adapter_of(server, **options):
    options = {"read_seconds": 20, "read_pause_seconds": 0.01, "requests_a_minute": 100_000} | options
    return AlpacaAdapter(url=server.url, **options)


def broker_of(server, **options):
    return AlpacaBroker(adapter_of(server, **options), API_KEY, SECRET_KEY)


def buy(name, quantity="10", instrument="AAA"):
    return OrderRequest(name, instrument, "buy", Decimal(quantity))


def strike(server, request, kind, seconds=0.6, **options):
    """Let the next requests of a kind meet a fault."""
    server.play(Script(faults=(ScriptedFault(request=request, kind=kind, seconds=seconds, **options),)))


class SimulatedHarness:
    keys: ClassVar = {}

    def __init__(self, folder):
        self._file = folder / "broker.db"
        self.adapter = SimulatedAdapter(path=folder)
        self.broker = self.connect()

    def next_session(self):
        self.broker.advance()

    def deposit(self, amount):
        self.broker.deposit(amount)

    def connect(self):
        return simulated(self._file)

    def stop(self):
        pass


class AlpacaHarness:
    keys: ClassVar = {"api_key": API_KEY, "secret_key": SECRET_KEY}

    def __init__(self, folder):
        self._passed = 0
        prices = {name: str(closes[0]) for name, closes in PRICES.items()}
        self._exchange = FakeExchange(cash=CASH, prices=prices, auto_fill=False)
        self._stand_at_close()
        self._server = FakeAlpaca(self._exchange).start()
        self.adapter = adapter_of(self._server)

    def next_session(self):
        self._passed += 1
        self._stand_at_close()
        self._exchange.last_equity = self._exchange.equity()
        self._exchange.prices["BBB"] = Decimal(str(PRICES["BBB"][self._passed]))
        if self._passed == SPLIT_SESSION:
            bookings.split(self._exchange, "AAA", "4")
            paid = self._exchange.positions.get("BBB")
            if paid is not None:
                bookings.book_cash(self._exchange, "DIV", paid.quantity * Decimal("0.5"), "BBB")
        self._exchange.work()

    def _stand_at_close(self):
        self._exchange.hours.set(SESSIONS[self._passed] + pd.Timedelta(hours=21))

    def deposit(self, amount):
        bookings.book_cash(self._exchange, "CSD", amount)

    def connect(self):
        return self.adapter.connect(contract_opening(self.keys))

    def stop(self):
        self._server.stop()
