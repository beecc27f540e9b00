"""The simulated account executes by the limits and taxes of the session, as the backtest does."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.tables import positions_table
from quant_pipeline.trading.brokers.simulated.bookkeeping import execute_session

NO_ACTIONS = pd.DataFrame(columns=["date", "instrument", "kind", "value"])


def execute(instrument, first_day, side, prices):
    """Execute an order of 100 shares in the second of two sessions, by the presets of China without a spread."""
    bars = pd.DataFrame({"date": pd.bdate_range(first_day, periods=2), "instrument": instrument, "volume": 1e6})
    bars = bars.assign(**dict.fromkeys(("open", "high", "low", "close"), prices))
    sessions = pd.DatetimeIndex(bars["date"])
    market = TradingMarket.from_bars(bars, NO_ACTIONS, sessions, MarketRules.preset("CN"))
    orders = pd.DataFrame({"instrument": [instrument], "side": [side], "quantity": [100]})
    costs = CostRules.preset("CN").model_copy(update={"half_spread": 0.0})
    session = bars[bars["date"] == sessions[1]]
    held = positions_table([instrument], [100], [1])
    _, fills = execute_session(held, Decimal(10_000), orders, sessions[1], session, NO_ACTIONS, market, costs)
    return fills.iloc[0]


@pytest.mark.parametrize(("first_day", "fee"), [("2023-08-24", 6.01), ("2023-08-25", 5.51)])
def test_a_sale_pays_the_stamp_duty_of_its_session(first_day, fee):
    # 1,000 CNY: commission 5.00 minimum, stamp duty 1.00 or 0.50, transfer fee 0.01.
    assert execute("sz.000001", first_day, "sell", [10.0, 10.0])["fee"] == fee


@pytest.mark.parametrize(("first_day", "status"), [("2020-08-20", "rejected"), ("2020-08-21", "filled")])
def test_a_buy_obeys_the_limit_of_its_session(first_day, status):
    assert execute("300750.XSHE", first_day, "buy", [10.0, 11.0])["status"] == status
