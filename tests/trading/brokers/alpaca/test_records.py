"""What Alpaca answers, read exactly and strictly."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.testing.fake_alpaca import FaultKind, Request
from quant_pipeline.testing.fake_alpaca.account_records import account_json
from quant_pipeline.trading.broker_records import OrderStatus
from quant_pipeline.trading.brokers.alpaca.records import read_account, read_asset, read_order, read_sessions
from quant_pipeline.trading.ports import BrokerUnavailableError
from tests.helpers.brokers import buy, strike


def test_an_account_without_its_fields_is_not_an_empty_account(server, broker, monkeypatch):
    broker.submit(buy("one"))
    monkeypatch.setattr("quant_pipeline.testing.fake_alpaca.routes.account_json", lambda exchange: {})
    with pytest.raises(BrokerUnavailableError, match="cannot be read"):
        broker.account()


@pytest.mark.parametrize("row", [{"activity_type": "DIV"}, {"activity_type": "DIV", "id": 7}, None, "DIV"])
def test_an_activity_without_an_id_is_an_answer_that_cannot_be_read(broker, monkeypatch, row):
    monkeypatch.setattr(broker._wire, "ask", lambda path, query: [row])
    with pytest.raises(BrokerUnavailableError, match="a record without an id"):
        list(broker.activities())


def test_quantities_and_prices_keep_every_digit(server, broker):
    server.exchange.prices["AAA"] = Decimal("0.1003")
    broker.submit(buy("one", "0.123456789"))
    order = broker.order_by_client_id("one")
    assert order.quantity == Decimal("0.123456789")
    assert broker.account().cash == Decimal("10000") - Decimal("0.123456789") * Decimal("0.1003")


def test_a_status_of_the_future_is_unknown_and_keeps_its_word(server, broker):
    server.exchange.auto_fill = False
    broker.submit(buy("one"))
    server.exchange.by_client_id["one"].status = "entangled"
    order = broker.order_by_client_id("one")
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "entangled")
    assert not order.status.is_final


def test_the_clock_of_a_half_day_is_in_utc(server, broker):
    server.exchange.hours.set("2024-11-29 17:00")
    clock = broker.clock()
    assert clock.is_open
    assert str(clock.next_close) == "2024-11-29 18:00:00+00:00"


def test_the_last_trade_is_exact_and_of_now_while_the_exchange_trades(server, broker):
    server.exchange.hours.set("2024-11-29 17:00")
    server.exchange.prices["AAA"] = Decimal("10.1")
    server.exchange.since_trade = pd.Timedelta("1.5s")
    trade = broker.last_trades(["AAA"])["AAA"]
    assert (str(trade.price), str(trade.at)) == ("10.1", "2024-11-29 16:59:58.500000+00:00")
    strike(server, Request.LAST_TRADES, FaultKind.RESET_AFTER)
    assert broker.last_trades(["AAA"])["AAA"] == trade


def test_a_name_that_is_impossible_hides_no_other_trade(broker):
    assert sorted(broker.last_trades(["AAA", "B@D", "BBB", "NONE", "1"])) == ["AAA", "BBB"]


def test_an_order_filled_at_no_price_or_without_a_name_is_no_order(server):
    facts = {"symbol": "AAA", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}
    order = server.exchange.submit(facts | {"client_order_id": "one"})
    assert read_order(order).client_order_id == "one"
    wrong = {"filled_avg_price": ("0", "-1", "NaN"), "filled_qty": ("-1", None), "id": (None, "")}
    wrong["client_order_id"] = (None, 7)
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(ValueError, match=r"filled|id is"):
                read_order(order | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("currency", None),
        ("currency", ""),
        ("pattern_day_trader", "false"),
        ("cash", "1e400"),
        ("status", None),
        ("daytrade_count", -1),
        ("daytrade_count", 1.5),
        ("daytrade_count", True),
    ],
)
def test_an_account_is_read_strictly(server, name, value):
    account = account_json(server.exchange)
    assert read_account(account).currency == "USD"
    with pytest.raises(ValueError, match=name):
        read_account(account | {name: value})


def test_an_account_that_is_closed_at_the_broker_is_blocked(server):
    account = account_json(server.exchange)
    assert not read_account(account).trading_blocked
    assert read_account(account | {"status": "ACCOUNT_CLOSED"}).trading_blocked


@pytest.mark.parametrize(
    "hours",
    [
        {"open": "09:30", "close": "09:00"},
        {"open": "", "close": "16:00"},
        {"open": "25:00", "close": "26:00"},
        {"open": None, "close": "16:00"},
        {"open": "09:30", "close": "13:00"},
    ],
)
def test_a_calendar_that_contradicts_itself_is_refused(hours):
    day = {"date": "2025-03-04", "open": "09:30", "close": "16:00"}
    assert len(read_sessions([day, day])) == 1
    with pytest.raises(ValueError, match=r"2025-03-04|time data"):
        read_sessions([day, {"date": "2025-03-04"} | hours])


@pytest.mark.parametrize("wrong", [{"fractionable": "false"}, {"tradable": None}, {"status": None}])
def test_an_asset_is_read_strictly(wrong):
    asset = {"symbol": "AAA", "id": "1", "tradable": True, "status": "active", "fractionable": True}
    assert read_asset(asset).tradable
    with pytest.raises(ValueError, match=next(iter(wrong))):
        read_asset(asset | wrong)
