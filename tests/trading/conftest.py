"""A market of two instruments and four sessions, and a ledger file."""

import pandas as pd
import pytest

from quant_pipeline.backtest.market import TradingMarket
from quant_pipeline.strategy.rules import CostRules, MarketRules

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31", "2025-01-02", "2025-01-03"])


@pytest.fixture
def days():
    return DAYS


@pytest.fixture(scope="session")
def bars():
    return bars_table()


def bars_table():
    rows = []
    for instrument, closes in {"AAA": [10.0, 10.0, 11.0, 12.0], "BBB": [20.0, 20.0, 20.0, 21.0]}.items():
        for day, close in zip(DAYS, closes, strict=True):
            rows.append((day, instrument, close, close + 0.5, close - 0.5, close, 1000.0))
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=columns).astype({"instrument": "str"})


@pytest.fixture(scope="session")
def no_actions():
    return actions_table()


@pytest.fixture(scope="session")
def market_of_four_days(bars, no_actions):
    return TradingMarket.from_bars(bars, no_actions, DAYS, MarketRules())


def actions_table(*rows):
    table = pd.DataFrame(list(rows), columns=["date", "instrument", "kind", "value"])
    return table.astype({"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"})


@pytest.fixture
def rules():
    return MarketRules(), CostRules(buy_rate=0.001, sell_rate=0.001)


def orders_table(*rows):
    table = pd.DataFrame(list(rows), columns=["instrument", "side", "quantity", "reference_price", "reason"])
    return table.astype({"instrument": "str", "side": "str", "reason": "str"})
