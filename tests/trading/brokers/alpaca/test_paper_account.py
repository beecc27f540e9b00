"""The adapter before Alpaca itself, when paper keys are in the environment: one order far below the market."""

import os
import uuid
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.trading.broker_records import OrderRequest, OrderStatus, OrderType, TimeInForce
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker
from quant_pipeline.trading.brokers.alpaca.updates import TradeUpdates
from quant_pipeline.trading.ports import DuplicateOrderError, OrderNotCancelableError

KEYS = [os.environ.get(f"ALPACA_PAPER_{part}_KEY", "") for part in ("API", "SECRET")]

pytestmark = pytest.mark.skipif(not all(KEYS), reason="no ALPACA_PAPER_API_KEY and ALPACA_PAPER_SECRET_KEY")


@pytest.fixture(scope="module")
def broker():
    return AlpacaBroker(AlpacaAdapter(), *KEYS)


def test_every_question_is_answered(broker):
    account = broker.account()
    assert account.account_number.startswith("PA")
    assert account.equity > 0
    assert broker.asset("AAPL").tradable
    assert broker.asset("NOSUCHTHING") is None
    assert broker.order_by_client_id("never-sent") is None
    assert abs(broker.clock().now - pd.Timestamp.now("UTC")) < pd.Timedelta(minutes=1)
    held = sum((position.market_value for position in broker.positions()), Decimal(0))
    assert abs(account.cash + held - account.equity) < account.equity / 100


def test_the_feed_tells_each_fact_once_and_in_order(broker):
    names = [activity.activity_id for activity in broker.activities()]
    assert names == sorted(set(names))


def test_an_order_is_taken_once_and_can_be_cancelled(broker):
    name = f"contract-{uuid.uuid4()}"
    terms = {"order_type": OrderType.LIMIT, "limit_price": Decimal("1.01"), "time_in_force": TimeInForce.GTC}
    order = OrderRequest(name, "AAPL", "buy", Decimal(1), **terms)
    sent = broker.submit(order)
    try:
        with pytest.raises(DuplicateOrderError):
            broker.submit(order)
        found = broker.order_by_client_id(name)
        assert (found.broker_order_id, found.limit_price) == (sent.broker_order_id, Decimal("1.01"))
        assert name in {waiting.client_order_id for waiting in broker.open_orders()}
    finally:
        broker.cancel(name)
    assert broker.order_by_client_id(name).status in (OrderStatus.PENDING_CANCEL, OrderStatus.CANCELED)
    with pytest.raises(OrderNotCancelableError):
        broker.cancel(name)


def test_the_stream_of_trade_updates_lets_the_keys_in_and_wakes():
    with TradeUpdates(AlpacaAdapter().updates_address, *KEYS) as updates:
        assert updates.pause(30) < 30
