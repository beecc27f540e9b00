"""Busts and corrections: books, orders, trade log and costs count the same, whatever was said in whatever order."""

from dataclasses import asdict
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.amendments import EffectiveFill, effective_fills
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.ledger.tables import trades_table
from quant_pipeline.trading.ledger.trade_costs import trade_costs_table
from quant_pipeline.trading.orders.account_orders import AccountOrders
from tests.helpers.four_days import DAYS, actions_table, bars_table

CASH = 1_000
ORDER = Order("acc-1", "AAA", "buy", 20, "10", "test")
FILL = {"client_order_id": "acc-1", "instrument": "AAA", "side": "buy", "requested": "20", "status": "filled"}
FILL |= {"message": "", "quantity": "20", "price": "10", "fee": "1"}
BUST = None
numbers = st.integers(1, 30).map(str)
corrections = st.dictionaries(st.sampled_from(["quantity", "price", "fee"]), numbers)


def at(kind, key, day=1, **facts):
    return Event(DAYS[day], kind, key, facts)


def said(amendments, **facts):
    """Write a ledger with one fill and what was said about it since."""
    events = [
        at(EventKind.ACCOUNT_OPENED, "open", day=0, account="acc", cash=str(CASH)),
        at(EventKind.ORDER_RECORDED, "order:acc-1", order=asdict(ORDER), deal_session="2024-12-31"),
        at(EventKind.FILL, "f1", **FILL | facts),
    ]
    for index, amendment in enumerate(amendments):
        if amendment is BUST:
            events.append(at(EventKind.TRADE_BUST, f"a{index}", day=2, fill="f1"))
        else:
            events.append(at(EventKind.TRADE_CORRECTION, f"a{index}", day=2, fill="f1", **amendment))
    return events


@given(st.lists(st.one_of(st.none(), corrections), max_size=5))
def test_every_reader_counts_the_same(amendments):
    events = said(amendments)
    facts, is_busted = {name: Decimal(FILL[name]) for name in ("quantity", "price", "fee")}, False
    for amendment in amendments:
        is_busted = amendment is BUST
        facts |= {name: Decimal(value) for name, value in (amendment or {}).items()}
    quantity = 0 if is_busted else facts["quantity"]
    value, fee = quantity * facts["price"], 0 if is_busted else facts["fee"]

    account = fold(events)
    assert account.cash == CASH - value - fee
    assert sum(held.quantity for held in account.positions.values()) == quantity
    assert account.discrepancy == 0
    order = AccountOrders.of(events).orders["acc-1"]
    assert (order.filled, order.value) == (quantity, value)
    (row,) = trades_table(events).to_dict("records")
    assert (row["quantity"], row["fee"], row["cash"]) == (float(quantity), float(fee), -float(value + fee))
    costs = trade_costs_table(events, bars_table(), actions_table(), DAYS[3], "open")
    counted = [] if is_busted else [(float(quantity), float(facts["price"]), float(fee))]
    assert list(costs[["quantity", "price", "fee"]].itertuples(index=False, name=None)) == counted


def test_a_correction_after_a_bust_says_that_it_happened_after_all():
    fill = effective_fills(said([BUST, {"price": "11"}]))["f1"]
    assert fill.counts
    assert (fill.quantity, fill.value, fill.amendment) == (20, 220, "correction")


def test_corrections_add_up():
    fill = effective_fills(said([{"quantity": "15"}, {"price": "11"}]))["f1"]
    assert (fill.quantity, fill.value) == (15, 165)


@pytest.mark.parametrize(("amendment", "cash"), [({"price": "11"}, -221.0), ({"cash": "-205.5"}, -205.5)])
def test_cash_of_the_original_does_not_outlive_a_correction_that_names_none(amendment, cash):
    events = said([amendment], cash="-201.04")
    assert float(fold(events).cash) == CASH + cash
    assert trades_table(events)["cash"].tolist() == [cash]


def test_a_corrected_guess_stays_a_guess_of_its_new_size():
    order = AccountOrders.of(said([{"quantity": "15"}], inferred=True)).orders["acc-1"]
    assert (order.filled, order.inferred) == (15, 15)
    order = AccountOrders.of(said([{"quantity": "15"}, BUST], inferred=True)).orders["acc-1"]
    assert (order.filled, order.inferred) == (0, 0)


def test_a_bust_keeps_what_the_fill_was_for_later_readers():
    fill = EffectiveFill.of(at(EventKind.FILL, "f1", **FILL)).amended(at(EventKind.TRADE_BUST, "b", fill="f1"))
    assert (fill.quantity, fill.value) == (0, 0)
    assert fill.booked["quantity"] == fill.booked["fee"] == fill.booked["cash"] == "0"
    assert fill.facts["quantity"] == "20"
    assert pd.Timestamp(fill.event.session) == DAYS[1]
