"""The simulated account by hand: literal shares, cash and profit."""

from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.tables import holdings_table, net_asset_value_table, trades_table
from tests.helpers.four_days import DAYS, actions_table, book, plan
from tests.helpers.properties import examples


@pytest.fixture
def opened(bars, no_actions, rules):
    return book((), bars, no_actions, rules, DAYS[0])


def test_an_account_opens_with_its_deposit_on_the_first_session(opened):
    state = fold(opened)
    assert state.cash == Decimal("1000.0000")
    assert state.closes == [(DAYS[0], Decimal("1000.0000"), Decimal("1000.0000"))]


def test_a_planned_buy_executes_at_the_next_open_with_its_fee(opened, bars, no_actions, rules):
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    state = fold(book(planned, bars, no_actions, rules, DAYS[1]))
    # 30 shares at 10.00 and a fee of 0.1 % = 0.30.
    assert state.cash == Decimal("699.7000")
    assert state.positions["AAA"].quantity == 30
    assert state.positions["AAA"].sessions_held == 1
    assert state.closes[-1][1] == Decimal("999.7000")


def test_a_sale_realises_profit_first_in_first_out(opened, bars, no_actions, rules):
    events = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    events = book(events, bars, no_actions, rules, DAYS[1])
    events = plan(events, DAYS[1], DAYS[2], ("AAA", "buy", 10, 10.0, "more"))
    events = book(events, bars, no_actions, rules, DAYS[2])
    events = plan(events, DAYS[2], DAYS[3], ("AAA", "sell", 30, 11.0, "enough"))
    state = fold(book(events, bars, no_actions, rules, DAYS[3]))
    # Sold 30 at 12.00 less 0.36; they had cost 300.30. Ten remain that cost 110.11.
    assert state.realised == Decimal("59.3400")
    assert state.positions["AAA"].cost == Decimal("110.1100")
    assert state.cash == Decimal("1000") - Decimal("300.30") - Decimal("110.11") + Decimal("359.64")


def test_missed_days_are_caught_up_and_a_second_run_books_nothing(opened, bars, no_actions, rules):
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    at_once = book(planned, bars, no_actions, rules, DAYS[3])
    step = planned
    for day in DAYS[1:]:
        step = book(step, bars, no_actions, rules, day)
    assert at_once == step
    assert book(at_once, bars, no_actions, rules, DAYS[3]) == at_once


def test_split_dividend_and_delisting_reach_the_account(opened, bars, rules):
    actions = actions_table(
        (DAYS[2], "AAA", "split", 0.1),
        (DAYS[2], "BBB", "cash_dividend", 0.25),
        (DAYS[3], "BBB", "delisting", 18.0),
    )
    gone = bars.drop(index=bars.index[(bars["instrument"] == "BBB") & (bars["date"] == DAYS[3])])
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 25, 10.0, "best"), ("BBB", "buy", 20, 20.0, "best"))
    events = book(planned, gone, actions, rules, DAYS[2])
    state = fold(events)
    # 25 old shares become 2 new ones; the half share is paid at the previous close of 10.00 before the split, 50.00.
    assert state.positions["AAA"].quantity == 2
    assert state.dividends == Decimal("5.0000")
    assert state.cash == Decimal("1000") - Decimal("250.25") - Decimal("400.40") + Decimal("50") + Decimal("5")
    state = fold(book(events, gone, actions, rules, DAYS[3]))
    assert "BBB" not in state.positions
    assert state.cash == Decimal("404.35") + Decimal("360")


def test_interest_and_the_tax_on_dividends_are_booked_apart(opened, bars, rules):
    carrying = MarketRules(cash_interest_rate=0.365, dividend_tax_rate=0.2), rules[1]
    actions = actions_table((DAYS[2], "BBB", "cash_dividend", 0.25))
    planned = plan(opened, DAYS[0], DAYS[1], ("BBB", "buy", 20, 20.0, "best"))
    state = fold(book(planned, bars, actions, carrying, DAYS[2]))
    # A tenth of a percent a day: 1.00 on 1,000 for a day, then 1.20 on 600.60 for the two days over New Year.
    assert state.interest == Decimal("2.20")
    assert (state.dividends, state.taxes) == (Decimal("5.00"), Decimal("1.00"))
    assert state.cash == Decimal("1000") + Decimal("1.00") - Decimal("400.40") + Decimal("1.20") + Decimal("4.00")


def test_an_order_without_a_bar_ends_and_is_reported(opened, bars, no_actions, rules):
    halted = bars.drop(index=bars.index[(bars["instrument"] == "AAA") & (bars["date"] == DAYS[1])])
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    events = book(planned, halted, no_actions, rules, DAYS[1])
    trades = trades_table(events)
    assert trades[["instrument", "status"]].to_numpy().tolist() == [["AAA", "expired"]]
    assert fold(events).cash == Decimal("1000.0000")


def test_the_same_plan_is_recorded_once_and_another_replaces_it_openly(opened):
    first = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    assert plan(first, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best")) == first
    second = plan(first, DAYS[0], DAYS[1], ("AAA", "buy", 31, 10.0, "best"))
    assert [event.key for event in second if event.kind == EventKind.PLAN_RECORDED] == [
        "plan:2024-12-31:0",
        "plan:2024-12-31:1",
    ]
    assert fold(second).plans[DAYS[1]].orders[0].client_order_id == "sim-20241231-AAA-buy-1"


def test_an_executed_session_is_not_planned_again(opened, bars, no_actions, rules):
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    booked = book(planned, bars, no_actions, rules, DAYS[1])
    assert plan(booked, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best")) == booked
    with pytest.raises(AccountError, match="has booked 2024-12-31 already"):
        plan(booked, DAYS[0], DAYS[1], ("AAA", "buy", 1, 10.0, "best"))


def test_the_state_of_an_earlier_session_does_not_see_later_ones(opened, bars, no_actions, rules):
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    events = book(planned, bars, no_actions, rules, DAYS[3])
    assert fold(events, up_to=DAYS[0]).positions == {}
    assert fold(events, up_to=DAYS[1]).closes[-1][1] == Decimal("999.7000")


def test_tables_state_holdings_and_value(opened, bars, no_actions, rules):
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    state = fold(book(planned, bars, no_actions, rules, DAYS[2]))
    row = holdings_table(state, pd.Series({"AAA": 11.0})).iloc[0]
    assert row[["instrument", "quantity", "sessions_held"]].tolist() == ["AAA", 30, 2]
    assert row["average_cost"] == pytest.approx(10.01)
    assert row["unrealised_profit"] == pytest.approx(29.70)
    assert net_asset_value_table(state)["nav"].tolist() == pytest.approx([1000.0, 999.7, 1029.7])


def test_a_ledger_that_lost_an_event_is_found_at_the_close(opened, bars, no_actions, rules):
    planned = plan(opened, DAYS[0], DAYS[1], ("AAA", "buy", 30, 10.0, "best"))
    events = book(planned, bars, no_actions, rules, DAYS[1])
    without_fill = [event for event in events if event.kind != EventKind.FILL]
    with pytest.raises(AccountError, match="an event is missing or was booked twice"):
        fold(without_fill)


def test_selling_what_is_not_held_is_an_error():
    facts = {
        "client_order_id": "x",
        "instrument": "AAA",
        "side": "sell",
        "quantity": "5",
        "price": "1.0000",
        "fee": "0.0000",
    }
    with pytest.raises(AccountError, match="sells 5 AAA but holds 0"):
        fold([Event(DAYS[0], EventKind.FILL, "fill:x", facts)])


@given(
    trades=st.lists(
        st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(1, 5000), st.integers(0, 300)),
        max_size=25,
    )
)
@settings(max_examples=examples(80))
def test_cash_shares_and_profit_are_conserved_under_any_fills(trades):
    opened = Event(DAYS[0], EventKind.ACCOUNT_OPENED, "open", {"account": "sim", "cash": "1000.0000"})
    events, held, cash = [opened], 0, Decimal(1000)
    for number, (side, quantity, cents, fee) in enumerate(trades):
        if side == "sell" and quantity > held:
            continue
        price, paid = Decimal(cents) / 100, Decimal(fee) / 100
        held += quantity if side == "buy" else -quantity
        cash += (-1 if side == "buy" else 1) * quantity * price - paid
        facts = {"instrument": "AAA", "side": side, "quantity": str(quantity), "price": str(price), "fee": str(paid)}
        events.append(Event(DAYS[1], EventKind.FILL, f"fill:{number}", facts))
    state = fold(events)
    shares = state.positions["AAA"].quantity if "AAA" in state.positions else 0
    cost = state.positions["AAA"].cost if "AAA" in state.positions else Decimal(0)
    assert shares == held
    assert state.cash == cash
    # What is not in cash is in shares at cost, or was gained or lost.
    assert state.cash + cost - state.realised == 1000
