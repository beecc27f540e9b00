"""A halt, a kill switch and a state that lets only exits through hold in the simulated account's daily run, too."""

from decimal import Decimal

import pytest

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.execution import verdict_events
from quant_pipeline.trading.orders.risk_view import TradingState, Verdict
from tests.helpers.four_days import DAYS, actions_table, bars_table, plan


def book(events, number, stop=None):
    bars = bars_table()
    exchange = Exchange(
        bars[bars["date"] <= DAYS[number]], actions_table(), DAYS[: number + 1], MarketRules(), CostRules()
    )
    return (*events, *book_sessions(events, "sim", 1000.0, exchange, stop=stop))


@pytest.fixture
def planned():
    """An account that holds 20 AAA and has planned to sell 10 of them and to buy BBB in the third session."""
    held = book(plan(book((), 0), DAYS[0], DAYS[1], ("AAA", "buy", 20, 10.0, "best")), 1)
    return plan(held, DAYS[1], DAYS[2], ("AAA", "sell", 10, 10.0, "out"), ("BBB", "buy", 5, 20.0, "in"))


def change(events, state):
    number = sum(event.kind is EventKind.TRADING_STATE_CHANGED for event in events)
    return (*events, trading_state_event(DAYS[1], number, state, "OPERATOR", "drill"))


def held(events):
    return {name: int(position.quantity) for name, position in fold(events).positions.items()}


def orders_of(events):
    found = AccountOrders.of(events).of_session(DAYS[2])
    return {(order.order.side, str(order.state), order.message) for order in found}


def test_nothing_of_a_halted_account_executes_and_every_order_says_why(planned):
    booked = book(change(planned, TradingState.HALTED), 2)
    assert held(booked) == {"AAA": 20}
    message = "TRADING_HALTED: the account is halted"
    assert orders_of(booked) == {("sell", "denied", message), ("buy", "denied", message)}
    assert fold(booked).closes[-1][0] == DAYS[2]
    assert book(booked, 2) == booked


def test_a_resumed_account_executes_its_plan(planned):
    booked = book(change(change(planned, TradingState.HALTED), TradingState.ACTIVE), 2)
    assert held(booked) == {"AAA": 10, "BBB": 5}


def test_only_sales_of_a_reducing_account_execute(planned):
    booked = book(change(planned, TradingState.REDUCING), 2)
    assert held(booked) == {"AAA": 10}
    assert orders_of(booked) == {("buy", "denied", "REDUCE_ONLY: the account lets only exits through")}


def test_a_kill_switch_that_the_ledger_does_not_know_stops_the_exchange(planned):
    booked = book(planned, 2, stop="the kill switch file STOP exists")
    assert held(booked) == {"AAA": 20}
    assert {message for _, _, message in orders_of(booked)} == {"TRADING_HALTED: the kill switch file STOP exists"}
    # What a switch held back is not executed later.
    assert held(book(booked, 3)) == {"AAA": 20}


def test_orders_that_were_sent_before_the_halt_are_cancelled_and_stay_when_only_buys_are_closed(planned):
    orders = fold(planned).plans[DAYS[2]].orders
    recorded = verdict_events([Verdict(order) for order in orders], f"{DAYS[2]:%Y-%m-%d}", {})
    accepted = [
        Event(DAYS[2], EventKind.ORDER_ACCEPTED, f"accepted:{name}", {"client_order_id": name, "broker_order_id": name})
        for name in (order.client_order_id for order in orders)
    ]
    sent = (*planned, *recorded, *accepted)
    halted = book(change(sent, TradingState.HALTED), 2)
    assert held(halted) == {"AAA": 20}
    assert orders_of(halted) == {(side, "canceled", "the account is halted") for side in ("sell", "buy")}
    assert held(book(change(sent, TradingState.REDUCING), 2)) == {"AAA": 10, "BBB": 5}


def test_dividends_and_deposits_are_booked_while_halted(planned):
    halted = change(planned, TradingState.HALTED)
    bars = bars_table()
    paid = actions_table((DAYS[2], "AAA", "cash_dividend", 0.5))
    exchange = Exchange(bars[bars["date"] <= DAYS[2]], paid, DAYS[:3], MarketRules(), CostRules())
    booked = (*halted, *book_sessions(halted, "sim", 1000.0, exchange))
    assert fold(booked).dividends == Decimal(10)
