"""The change of the net asset value in parts, by hand."""

import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.trading.ledger.bookkeeping import book_days
from quant_pipeline.trading.ledger.profit_parts import PARTS, profit_parts
from quant_pipeline.trading.ledger.session_effects import walk_effects
from tests.helpers.four_days import BUY, DAYS, DEPOSIT, actions_table, bars_table, entries, statement


def test_change_is_flow_holdings_trading_costs_interest_and_the_rest():
    lines = (
        DEPOSIT,
        BUY,
        "2025-01-02,split,AAA,,30,,,",
        "2025-01-02,dividend,AAA,,,,,12.50",
        "2025-01-02,fill,AAA,sell,10,11.40,0.10,113.90",
        "2025-01-02,deposit,,,,,,50",
        "2025-01-03,fee,,,,,,-1.25",
    )
    market = TradingMarket.from_bars(bars_table(), actions_table((DAYS[2], "AAA", "split", 2.0)), DAYS, MarketRules())
    events = book_days((), "mine", 0, market, entries(statement(*lines)))
    sessions, holdings = profit_parts(walk_effects(events, market, DAYS[0], DAYS[-1]))
    assert sessions["flow"].tolist() == [1000, 0, 50, 0]
    # 30 shares at 10 are 60 at 11; 10 of them are sold .40 above that.
    assert sessions["holdings"].tolist() == [0, 0, 360 + 12.5, 50]
    assert sessions["trading"].tolist() == [0, 0, 4, 0]
    assert sessions["costs"].round(9).tolist() == [0, -0.35, -0.10, -1.25]
    total = sessions["flow"] + sessions[[*PARTS]].sum(axis=1)
    assert total.tolist() == pytest.approx(sessions["change"].tolist(), abs=1e-9)
    assert sessions["change"].tolist() == pytest.approx((sessions["after"] - sessions["before"]).tolist(), abs=1e-9)
    assert holdings.to_numpy().tolist() == [[DAYS[2], "AAA", 300, 372.5], [DAYS[3], "AAA", 550, 50]]


def test_closes_that_were_revised_are_something_else():
    market = TradingMarket.from_bars(bars_table(), actions_table(), DAYS, MarketRules())
    events = book_days((), "mine", 0, market, entries(statement(DEPOSIT, BUY)))
    revised = bars_table()
    revised.loc[(revised["instrument"] == "AAA") & (revised["date"] == DAYS[2]), ["high", "close"]] = 11.5
    now = TradingMarket.from_bars(revised, actions_table(), DAYS, MarketRules())
    sessions, _ = profit_parts(walk_effects(events, now, DAYS[0], DAYS[-1]))
    assert sessions["other"].tolist() == [0, 0, -15, 15]
