"""Statements become booked sessions: once, on the right day, to the cent."""

import dataclasses
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import yaml

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.bookkeeping import book_days, last_closes
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements import StatementFile, StatementImportParameters, import_statements
from tests.helpers.four_days import BUY, DAYS, DEPOSIT, entries, plan, statement
from tests.helpers.random_market import random_market


@pytest.fixture
def book(bars, no_actions):
    """Book statements into an account that has no exchange of its own."""

    def book(events, files, up_to=DAYS[-1]):
        days = DAYS[up_to >= DAYS]
        market = TradingMarket.from_bars(bars[bars["date"] <= up_to], no_actions, days, MarketRules())
        return (*events, *book_days(events, "mine", 0, market, entries(*files)))

    return book


def test_an_account_of_statements_opens_with_its_first_row_and_is_valued_at_every_close(book):
    state = fold(book((), [statement(DEPOSIT, BUY)]))
    # 30 shares at closes of 10, 11 and 12.
    values = [(f"{session:%m-%d}", value) for session, value, _ in state.closes]
    assert values == [
        ("12-30", Decimal("1000")),
        ("12-31", Decimal("999.65")),
        ("01-02", Decimal("1029.65")),
        ("01-03", Decimal("1059.65")),
    ]


def test_a_deposit_of_a_weekend_or_holiday_is_booked_on_the_next_session(book):
    events = book((), [statement(DEPOSIT, "2025-01-01,deposit,,,,,,250")])
    booked = next(event for event in events if event.payload.get("amount") == "250")
    assert booked.session == pd.Timestamp("2025-01-02")
    assert booked.payload["date"] == "2025-01-01"


def test_the_same_file_twice_changes_nothing(book):
    once = book((), [statement(DEPOSIT, BUY)])
    assert book(once, [statement(DEPOSIT, BUY)]) == once


def test_an_edited_file_is_an_error(book):
    once = book((), [statement(DEPOSIT, BUY)])
    with pytest.raises(AccountError, match=r"january.csv was imported before with another content"):
        book(once, [statement(DEPOSIT, BUY.replace("10.00", "10.0001"))])


def test_a_file_with_a_row_more_is_an_error_but_a_second_file_is_not(book):
    once = book((), [statement(DEPOSIT)], up_to=DAYS[0])
    with pytest.raises(AccountError, match="put what is new or corrected into a file of another name"):
        book(once, [statement(DEPOSIT, BUY)])
    both = book(once, [statement(DEPOSIT), statement(DEPOSIT, BUY, name="new.csv")])
    assert fold(both).cash == Decimal("699.65")


def test_two_equal_fills_are_two_and_an_overlapping_file_adds_neither(book):
    twice = book((), [statement(DEPOSIT, BUY, BUY)])
    assert fold(twice).positions["AAA"].quantity == 60
    overlapping = book((), [statement(DEPOSIT, BUY, BUY), statement(BUY, BUY, name="overlapping.csv")])
    assert fold(overlapping).positions["AAA"].quantity == 60
    assert fold(overlapping).cash == fold(twice).cash == Decimal("399.30")


def test_what_lies_after_the_session_waits_for_it(book):
    first = book((), [statement(DEPOSIT, BUY)], up_to=DAYS[0])
    assert fold(first).positions == {}
    assert fold(book(first, [statement(DEPOSIT, BUY)])).positions["AAA"].quantity == 30


def test_a_row_of_a_closed_session_is_booked_in_the_next_open_one_and_the_past_stays(book, caplog):
    closed = book((), [statement(DEPOSIT)], up_to=DAYS[1])
    events = book(closed, [statement(DEPOSIT), statement(BUY, name="late.csv")])
    assert events[: len(closed)] == closed
    assert fold(events, up_to=DAYS[1]).positions == {}
    assert next(event.session for event in events if event.kind == EventKind.FILL) == DAYS[2]
    assert "dated in closed sessions and are booked on 2025-01-02" in caplog.text


def test_a_row_that_contradicts_the_books_is_named(book):
    with pytest.raises(AccountError, match=r"january\.csv, row 3: sells 5 BBB, but 0 are held\. This is a short sale"):
        book((), [statement(DEPOSIT, "2024-12-31,fill,BBB,sell,5,20,0,100")])


def test_cash_that_the_books_do_not_see_is_named(bars, no_actions):
    (receipt, deposit) = entries(statement(DEPOSIT))
    lying = dataclasses.replace(deposit, cash=Decimal("999.99"))
    market = TradingMarket.from_bars(bars, no_actions, DAYS, MarketRules())
    with pytest.raises(AccountError, match=r"row 2: the statement says that cash changes by 999.99, the books by 1000"):
        book_days((), "mine", 0, market, [receipt, lying])


def test_a_statement_from_before_the_market_is_an_error(book):
    with pytest.raises(AccountError, match="dated 2024-11-01, before the first session of the market, 2024-12-30"):
        book((), [statement("2024-11-01,deposit,,,,,,1000")])


def test_a_holding_that_the_market_does_not_price_counts_at_its_cost(book, caplog):
    state = fold(book((), [statement(DEPOSIT, "2024-12-31,fill,OTC,buy,10,7,0,-70")]))
    assert state.closes[-1][1] == 1000
    assert "without a price up to 2025-01-03, valued at cost, kept and not traded: OTC" in caplog.text


def test_a_deposit_reaches_the_simulated_account_before_its_fills(bars, no_actions, rules):
    market_rules, cost_rules = rules

    def simulate(events, up_to, *files):
        known, days = bars[bars["date"] <= up_to], DAYS[up_to >= DAYS]
        exchange = Exchange(known, no_actions, days, market_rules, cost_rules)
        return (*events, *book_sessions(events, "sim", 100.0, exchange, entries(*files)))

    planned = plan(simulate((), DAYS[0]), DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    # A hundred dollars buy nine shares; with the deposit of the same morning all thirty.
    assert fold(simulate(planned, DAYS[1])).positions["AAA"].quantity == 9
    funded = simulate(planned, DAYS[1], statement("2024-12-31,deposit,,,,,,500"))
    assert fold(funded).positions["AAA"].quantity == 30
    assert simulate(funded, DAYS[1], statement("2024-12-31,deposit,,,,,,500")) == funded
    with pytest.raises(AccountError, match="was imported before with another content"):
        simulate(funded, DAYS[1], statement("2024-12-31,deposit,,,,,,501"))


def test_a_simulated_account_takes_no_fills_from_files(bars, no_actions, rules):
    with pytest.raises(AccountError, match="contradicts the simulated exchange"):
        book_sessions((), "sim", 100.0, Exchange(bars, no_actions, DAYS, *rules), entries(statement(BUY)))


def test_the_lot_method_of_an_open_account_changes_with_the_next_session(bars, no_actions):
    def book(events, up_to, lot_method, *files):
        days = DAYS[up_to >= DAYS]
        market = TradingMarket.from_bars(bars[bars["date"] <= up_to], no_actions, days, MarketRules())
        return (*events, *book_days(events, "mine", 0, market, entries(*files), lot_method=lot_method))

    bought = statement(DEPOSIT, "2024-12-30,fill,AAA,buy,10,9,0,-90", "2024-12-30,fill,AAA,buy,10,11,0,-110")
    sold = statement("2025-01-02,fill,AAA,sell,10,11,0,110", name="sold.csv")
    events = book((), DAYS[1], "fifo", bought)
    assert fold(book(events, DAYS[2], "fifo", bought, sold)).realised == 20
    assert fold(book(events, DAYS[2], "hifo", bought, sold)).realised == 0


def test_last_closes_without_a_market_are_those_that_a_market_carries():
    bars, actions, sessions, _ = random_market(seed=11, n_sessions=120)
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules())
    for row in range(0, len(sessions), 7):
        known, acted = bars[bars["date"] <= sessions[row]], actions[actions["date"] <= sessions[row]]
        closes = pd.Series(last_closes(known, acted)).reindex(market.instruments).fillna(0)
        assert np.array_equal(closes.to_numpy(dtype=np.int64), market.arrays.mark[row])


def test_a_close_is_divided_by_a_split_that_comes_after_it_and_not_by_one_of_its_own_day():
    days = pd.DatetimeIndex(["2025-01-02", "2025-01-03", "2025-01-06"])
    bars = pd.DataFrame({"date": days[:2], "instrument": "AAA", "close": [90.0, 30.0]})
    splits = pd.DataFrame({"date": days[1:], "instrument": "AAA", "kind": "split", "value": [3.0, 4.0]})
    assert last_closes(bars, splits) == {"AAA": 75_000}


def test_a_close_goes_ex_with_the_dividends_after_it_in_the_order_of_sessions():
    """A close of 90.00: three for one, then 2.50 a new share; on one day the split comes first as well."""
    days = pd.DatetimeIndex(["2025-01-02", "2025-01-03", "2025-01-06"])
    bars = pd.DataFrame({"date": days[:1], "instrument": "AAA", "close": [90.0]})
    rows = pd.DataFrame(
        {"instrument": "AAA", "kind": ["cash_dividend", "split"], "value": [2.5, 3.0]},
        columns=["date", "instrument", "kind", "value"],
    )
    assert last_closes(bars, rows.assign(date=[days[2], days[1]])) == {"AAA": 275_000}
    assert last_closes(bars, rows.assign(date=days[1])) == {"AAA": 275_000}
    assert last_closes(bars, rows.assign(date=[days[1], days[2]])) == {"AAA": 291_667}
    assert last_closes(bars, rows.assign(date=days[0])) == {"AAA": 900_000}


IB = """\
Statement,Header,Field Name,Field Value
Statement,Data,Period,"December 30, 2024 - January 3, 2025"
Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price,Proceeds,Comm/Fee,Code
Trades,Data,Order,Stocks,USD,AAA,"2024-12-30, 10:00:00",{quantity},10,{proceeds},{fee},{code}
Deposits & Withdrawals,Header,Currency,Settle Date,Description,Amount
Deposits & Withdrawals,Data,USD,2024-12-30,Electronic Fund Transfer,1000
"""


@pytest.mark.parametrize("together", [False, True])
def test_order_that_was_half_filled_in_an_earlier_statement_counts_once(bars, no_actions, project_path, together):
    written = yaml.safe_load((project_path / "conf/base/parameters_statement_import.yml").read_text(encoding="utf-8"))
    parameters = StatementImportParameters.model_validate(written["statement_import"])
    half = StatementFile(
        "interactive_brokers_day.csv", IB.format(quantity=10, proceeds=-100, fee=-0.5, code="O;P").encode()
    )
    whole = StatementFile(
        "interactive_brokers_q1.csv", IB.format(quantity=20, proceeds=-200, fee=-1, code="O").encode()
    )

    def book(events, files, up_to):
        market = TradingMarket.from_bars(bars[bars["date"] <= up_to], no_actions, DAYS[up_to >= DAYS], MarketRules())
        entries = import_statements(files, parameters, "XNYS").entries
        return (*events, *book_days(events, "mine", 0, market, entries))

    events = () if together else book((), [half], DAYS[1])
    for _ in range(2):
        events = book(events, [half, whole], DAYS[-1])
    state = fold(events)
    assert (state.cash, state.positions["AAA"].quantity) == (799, 20)
    assert [(str(lot.cost), f"{lot.session:%Y-%m-%d}") for lot in state.positions["AAA"].lots] == [
        ("201", "2024-12-30")
    ]
    assert sum(event.kind is EventKind.TRADE_CORRECTION for event in events) == (not together)
    assert state.discrepancy == 0


SPLIT = "2025-01-02,split,AAA,,90,,,"
"""30 shares become 120."""


def lots(events, instrument="AAA"):
    return [(lot.quantity, lot.cost) for lot in fold(events).positions[instrument].lots]


def test_a_split_of_a_closed_session_leaves_the_shares_that_were_bought_since(book):
    since = "2025-01-02,fill,AAA,buy,4,2.75,0,-11"
    once = book((), [statement(DEPOSIT, BUY, since)], up_to=DAYS[2])
    both = book(once, [statement(DEPOSIT, BUY, since), statement(SPLIT, name="late.csv")])
    assert lots(both) == [(120, Decimal("300.35")), (4, 11)]
    assert book(both, [statement(DEPOSIT, BUY, since), statement(SPLIT, name="late.csv")]) == both


def test_a_trade_of_a_closed_session_is_split_by_the_split_that_came_before_it(book):
    late = "2024-12-31,fill,AAA,buy,10,10,0,-100"
    split = SPLIT.replace(",90,", ",120,")
    once = book((), [statement(DEPOSIT, BUY, split)], up_to=DAYS[2])
    both = book(once, [statement(DEPOSIT, BUY, split), statement(late, name="late.csv")])
    assert lots(both) == [(120, Decimal("300.35")), (40, 100)]
