"""A trading day at a fake Alpaca, through the gateway that users use; orders wait until the test executes them."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    Director,
    ExchangeHours,
    FakeAlpaca,
    FakeExchange,
    Script,
)
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.gateway import DeskRules, Gateway
from quant_pipeline.trading.orders.desk import arming_event
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.orders.reconciliation import find_breaks

OPEN = "2025-01-03 14:35"
MARKET = Exchange(pd.DataFrame(), pd.DataFrame(), pd.DatetimeIndex([]), MarketRules(), CostRules())
# Seconds; far more than a loaded machine needs.
PATIENCE = 300.0


class DayAtAlpaca:
    """One day: every order waits at the exchange until `deal` is called, or while `executing` goes on."""

    def __init__(self, folder, poll_seconds, stream=None, now=OPEN, market_rules=MARKET.market_rules, **parameters):
        hours = ExchangeHours(now)
        script = Script.model_validate({"stream": stream or {}})
        self.exchange = FakeExchange(rehearsal.CASH, rehearsal.PRICES, Director(script), auto_fill=False, hours=hours)
        for name, quantity in rehearsal.HOLDINGS.items():
            self.exchange.move(name, quantity, rehearsal.PRICES[name])
        self.exchange.last_equity = self.exchange.equity()
        self.server = FakeAlpaca(self.exchange)
        self._file = folder / "ledger.sqlite"
        is_live = parameters.get("kind") == "live"
        self._account = f"{rehearsal.ACCOUNT}-rehearsal" if is_live else rehearsal.ACCOUNT
        self._parameters = {"read_pause_seconds": 0.01, "requests_a_minute": 100_000} | parameters
        changes = {"poll_seconds": poll_seconds, "account_number": self.exchange.account_number}
        self.market = replace(MARKET, market_rules=market_rules)
        self.rules = rehearsal.RULES.model_copy(update=changes | {"wait_for_sales_seconds": 2 * PATIENCE})

    @contextmanager
    def desk(self, takes_lease=True):
        """Open the desk as a command does."""
        rules = DeskRules(self._account, rehearsal.LIMITS, self.rules)
        with self.server:
            parameters = {"url": self.server.url, **self._parameters}
            keys = {"api_key": API_KEY, "secret_key": SECRET_KEY}
            gateway = Gateway("alpaca", parameters, str(self._file), self._file.with_name("STOP"), keys)
            with gateway.open(rehearsal.SESSION, rules, self.market, takes_lease) as desk:
                yield desk

    def plan(self, desk):
        """Do everything up to the recorded verdicts."""
        recover(desk)
        desk.journal.append([arming_event(rehearsal.SESSION, self.exchange.account_number)])
        desk.journal.append(rehearsal.plan_events(desk.journal.ledger.events()))
        verdicts = judge(desk, rehearsal.market_views(), 0)
        desk.journal.append(verdict_events(verdicts, "2025-01-03", {"scores": "test", "data": "2025-01-02"}))

    @contextmanager
    def dealing(self, when=lambda: True):
        """Deal what waits, in another thread, whenever a condition holds."""
        over = threading.Event()

        def deal():
            while not over.wait(0.02):
                if self.exchange.open_orders() and when():
                    self.exchange.work()

        dealer = threading.Thread(target=deal, daemon=True)
        dealer.start()
        try:
            yield
        finally:
            over.set()
            dealer.join()

    def listeners(self):
        return len(self.server.trade_updates.connections)

    def execute(self, desk):
        """Follow the orders to their end; return how many seconds it took."""
        began = time.monotonic()
        assert execute(desk, rehearsal.market_views(), 0) == ()
        assert find_breaks(desk) == ()
        return time.monotonic() - began


def states(desk):
    return {o.order.instrument: str(o.state) for o in desk.journal.book.orders.values()}


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
