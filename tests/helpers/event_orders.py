"""Orders of the event engine, written down for the event that sends them, and what became of them."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.events import EventParameters, SessionPhase
from quant_pipeline.backtest.event_engine.orders import EventOrder, OrderKind
from quant_pipeline.exchange.dated_rules import PriceLimit
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules

SESSIONS = pd.bdate_range("2024-01-02", periods=3)
BAR_COLUMNS = ["date", "instrument", "open", "high", "low", "close", "volume"]
SPREAD = CostRules(half_spread=0.001)
GAP = [(100, 101, 99, 100), (98, 103, 95, 102), (102, 103, 101, 102)]


class Sends:
    """Sends the orders written down for an event: its session, its kind, and of minutes the number."""

    def __init__(self, orders: dict) -> None:
        self.orders = orders
        self.minutes = 0

    def react(self, view):
        self.minutes = self.minutes + 1 if view.kind is SessionPhase.MINUTE else 0
        event = SESSIONS.get_loc(view.session), view.kind.value
        return self.orders.get((*event, self.minutes) if self.minutes else event, [])


def run(orders, rows=GAP, minutes=None, costs=SPREAD, rules=None, volume=1e6, actions=(), **parameters):
    bars = pd.DataFrame(
        [(day, "A", *row) for day, row in zip(SESSIONS, rows, strict=False)], columns=BAR_COLUMNS[:-1]
    ).assign(volume=volume)
    table = pd.DataFrame(list(actions), columns=["date", "instrument", "kind", "value"])
    market = TradingMarket.from_bars(bars.dropna(), table, SESSIONS, rules or MarketRules())
    times = EventParameters(**parameters)
    return run_events(Sends(orders), market, bars.dropna(), costs, 1_000_000, times, minutes=minutes)


def prices_of(result):
    return result.trades["price"].tolist()


def limit(shares, price, **fields):
    return EventOrder("A", shares, OrderKind.LIMIT, price, **fields)


def stop(shares, price, **fields):
    return EventOrder("A", shares, OrderKind.STOP, price, **fields)


def minutes_of(*rows, session=1, volume=1000):
    table = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    ends = [SESSIONS[session] + pd.Timedelta(hours=9, minutes=31 + number) for number in range(len(rows))]
    return table.assign(time=ends, instrument="A", volume=volume)


MINUTES = minutes_of((98, 99, 95, 96), (97, 100, 96, 100), (101, 103, 101, 102))

AROUND_98 = minutes_of(*[(98, 99, 97, 98)] * 7, volume=100)
BOUGHT = {(0, "close"): [EventOrder("A", 100)]}

TEN_PERCENT = MarketRules(price_limits=(PriceLimit(prefix="", limit=0.1),))


def outcomes_of(result):
    return result.trades[["date", "status", "price"]].fillna(0.0).to_numpy().tolist()
