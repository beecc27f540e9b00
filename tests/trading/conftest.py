"""A market of two instruments and four sessions, and a ledger file."""

import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from tests.helpers.four_days import DAYS, actions_table, bars_table


@pytest.fixture
def days():
    return DAYS


@pytest.fixture(scope="session")
def bars():
    return bars_table()


@pytest.fixture(scope="session")
def no_actions():
    return actions_table()


@pytest.fixture(scope="session")
def market_of_four_days(bars, no_actions):
    return TradingMarket.from_bars(bars, no_actions, DAYS, MarketRules())


@pytest.fixture
def rules():
    return MarketRules(), CostRules(buy_rate=0.001, sell_rate=0.001)
