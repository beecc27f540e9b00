"""Fault scenarios 09 to 22, and 26: fills that come in parts, late, twice, too large, or of another owner's orders."""

from dataclasses import replace
from decimal import Decimal

import pytest

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.broker_records import OrderRequest, PositionActivity, PositionKind
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.orders.collection import collect
from quant_pipeline.trading.orders.execution import recover
from quant_pipeline.trading.orders.reconciliation import find_breaks
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.orders.sending import send_side
from quant_pipeline.trading.orders.states import OrderState
from tests.helpers.trading_day import EVERY_ORDER, GOOD_DAY


def test_09_orders_fill_in_parts(day):
    lived = day(Fault.PARTIAL_FILLS).live()
    order = lived.order("BBB")
    known = next(o for o in lived.broker.all_orders() if o.instrument == "BBB")
    fills = [e for e in lived.desk.journal.ledger.events() if e.kind is EventKind.FILL]
    parts = [e.payload for e in fills if e.payload["instrument"] == "BBB"]
    assert len(parts) > 1
    assert order.filled == 90
    assert order.value == sum(Decimal(p["quantity"]) * Decimal(p["price"]) for p in parts)
    assert order.average_price == pytest.approx(known.average_fill_price, abs=Decimal("1e-20"))


def test_10_the_broker_cancels_the_rest(day):
    lived = day(Fault.CANCELS_REST).live()
    order = lived.order("AAA")
    assert (order.state, order.filled, order.quantity) == (OrderState.CANCELED, 10, 30)
    assert [r.instrument for r in lived.broker.received].count("AAA") == 1


def test_11_activities_are_reported_twice(day):
    lived = day(Fault.REPEATED_ACTIVITIES).live()
    fills = [e.payload["instrument"] for e in lived.desk.journal.ledger.events() if e.kind is EventKind.FILL]
    assert sorted(fills) == EVERY_ORDER


def test_12_orders_fill_while_no_stream_is_connected(day):
    lived = day()
    lived.plan()
    send_side(lived.desk, "sell")
    lived.broker.advance(600)
    assert find_breaks(lived.desk) != ()
    collect(lived.desk)
    assert find_breaks(lived.desk) == ()


def test_13_the_broker_uses_unknown_words(day):
    lived = day(Fault.UNKNOWN_STATUS, Fault.UNKNOWN_ACTIVITY).live()
    assert lived.states() == GOOD_DAY
    assert lived.alerts() == {"UNKNOWN_STATUS", "UNKNOWN_ACTIVITY"}


def test_14_activities_lag_behind_the_orders(day):
    lived = day(Fault.SLOW_ACTIVITIES).live()
    assert lived.states() == GOOD_DAY
    assert lived.desk.journal.book.trading_state is TradingState.ACTIVE


def test_15_a_fill_is_never_reported_and_then_it_is(day):
    lived = day(Fault.MISSING_ACTIVITY)
    lived.plan()
    lived.execute()
    order = lived.order("SELL")
    assert (order.filled, order.inferred) == (50, 50)
    assert lived.desk.journal.book.trading_state is TradingState.REDUCING
    assert lived.states()["AAA"] == "denied"
    assert find_breaks(lived.desk) == ()
    lived.broker.tell_withheld()
    collect(lived.desk)
    order = lived.order("SELL")
    assert (order.filled, order.inferred) == (50, 0)
    assert find_breaks(lived.desk) == ()


def test_16_orders_fill_before_the_answer_arrives(day):
    assert day(Fault.FILL_BEFORE_ANSWER).live().states() == GOOD_DAY


def test_17_an_order_fills_after_it_was_cancelled(day):
    lived = day(Fault.LATE_FILL).live()
    order = lived.order("SELL")
    assert (order.state, order.filled) == (OrderState.CANCELED, 1)


def test_17_an_order_fills_after_its_end_was_booked(day):
    lived = day()
    lived.plan()
    send_side(lived.desk, "buy")
    name = lived.order("AAA").order.client_order_id
    lived.broker.cancel(name)
    collect(lived.desk)
    assert lived.states()["AAA"] == "canceled"
    lived.broker._fill(name, Decimal(3), reopen=False)
    collect(lived.desk)
    assert (lived.order("AAA").state, lived.order("AAA").filled) == (OrderState.CANCELED, 3)
    assert lived.alerts() == {"LATE_FILL"}
    assert find_breaks(lived.desk) == ()


def test_26_more_is_filled_than_was_ordered(day):
    lived = day()
    lived.plan()
    send_side(lived.desk, "buy")
    lived.broker._fill(lived.order("AAA").order.client_order_id, Decimal(31))
    collect(lived.desk)
    assert lived.order("AAA").filled == 31
    assert lived.desk.journal.book.trading_state is TradingState.HALTED
    assert lived.states()["BBB"] == "pending_cancel"


def test_26_the_broker_has_another_order_than_was_recorded(day):
    class Deaf(FaultyBroker):
        def submit(self, order):
            return super().submit(replace(order, quantity=order.quantity + 1))

    lived = day(broker=Deaf(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED))
    lived.plan()
    send_side(lived.desk, "buy")
    assert lived.desk.journal.book.trading_state is TradingState.HALTED
    assert lived.at_broker() == ["AAA"]


def test_19_an_order_bears_our_name_but_no_plan_has_it(day):
    lived = day()
    lived.plan()
    lived.broker.submit(OrderRequest("chaos-20250103-OUT-buy-9", "OUT", "buy", Decimal(4)))
    collect(lived.desk)
    assert lived.alerts() == {"ORDER_NOT_PLANNED"}
    assert lived.desk.journal.book.trading_state is TradingState.REDUCING
    lived.execute()
    assert lived.at_broker() == ["OUT", "SELL"]
    assert lived.states()["OUT"] == "canceled"


@pytest.mark.parametrize(("fault", "filled"), [(Fault.BUST, 0), (Fault.CORRECTION, 30)])
def test_18_a_fill_is_busted_or_corrected(day, fault, filled):
    lived = day(fault).live()
    assert lived.order("AAA").filled == filled
    kinds = [e.kind for e in lived.desk.journal.ledger.events()]
    assert (EventKind.TRADE_BUST in kinds, EventKind.TRADE_CORRECTION in kinds) == (filled == 0, filled == 30)


@pytest.mark.parametrize(("shares", "state"), [(2, TradingState.ACTIVE), (200, TradingState.REDUCING)])
def test_19_the_account_is_traded_by_hand_too(day, shares, state):
    lived = day()
    lived.plan()
    lived.broker.trade_by_hand("OUT", "buy", Decimal(shares))
    lived.execute()
    assert lived.desk.journal.book.trading_state is state
    assert "EXTERNAL_FILL" in lived.alerts()
    assert lived.desk.journal.account.positions["OUT"].quantity == shares
    assert find_breaks(lived.desk) == ()


def test_20_what_is_held_is_split(day):
    lived = day(Fault.SPLIT).live()
    held = lived.desk.journal.account.positions["AAA"]
    assert (held.quantity, held.cost) == (120, lived.order("AAA").value)


def test_21_a_dividend_is_booked_from_the_broker_only(day):
    lived = day(Fault.DIVIDEND).live()
    assert lived.desk.journal.account.dividends == Decimal("7.50")


def test_21_no_dividend_is_invented_where_the_broker_pays_none(day):
    assert day().live().desk.journal.account.dividends == 0


def test_22_a_held_name_changes_and_the_old_one_is_dead(day):
    lived = day()
    recover(lived.desk)
    today = rehearsal.SESSION
    lived.broker.held["KEPT"] = lived.broker.held.pop("KEEP")
    lived.broker.prices["KEPT"] = lived.broker.prices.pop("KEEP")
    lived.broker.tell(
        PositionActivity("20250103-000001", today, PositionKind.SYMBOL_CHANGE, "KEEP", Decimal(-40)),
        PositionActivity("20250103-000002", today, PositionKind.SYMBOL_CHANGE, "KEPT", Decimal(40)),
    )
    assert recover(lived.desk) == ()
    assert lived.desk.journal.account.positions["KEPT"].cost == 2000
    assert "KEEP" not in lived.desk.journal.account.positions
