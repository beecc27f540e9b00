"""Two accounts with the same market: four sessions; in the third AAA splits four for one and BBB pays half a dollar."""

from decimal import Decimal

import pandas as pd

from quant_pipeline.strategy.rules import CostRules, MarketRules
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, FakeAlpaca, FakeExchange, bookings
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker
from quant_pipeline.trading.brokers.simulated.broker import SimulatedBroker
from tests.helpers.four_days import actions_table

SESSIONS = pd.DatetimeIndex(["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07", "2025-01-08"])
PRICES = {"AAA": [40.0, 40.0, 40.0, 10.0, 10.0], "BBB": [20.0, 20.0, 25.0, 25.0, 25.0]}
SPLIT_SESSION = 3
CASH = 10_000
FREE = CostRules(buy_rate=0, sell_rate=0, minimum=0)


def bars_of(prices):
    rows = [
        (day, name, close, close, close, close, 1e6)
        for name, closes in prices.items()
        for day, close in zip(SESSIONS, closes, strict=True)
    ]
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=columns).astype({"instrument": "str"})


def actions():
    day = SESSIONS[SPLIT_SESSION]
    return actions_table((day, "AAA", "split", 4.0), (day, "BBB", "cash_dividend", 0.5))


def simulated(file, costs=FREE):
    return SimulatedBroker(
        f"sqlite:///{file}", bars_of(PRICES), actions(), SESSIONS, MarketRules(), costs, SESSIONS[0], CASH
    )


def broker_of(server, **options):
    options = {"read_seconds": 20, "read_pause_seconds": 0.01, "requests_a_minute": 100_000} | options
    return AlpacaBroker(AlpacaAdapter(url=server.url, **options), API_KEY, SECRET_KEY)


class SimulatedHarness:
    def __init__(self, folder):
        self._file = folder / "broker.db"
        self.broker = simulated(self._file)

    def next_session(self):
        self.broker.advance()

    def deposit(self, amount):
        self.broker.deposit(amount)

    def restarted(self):
        return simulated(self._file)

    def stop(self):
        pass


class AlpacaHarness:
    def __init__(self, folder):
        self._passed = 0
        prices = {name: str(closes[0]) for name, closes in PRICES.items()}
        self._exchange = FakeExchange(cash=CASH, prices=prices, auto_fill=False)
        self._stand_at_close()
        self._server = FakeAlpaca(self._exchange).start()
        self.broker = broker_of(self._server)

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

    def restarted(self):
        return broker_of(self._server)

    def stop(self):
        self._server.stop()
