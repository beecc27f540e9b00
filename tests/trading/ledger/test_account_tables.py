"""Cumulative tables and the cost of executing, by hand."""

import pandas as pd
import pytest

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.ledger.bookkeeping import book_days
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.history import account_history
from quant_pipeline.trading.ledger.tables import trades_table
from quant_pipeline.trading.ledger.trade_costs import trade_costs_table
from quant_pipeline.trading.orders.plans import record_plan
from tests.helpers.four_days import BUY, DAYS, DEPOSIT, actions_table, book, entries, orders_table, plan, statement


@pytest.fixture
def events(bars, no_actions, rules):
    """Plan 30 AAA at 10 and sell them again, on a market that opens where it closes."""
    events = plan(book((), bars, no_actions, rules, DAYS[0]), DAYS[0], DAYS[1], ("AAA", "buy", 30, 9.5, "best"))
    events = plan(book(events, bars, no_actions, rules, DAYS[2]), DAYS[2], DAYS[3], ("AAA", "sell", 30, 11.0, "out"))
    return book(events, bars, no_actions, rules, DAYS[3])


def test_daily_amounts_tell_flow_profit_and_return(bars, no_actions, rules):
    market = TradingMarket.from_bars(bars, no_actions, DAYS, MarketRules())
    files = [statement(DEPOSIT, BUY, "2025-01-02,deposit,,,,,,500", "2025-01-03,dividend,AAA,,,,,6")]
    history = account_history(book_days((), "mine", 0, market, entries(*files)), market, DAYS[-1])
    amounts = history.amounts.set_index("date")
    assert amounts["nav"].tolist() == [1000, 999.65, 1529.65, 1565.65]
    assert amounts["flow"].tolist() == [1000, 0, 500, 0]
    assert amounts["profit"].round(4).tolist() == [0, -0.35, 30, 36]
    assert amounts["return"].iloc[2] == pytest.approx(30 / 1499.65)
    assert amounts["dividends"].tolist() == [0, 0, 0, 6]
    assert amounts["unrealised_profit"].round(4).tolist() == [0, -0.35, 29.65, 59.65]
    held = history.holdings
    assert held["quantity"].tolist() == [30, 30, 30]
    assert held["price"].tolist() == [10, 11, 12]
    assert held["unrealised_profit"].round(4).tolist() == [-0.35, 29.65, 59.65]


def test_history_stops_at_the_session_asked_for(events, bars, no_actions):
    market = TradingMarket.from_bars(bars, no_actions, DAYS, MarketRules())
    history = account_history(events, market, DAYS[1])
    assert history.amounts["date"].tolist() == list(DAYS[:2])


def test_costs_are_cut_into_delay_and_slippage(events, bars, no_actions):
    moved = bars.copy()
    moved.loc[(moved["date"] == DAYS[1]) & (moved["instrument"] == "AAA"), "open"] = 9.8
    bought, sold = trade_costs_table(events, moved, no_actions, DAYS[3], "open").to_dict("records")
    # Decided at 9.50, opened at 9.80, executed at 10.00 (the market of the fill), closed at 10.00.
    assert bought["delay_cost"] == pytest.approx(30 * 0.3)
    assert bought["slippage_cost"] == pytest.approx(30 * 0.2)
    assert bought["shortfall"] == pytest.approx(15)
    assert bought["shortfall_bps"] == pytest.approx(0.5 / 9.5 * 1e4)
    assert bought["cost_against_close"] == pytest.approx(0)
    assert bought["planned"]
    # Decided at 11, sold at 12: a gain.
    assert sold["shortfall"] == pytest.approx(-30)


@pytest.mark.parametrize(("deal_price", "delay", "slippage"), [("open", 9, 6), ("close", 21, -6), ("vwap", 12, 3)])
def test_slippage_is_measured_from_the_price_at_which_the_account_is_configured_to_execute(
    events, bars, no_actions, deal_price, delay, slippage
):
    """Decided at 9.50 and executed at 10.00; without a column of its own, vwap is the mean of high, low and close."""
    moved = bars.copy()
    prices = {"open": 9.8, "high": 10.2, "low": 9.3, "close": 10.2}
    for name, price in prices.items():
        moved.loc[(moved["date"] == DAYS[1]) & (moved["instrument"] == "AAA"), name] = price
    bought = trade_costs_table(events, moved, no_actions, DAYS[3], deal_price).iloc[0]
    assert bought["deal_price"] == pytest.approx(prices.get(deal_price, 9.9))
    assert (bought["delay_cost"], bought["slippage_cost"]) == pytest.approx((delay, slippage))
    assert bought["shortfall"] == pytest.approx(15)


def test_a_plan_executes_and_is_measured_at_its_own_price_when_another_one_is_configured_by_then(bars, no_actions):
    moved = bars.copy()
    moved.loc[(moved["date"] == DAYS[1]) & (moved["instrument"] == "AAA"), "open"] = 9.8
    at_open, at_close = ((MarketRules(deal_price=price), CostRules()) for price in ("open", "close"))
    opened = book((), moved, no_actions, at_open, DAYS[0])
    orders = orders_table(("AAA", "buy", 30, 9.5, "best"))
    planned = (*opened, *record_plan(opened, orders, DAYS[0], DAYS[1], deal_price="open"))
    booked = book(planned, moved, no_actions, at_close, DAYS[1])
    (fill,) = (event for event in booked if event.kind == EventKind.FILL)
    assert fill.payload["price"] == "9.8000"
    costs = trade_costs_table(booked, moved, no_actions, DAYS[1], "close").iloc[0]
    assert costs["deal_price"] == 9.8


def test_the_price_of_a_decision_goes_through_a_split(events, bars):
    actions = actions_table((DAYS[1], "AAA", "split", 2.0))
    bought = trade_costs_table(events, bars, actions, DAYS[1], "open").iloc[0]
    assert bought["decision_price"] == 4.75


def test_a_dividend_between_decision_and_execution_is_no_gain_of_trading(events, bars):
    """Decided at 9.50 before a dividend of 0.40, executed at 10.00 after it: 0.90 a share dearer, not 0.50."""
    actions = actions_table((DAYS[1], "AAA", "cash_dividend", 0.4))
    bought = trade_costs_table(events, bars, actions, DAYS[1], "open").iloc[0]
    assert bought["decision_price"] == pytest.approx(9.1)
    assert bought["shortfall"] == pytest.approx(30 * 0.9)


def test_the_close_before_a_halt_goes_ex_with_all_that_happened_in_it(bars):
    """Last close 10.00; while halted a dividend of 2.00, then two shares for one: 4.00 a share."""
    halted = bars[~((bars["instrument"] == "AAA") & (bars["date"].isin(DAYS[1:3])))]
    actions = actions_table((DAYS[1], "AAA", "cash_dividend", 2.0), (DAYS[2], "AAA", "split", 2.0))
    facts = {"instrument": "AAA", "side": "buy", "quantity": "10", "price": "12", "fee": "1"}
    row = trade_costs_table([Event(DAYS[3], EventKind.FILL, "x", facts)], halted, actions, DAYS[3], "open").iloc[0]
    assert row["decision_price"] == 4.0


def test_an_unplanned_fill_is_measured_from_the_close_before(bars, no_actions):
    facts = {"instrument": "AAA", "side": "buy", "quantity": "10", "price": "11.50", "fee": "1"}
    row = trade_costs_table([Event(DAYS[2], EventKind.FILL, "x", facts)], bars, no_actions, DAYS[3], "open").iloc[0]
    assert (row["decision_price"], row["open"]) == (10, 11)
    assert row["shortfall"] == pytest.approx(15)
    assert not row["planned"]
    nothing = trade_costs_table([], bars, no_actions, DAYS[3], "open")
    assert nothing.empty
    assert nothing.dtypes["date"] == "datetime64[ns]"


def test_busted_and_corrected_fills_are_shown_as_they_count(events, bars, no_actions):
    fill = next(event.key for event in events if event.kind == EventKind.FILL)
    corrected = Event(
        DAYS[3], EventKind.TRADE_CORRECTION, "c", {"fill": fill, "quantity": "20", "price": "10", "fee": "0"}
    )
    table = trades_table([*events, corrected])
    assert table.iloc[0][["amendment", "quantity", "cash"]].tolist() == ["correction", 20, -200]
    assert trade_costs_table([*events, corrected], bars, no_actions, DAYS[3], "open")["quantity"].tolist() == [20, 30]
    busted = [*events, Event(DAYS[3], EventKind.TRADE_BUST, "b", {"fill": fill})]
    assert trades_table(busted).iloc[0][["amendment", "quantity", "cash"]].tolist() == ["bust", 0, 0]
    assert len(trade_costs_table(busted, bars, no_actions, DAYS[3], "open")) == 1


def test_the_cash_of_the_trade_log_is_the_cash_of_the_account(events):
    table = trades_table(events)
    assert table["cash"].sum() == pytest.approx(-30 * 10 - 0.3 + 30 * 12 - 0.36)
    assert pd.api.types.is_datetime64_any_dtype(table["date"])
