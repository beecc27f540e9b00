"""The REST side of the fake, as Alpaca's own client sees it."""

from decimal import Decimal

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetCalendarRequest, GetOrdersRequest, LimitOrderRequest, MarketOrderRequest

from quant_pipeline.testing.fake_alpaca import (
    Director,
    Ending,
    FaultKind,
    OrderScript,
    Refusal,
    Request,
    Script,
    ScriptedFault,
    bookings,
)


def market_order(name, symbol="AAPL", qty=10, side=OrderSide.BUY, tif=TimeInForce.DAY):
    return MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=tif, client_order_id=name)


def test_a_bought_share_costs_cash_and_is_a_position(client, exchange):
    answer = client.submit_order(market_order("one"))
    assert answer.status.value == "accepted"
    assert client.get_order_by_client_id("one").filled_avg_price == "200"
    (position,) = client.get_all_positions()
    account = client.get_account()
    assert (position.symbol, position.qty, position.avg_entry_price) == ("AAPL", "10", "200")
    assert (account.cash, account.equity, account.buying_power) == ("8000", "10000", "8000")


def test_the_same_client_order_id_is_taken_once(client, exchange):
    client.submit_order(market_order("one"))
    with pytest.raises(APIError, match="client_order_id must be unique") as refusal:
        client.submit_order(market_order("one"))
    assert refusal.value.status_code == 422
    assert len(exchange.orders) == 1


@pytest.mark.parametrize(
    ("order", "status", "message"),
    [
        (market_order("a", qty=51), 403, "insufficient buying power"),
        (market_order("a", side=OrderSide.SELL), 403, "insufficient qty available"),
        (market_order("a", symbol="NONE"), 422, "not found"),
        (market_order("a", qty=0.5, tif=TimeInForce.GTC), 422, "fractional orders must be DAY"),
        (market_order("n" * 129), 422, "too long"),
    ],
)
def test_an_order_that_cannot_be_is_refused_for_good(client, exchange, order, status, message):
    with pytest.raises(APIError, match=message) as refusal:
        client.submit_order(order)
    assert refusal.value.status_code == status
    assert exchange.orders == {}


def test_open_sells_do_not_replenish_buying_power(client, exchange):
    client.submit_order(market_order("one", qty=50))
    exchange.auto_fill = False
    client.submit_order(market_order("two", qty=50, side=OrderSide.SELL))
    assert Decimal(client.get_account().buying_power) == 0
    assert client.get_all_positions()[0].qty_available == "0"
    with pytest.raises(APIError, match="insufficient buying power"):
        client.submit_order(market_order("three", symbol="XOM", qty=1))
    exchange.work()
    assert client.get_account().buying_power == "10000"


def test_opposite_resting_orders_are_a_wash_trade(client, exchange):
    client.submit_order(market_order("one"))
    exchange.auto_fill = False
    client.submit_order(market_order("two", side=OrderSide.SELL))
    with pytest.raises(APIError, match="wash trade"):
        client.submit_order(market_order("three", qty=1))


def test_a_limit_order_rests_until_the_price_comes(client, exchange):
    order = LimitOrderRequest(
        symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=190, client_order_id="one"
    )
    client.submit_order(order)
    assert client.get_order_by_client_id("one").status.value == "accepted"
    exchange.prices["AAPL"] = Decimal(189)
    exchange.work()
    assert client.get_order_by_client_id("one").filled_avg_price == "189"


def test_partial_fills_and_a_cancelled_rest(client, server):
    parts = OrderScript(parts=("0.3", "0.2"), prices=("200", "201"), ending=Ending.CANCELED)
    server.play(Script(orders=(parts,)))
    client.submit_order(market_order("one"))
    order = client.get_order_by_client_id("one")
    assert (order.status.value, order.filled_qty, order.filled_avg_price) == ("canceled", "5", "200.4")


def test_a_scripted_refusal_names_its_reason(client, server):
    server.play(Script(orders=(OrderScript(refuse=Refusal.DAY_TRADING),)))
    with pytest.raises(APIError, match="pattern day trading"):
        client.submit_order(market_order("one"))
    client.submit_order(market_order("one"))


def test_orders_can_be_listed_and_cancelled(client, exchange):
    exchange.auto_fill = False
    for name in ("one", "two", "three"):
        client.submit_order(market_order(name, qty=1))
    client.cancel_order_by_id(client.get_order_by_client_id("two").id)
    still_open = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN))
    assert {order.client_order_id for order in still_open} == {"one", "three"}
    with pytest.raises(APIError, match="order is already in") as refusal:
        client.cancel_order_by_id(client.get_order_by_client_id("two").id)
    assert refusal.value.status_code == 422
    client.cancel_orders()
    assert client.get_orders() == []


def test_activities_come_in_pages_that_meet_without_gap(client, exchange):
    for index in range(7):
        client.submit_order(market_order(f"order-{index}", symbol="XOM", qty=1))
    bookings.book_cash(exchange, "DIV", "1.02", "XOM")
    seen, token = [], None
    while True:
        query = {"direction": "asc", "page_size": 3} | ({"page_token": token} if token else {})
        page = client.get("/account/activities", query)
        seen += page
        if len(page) < 3:
            break
        token = page[-1]["id"]
    assert [row["id"] for row in seen] == sorted({row["id"] for row in seen})
    assert [row["activity_type"] for row in seen] == ["FILL"] * 7 + ["DIV"]


def test_clock_and_calendar_know_half_days(client, exchange):
    exchange.hours.set("2024-11-29 18:30")
    assert client.get_clock().is_open is False
    exchange.hours.set("2024-11-29 17:59")
    assert client.get_clock().is_open is True
    (day,) = client.get_calendar(GetCalendarRequest(start="2024-11-28", end="2024-11-29"))
    assert (str(day.open), str(day.close)) == ("2024-11-29 09:30:00", "2024-11-29 13:00:00")


@pytest.mark.parametrize(
    ("kind", "last_minute", "cutoff", "auction"),
    [
        (TimeInForce.OPG, "2024-12-02 14:27", "2024-12-02 14:28", "2024-12-02 14:30"),
        (TimeInForce.CLS, "2024-12-02 20:49", "2024-12-02 20:50", "2024-12-02 21:00"),
        (TimeInForce.CLS, "2024-11-29 17:49", "2024-11-29 17:50", "2024-11-29 18:00"),
    ],
    ids=["opening", "closing", "closing of a half day"],
)
def test_an_auction_takes_orders_until_its_cutoff_and_executes_them_alone(
    client, exchange, kind, last_minute, cutoff, auction
):
    exchange.hours.set(last_minute)
    client.submit_order(market_order("one", tif=kind))
    exchange.hours.set(cutoff)
    with pytest.raises(APIError, match=f"{kind.value} orders must be submitted after 7:00pm") as refusal:
        client.submit_order(market_order("two", tif=kind))
    assert (refusal.value.status_code, refusal.value.code) == (403, 40310000)
    with pytest.raises(APIError, match="not cancelable"):
        client.cancel_order_by_id(client.get_order_by_client_id("one").id)
    exchange.work()
    assert client.get_order_by_client_id("one").filled_qty == "0"
    exchange.hours.set(auction)
    exchange.work()
    assert client.get_order_by_client_id("one").filled_qty == "10"


def test_orders_of_the_evening_execute_at_the_official_prices_of_the_next_session(client, exchange):
    exchange.hours.set("2024-12-02 23:59")
    with pytest.raises(APIError, match="after 7:00pm"):
        client.submit_order(market_order("early", tif=TimeInForce.CLS))
    exchange.hours.set("2024-12-03 00:00")
    client.submit_order(market_order("opening", tif=TimeInForce.OPG))
    client.submit_order(market_order("closing", tif=TimeInForce.CLS))

    def prices_at(session, has_closed):
        return {"AAPL": Decimal(f"{session.day}.{'75' if has_closed else '25'}")}

    exchange.move_time("2024-12-04 02:00", prices_at)
    found = {name: client.get_order_by_client_id(name) for name in ("opening", "closing")}
    assert {name: order.filled_avg_price for name, order in found.items()} == {"opening": "3.25", "closing": "3.75"}
    assert [order.filled_at.strftime("%Y-%m-%d %H:%M") for order in found.values()] == [
        "2024-12-03 14:30",
        "2024-12-03 21:00",
    ]


def test_what_an_auction_leaves_of_an_order_is_cancelled(client, server):
    exchange = server.exchange
    exchange.hours.set("2024-12-02 20:00")
    exchange.director = Director(Script(orders=(OrderScript(instrument="AAPL", parts=("0.4",), ending="open"),)))
    client.submit_order(market_order("part", tif=TimeInForce.CLS))
    limit = LimitOrderRequest(
        symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.CLS, limit_price=1, client_order_id="limit"
    )
    client.submit_order(limit)
    exchange.hours.set("2024-12-02 21:00")
    exchange.work()
    found = {name: client.get_order_by_client_id(name) for name in ("part", "limit")}
    assert {name: (order.status.value, order.filled_qty) for name, order in found.items()} == {
        "part": ("canceled", "4"),
        "limit": ("canceled", "0"),
    }


def test_assets_and_suspension(client, exchange):
    exchange.untradable.add("XOM")
    assert client.get_asset("AAPL").tradable
    assert not client.get_asset("XOM").tradable
    settings = client.get_account_configurations()
    settings.suspend_trade = True
    client.set_account_configurations(settings)
    with pytest.raises(APIError, match="rejected by user request"):
        client.submit_order(market_order("one"))


def test_wrong_keys_are_refused(server):
    stranger = TradingClient("other", "keys", url_override=server.url)
    with pytest.raises(APIError, match="access key verification failed"):
        stranger.get_account()


@pytest.mark.parametrize("kind", list(FaultKind))
def test_before_means_never_carried_out_and_after_only_the_answer_is_lost(client, server, kind):
    server.play(Script(faults=(ScriptedFault(request=Request.SUBMIT, kind=kind, seconds=0.05),)))
    expected = None if kind is FaultKind.SLOW else (APIError, requests.exceptions.RequestException)
    if expected is None:
        client.submit_order(market_order("one"))
    else:
        with pytest.raises(expected):
            client.submit_order(market_order("one"))
    assert len(server.exchange.orders) == (0 if kind.is_before else 1)
    client.submit_order(market_order("two"))


def test_the_clients_own_retry_makes_two_orders_of_one_without_a_name(client, server):
    """The trap that the adapter must close."""
    client._retry, client._retry_wait = 3, 0
    server.play(Script(faults=(ScriptedFault(request=Request.SUBMIT, kind=FaultKind.STATUS_AFTER, status=504),)))
    client.submit_order(market_order(None))
    assert len(server.exchange.orders) == 2


def test_every_page_repeated_and_turned_round_still_holds_every_fact(client, server):
    server.play(Script.model_validate({"feed": {"duplicate": True, "reorder": True, "hidden_reads": 1}}))
    for name in ("one", "two"):
        client.submit_order(market_order(name, qty=1))
    assert client.get("/account/activities", {"direction": "asc"}) == []
    rows = client.get("/account/activities", {"direction": "asc"})
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert len(rows) == 4
    assert len({row["id"] for row in rows}) == 2


def test_the_books_of_the_fake_balance_after_everything(client, exchange):
    """Cash is the deposit plus every amount of the feed; shares are every quantity of the feed."""
    client.submit_order(market_order("one", qty=7))
    client.submit_order(market_order("two", symbol="XOM", qty=9))
    client.submit_order(market_order("three", qty=3, side=OrderSide.SELL))
    first, second, _ = exchange.feed.records
    bookings.split(exchange, "AAPL", "1.5")
    bookings.book_cash(exchange, "FEE", "-0.02")
    bookings.book_cash(exchange, "CSD", "500", date="2024-12-28")
    bookings.bust(exchange, second)
    bookings.change_symbol(exchange, "AAPL", "APPL")
    bookings.spin_off(exchange, "APPL", "CHLD", "0.5", "10")
    bookings.merge_for_cash(exchange, "APPL", "140")
    cash, shares = Decimal(10_000), {}
    busted = {row["previous_execution_id"] for row in exchange.feed.records if row.get("type") == "trade_bust"}
    for row in exchange.feed.records:
        if row["activity_type"] == "FILL":
            if row["id"].partition("::")[2] in busted or row["type"] == "trade_bust":
                continue
            sign = 1 if row["side"] == "buy" else -1
            cash -= sign * Decimal(row["qty"]) * Decimal(row["price"])
            shares[row["symbol"]] = shares.get(row["symbol"], 0) + sign * Decimal(row["qty"])
        else:
            cash += Decimal(row["net_amount"])
            if row.get("qty"):
                shares[row["symbol"]] = shares.get(row["symbol"], 0) + Decimal(row["qty"])
    assert cash == exchange.cash
    assert {name: quantity for name, quantity in shares.items() if quantity} == {
        name: position.quantity for name, position in exchange.positions.items()
    }
    assert first["symbol"] == "AAPL"
