"""What every broker behind the port must do: the simulated one, and Alpaca's adapter before the fake Alpaca."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.trading.broker_records import (
    CashActivity,
    CashKind,
    FillActivity,
    LastTrade,
    OrderRequest,
    OrderStatus,
    PositionActivity,
    PositionKind,
    TimeInForce,
)
from quant_pipeline.trading.ports import (
    DuplicateOrderError,
    OrderNotCancelableError,
    OrderRejectedError,
    UnknownOrderError,
)
from tests.helpers.brokers import SESSIONS, AlpacaHarness, SimulatedHarness


@pytest.fixture(params=[SimulatedHarness, AlpacaHarness], ids=["simulated", "alpaca"])
def harness(request, tmp_path):
    harness = request.param(tmp_path)
    yield harness
    harness.stop()


@pytest.fixture
def broker(harness):
    return harness.broker


def order(name, instrument="AAA", side="buy", quantity=10, **terms):
    return OrderRequest(name, instrument, side, Decimal(quantity), **terms)


def test_a_new_account_has_its_deposit_and_nothing_else(broker):
    account = broker.account()
    assert (account.cash, account.equity, account.buying_power) == (10_000, 10_000, 10_000)
    assert account.currency == "USD"
    assert not account.trading_blocked
    assert not account.suspended
    assert broker.positions() == ()
    assert broker.open_orders() == ()
    assert list(broker.activities()) == []


def test_an_order_is_accepted_then_dealt_in_the_next_session(harness, broker):
    accepted = broker.submit(order("one"))
    assert (accepted.status, accepted.filled_quantity) == (OrderStatus.ACCEPTED, 0)
    assert [waiting.client_order_id for waiting in broker.open_orders()] == ["one"]
    harness.next_session()
    dealt = broker.order_by_client_id("one")
    assert (dealt.status, dealt.filled_quantity, dealt.average_fill_price) == (OrderStatus.FILLED, 10, 40)
    assert dealt.broker_order_id == accepted.broker_order_id
    assert broker.open_orders() == ()
    (position,) = broker.positions()
    assert (position.instrument, position.quantity, position.available) == ("AAA", 10, 10)
    assert (position.average_entry_price, position.market_value) == (40, 400)
    account = broker.account()
    assert (account.cash, account.equity) == (9_600, 10_000)


def test_every_amount_is_exact(harness, broker):
    broker.submit(order("one", quantity=7))
    harness.next_session()
    amounts = [broker.account().cash, broker.account().equity, broker.order_by_client_id("one").average_fill_price]
    amounts += [activity.price for activity in broker.activities()]
    assert all(isinstance(amount, Decimal) for amount in amounts)


def test_a_client_order_id_is_taken_once_for_ever(harness, broker):
    broker.submit(order("one"))
    for _ in range(2):
        with pytest.raises(DuplicateOrderError, match="one"):
            broker.submit(order("one"))
        with pytest.raises(DuplicateOrderError):
            broker.submit(order("one", quantity=99))
        harness.next_session()
    (position,) = broker.positions()
    assert position.quantity == 10
    assert len(list(broker.activities())) == 1


def test_an_unknown_name_is_no_order(broker):
    assert broker.order_by_client_id("never") is None
    with pytest.raises(UnknownOrderError, match="never"):
        broker.cancel("never")


@pytest.mark.parametrize(
    "impossible",
    [
        order("bad", instrument="NONE"),
        order("bad", side="sell"),
        order("bad", quantity=0),
        order("bad", quantity=-5),
        order("bad", quantity=Decimal("0.5"), time_in_force=TimeInForce.OPENING),
    ],
    ids=["unknown instrument", "nothing to sell", "zero", "negative", "fraction"],
)
def test_an_impossible_order_is_rejected_and_was_never_there(broker, impossible):
    with pytest.raises(OrderRejectedError, match="refuses order bad"):
        broker.submit(impossible)
    assert broker.order_by_client_id("bad") is None
    assert broker.open_orders() == ()


def test_shares_are_promised_to_one_sale_only(harness, broker):
    broker.submit(order("one"))
    harness.next_session()
    broker.submit(order("two", side="sell", quantity=8))
    (position,) = broker.positions()
    assert (position.quantity, position.available) == (10, 2)
    with pytest.raises(OrderRejectedError, match="insufficient"):
        broker.submit(order("three", side="sell", quantity=3))
    broker.submit(order("four", side="sell", quantity=2))
    harness.next_session()
    assert broker.positions() == ()
    assert broker.account().cash == 10_000


def test_a_cancelled_order_does_not_deal(harness, broker):
    broker.submit(order("one"))
    broker.cancel("one")
    harness.next_session()
    ended = broker.order_by_client_id("one")
    assert (ended.status, ended.filled_quantity) == (OrderStatus.CANCELED, 0)
    assert broker.account().cash == 10_000
    with pytest.raises(OrderNotCancelableError):
        broker.cancel("one")


def test_all_orders_can_be_cancelled_at_once(broker):
    for name in ("one", "two", "three"):
        broker.submit(order(name, quantity=1))
    broker.cancel_all()
    assert broker.open_orders() == ()
    assert broker.order_by_client_id("two").status is OrderStatus.CANCELED


def test_a_dealt_order_cannot_be_cancelled(harness, broker):
    broker.submit(order("one"))
    harness.next_session()
    with pytest.raises(OrderNotCancelableError):
        broker.cancel("one")
    assert broker.order_by_client_id("one").status is OrderStatus.FILLED


def test_a_fill_tells_its_order_and_its_session(harness, broker):
    sent = broker.submit(order("one"))
    harness.next_session()
    (fill,) = broker.activities()
    assert isinstance(fill, FillActivity)
    assert fill.broker_order_id == sent.broker_order_id
    assert (fill.instrument, fill.side, fill.quantity, fill.price) == ("AAA", "buy", 10, 40)
    assert fill.date == SESSIONS[1]
    assert fill.cumulative_quantity == 10


def test_the_cursor_divides_seen_from_new(harness, broker):
    broker.submit(order("one"))
    harness.next_session()
    (first,) = broker.activities()
    broker.submit(order("two", instrument="BBB", quantity=5))
    harness.next_session()
    (second,) = broker.activities(after=first.activity_id)
    assert second.instrument == "BBB"
    assert [activity.activity_id for activity in broker.activities()] == [first.activity_id, second.activity_id]
    assert [activity.activity_id for activity in broker.activities(since=SESSIONS[2])] == [second.activity_id]
    assert list(broker.activities(after=second.activity_id)) == []


def test_orders_can_be_listed_since_an_instant(harness, broker):
    broker.submit(order("one", quantity=1))
    harness.next_session()
    broker.submit(order("two", quantity=1))
    both = broker.orders(SESSIONS[0].tz_localize("UTC"))
    assert [known.client_order_id for known in both] == ["one", "two"]
    late = broker.orders(broker.order_by_client_id("two").submitted_at)
    assert [known.client_order_id for known in late] == ["two"]


def test_a_deposit_is_cash_and_an_activity(harness, broker):
    harness.deposit("250.50")
    (deposit,) = broker.activities()
    assert isinstance(deposit, CashActivity)
    assert (deposit.kind, deposit.amount) == (CashKind.TRANSFER, Decimal("250.50"))
    assert broker.account().cash == Decimal("10250.50")


def test_split_and_dividend_change_the_account_and_are_told(harness, broker):
    broker.submit(order("one", quantity=10))
    broker.submit(order("two", instrument="BBB", quantity=30))
    for _ in range(2):
        harness.next_session()
    before = broker.account().equity
    seen = max(activity.activity_id for activity in broker.activities())
    harness.next_session()
    split, dividend = sorted(broker.activities(after=seen), key=lambda activity: activity.instrument)
    assert isinstance(split, PositionActivity)
    assert (split.kind, split.quantity, split.amount) == (PositionKind.SPLIT, 30, 0)
    assert (dividend.kind, dividend.amount) == (CashKind.DIVIDEND, 15)
    held = {position.instrument: position for position in broker.positions()}
    assert (held["AAA"].quantity, held["AAA"].average_entry_price) == (40, 10)
    assert broker.account().equity == before + 15


def test_a_sale_leaves_the_mean_cost_of_the_rest(harness, broker):
    for name, side, quantity in (("one", "buy", 10), ("two", "buy", 10), ("three", "sell", 5)):
        broker.submit(order(name, instrument="BBB", side=side, quantity=quantity))
        harness.next_session()
    (position,) = broker.positions()
    assert (position.quantity, position.average_entry_price, position.market_value) == (15, Decimal("22.5"), 375)


def test_activities_explain_all_cash_and_all_shares(harness, broker):
    """Conservation: what the feed tells is exactly what the account has."""
    harness.deposit("100")
    broker.submit(order("one", quantity=12))
    broker.submit(order("two", instrument="BBB", quantity=30))
    harness.next_session()
    broker.submit(order("three", side="sell", quantity=5))
    harness.next_session()
    harness.next_session()
    cash, shares = Decimal(10_000), {}
    for activity in broker.activities():
        if isinstance(activity, FillActivity):
            signed = activity.quantity if activity.side == "buy" else -activity.quantity
            cash -= signed * activity.price
            shares[activity.instrument] = shares.get(activity.instrument, 0) + signed
        else:
            cash += activity.amount
            if isinstance(activity, PositionActivity):
                shares[activity.instrument] += activity.quantity
    assert cash == broker.account().cash
    assert shares == {position.instrument: position.quantity for position in broker.positions()}


def test_a_restarted_process_finds_everything_again(harness, broker):
    broker.submit(order("one"))
    harness.next_session()
    broker.submit(order("two", quantity=1))
    again = harness.restarted()
    assert again.account() == broker.account()
    assert again.positions() == broker.positions()
    assert again.open_orders() == broker.open_orders()
    assert list(again.activities()) == list(broker.activities())
    with pytest.raises(DuplicateOrderError):
        again.submit(order("two", quantity=1))


def test_a_suspended_account_takes_cancellations_but_no_orders(broker):
    broker.submit(order("one"))
    broker.suspend_trading(True)
    assert broker.account().suspended
    with pytest.raises(OrderRejectedError):
        broker.submit(order("two"))
    broker.cancel("one")
    broker.suspend_trading(False)
    broker.submit(order("two"))
    assert [waiting.client_order_id for waiting in broker.open_orders()] == ["two"]


def test_clock_and_calendar_agree(harness, broker):
    clock = broker.clock()
    assert clock.now == pd.Timestamp("2025-01-02 21:00", tz="UTC")
    assert not clock.is_open
    first, second = broker.calendar(SESSIONS[0], SESSIONS[1])
    assert (first.session, second.session) == (SESSIONS[0], SESSIONS[1])
    assert clock.next_open == second.opens_at == pd.Timestamp("2025-01-03 14:30", tz="UTC")
    assert broker.calendar(pd.Timestamp("2025-01-04"), pd.Timestamp("2025-01-05")) == ()


def test_the_last_trade_of_a_closed_exchange_is_the_close(harness, broker):
    assert broker.last_trades([]) == {}
    harness.next_session()
    harness.next_session()
    close = pd.Timestamp("2025-01-06 21:00", tz="UTC")
    assert broker.last_trades(["AAA", "BBB", "NONE"]) == {
        "AAA": LastTrade(Decimal(40), close),
        "BBB": LastTrade(Decimal(25), close),
    }


def test_an_asset_can_be_asked_for(broker):
    asset = broker.asset("AAA")
    assert (asset.instrument, asset.tradable, asset.shortable) == ("AAA", True, False)
    assert broker.asset("NONE") is None
