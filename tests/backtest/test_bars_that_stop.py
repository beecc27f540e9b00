"""A share whose bars just stop leaves every account by the rule `ended_bars`, and its place is taken."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.delistings import EndedBars, delist_ended
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.orders.plans import record_plan
from tests.helpers.four_days import orders_table

DAYS = pd.bdate_range("2024-01-02", periods=9, unit="ns")
NO_ACTIONS = pd.DataFrame(
    {
        "date": DAYS[:0],
        "instrument": pd.Series(dtype="str"),
        "kind": pd.Series(dtype="str"),
        "value": pd.Series(dtype=float),
    }
)
FREE, RULES = CostRules(), MarketRules()
ONE = StrategyRules(topk=1, n_drop=1, risk_degree=1.0)


def bars_of(filled_on):
    """A trades for four sessions at 10, 10, 12, 8; then it has no bars, or those that a vendor fills on."""
    last = len(DAYS) if filled_on else 4
    prices = [10.0, 10.0, 12.0, *[8.0] * (last - 3)]
    ending = pd.DataFrame(
        {"date": DAYS[:last], "instrument": "A", "open": prices, "volume": [1e6] * 4 + [0.0] * (last - 4)}
    )
    living = pd.DataFrame({"date": DAYS, "instrument": "B", "open": 20.0, "volume": 1e6})
    table = pd.concat([ending, living], ignore_index=True).astype({"instrument": "str"})
    return table.assign(high=table["open"], low=table["open"], close=table["open"])


@pytest.mark.parametrize("filled_on", [False, True], ids=["no bars", "bars without volume"])
def test_the_position_becomes_cash_in_every_engine_and_account(filled_on):
    bars = bars_of(filled_on)
    ended = delist_ended(bars, NO_ACTIONS, DAYS, EndedBars(after_sessions=3, recovery=0.25))
    # Known at the third session of silence, at a quarter of the last close.
    assert ended.to_dict("records") == [{"date": DAYS[6], "instrument": "A", "kind": "delisting", "value": 2.0}]
    actions = ended.astype(NO_ACTIONS.dtypes.to_dict())
    market = TradingMarket.from_bars(bars, actions, DAYS, RULES)
    index = pd.MultiIndex.from_product([DAYS, market.instruments], names=["datetime", "instrument"])
    scores = pd.Series([2.0, 1.0] * len(DAYS), index=index)
    daily = run_backtest(scores, market, ONE, FREE, 1_000)
    events = run_events(RebalanceStrategy(market, ONE, FREE), market, bars, FREE, 1_000, scores=scores)
    # 100 shares at 10 are 800 at the last close, 200 when the listing counts as ended, and 10 shares of B from then on.
    values = [1000, 1000, 1200, 800, 800, 800, 200, 200, 200]
    assert daily.nav.tolist() == events.nav.tolist() == values
    for result in (daily, events):
        trades = result.trades[result.trades["quantity"] > 0]
        assert trades[["date", "instrument", "quantity"]].to_numpy().tolist() == [
            [DAYS[1], "A", 100],
            [DAYS[7], "B", 10],
        ]
    books = ()
    for number, session in enumerate(DAYS):
        known = (bars[bars["date"] <= session], actions[actions["date"] <= session], DAYS[: number + 1])
        books += book_sessions(books, "test", 1_000, Exchange(*known, RULES, FREE))
        if number in (0, 6):
            row = ("A", "buy", 100, 10.0, "test") if number == 0 else ("B", "buy", 10, 20.0, "test")
            books += record_plan(books, orders_table(row), session, DAYS[number + 1])
    closes = [value for _, value, _ in fold(books).closes]
    assert closes == [Decimal(value) for value in values]
    assert set(fold(books).positions) == {"B"}


def test_without_the_rule_it_stays_suspended_at_its_last_close():
    bars = bars_of(False)
    assert delist_ended(bars, NO_ACTIONS, DAYS, EndedBars()).empty
    market = TradingMarket.from_bars(bars, NO_ACTIONS, DAYS, RULES)
    assert (market.arrays.mark[3:, 0] == 80_000).all()
    assert market.arrays.has_bar[:, 0].tolist() == [True] * 4 + [False] * 5
