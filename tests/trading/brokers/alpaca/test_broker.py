"""What the Alpaca adapter makes of every way in which a request can fail."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    FaultKind,
    OrderScript,
    Refusal,
    Request,
    Script,
    ScriptedFault,
    bookings,
)
from quant_pipeline.testing.fake_alpaca.account_records import account_json
from quant_pipeline.trading.broker_records import (
    Amendment,
    CashActivity,
    CashKind,
    OrderRequest,
    OrderStatus,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker
from quant_pipeline.trading.brokers.alpaca.records import read_account, read_asset, read_order, read_sessions
from quant_pipeline.trading.ports import (
    BrokerAccessError,
    BrokerUnavailableError,
    DuplicateOrderError,
    OrderRejectedError,
    OutcomeUnknownError,
    RateLimitedError,
)
from tests.helpers.brokers import broker_of


def buy(name, quantity="10", instrument="AAA"):
    return OrderRequest(name, instrument, "buy", Decimal(quantity))


def strike(server, request, kind, seconds=0.6, **options):
    server.play(Script(faults=(ScriptedFault(request=request, kind=kind, seconds=seconds, **options),)))


LOST = [FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER, FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER]


@pytest.mark.parametrize("kind", [*LOST, FaultKind.STATUS_BEFORE, FaultKind.STATUS_AFTER, FaultKind.GARBAGE])
def test_a_lost_answer_is_an_unknown_outcome_and_the_order_goes_out_once(server, kind):
    impatient = kind in (FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER)
    broker = broker_of(server, **({"read_seconds": 0.5} if impatient else {}))
    strike(server, Request.SUBMIT, kind, seconds=5)
    with pytest.raises(OutcomeUnknownError):
        broker.submit(buy("one"))
    assert server.requests[Request.SUBMIT] == 1
    found = broker.order_by_client_id("one")
    assert (found is None) == kind.is_before


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_no_status_of_a_troubled_server_is_taken_for_a_refusal(server, broker, status):
    strike(server, Request.SUBMIT, FaultKind.STATUS_AFTER, status=status)
    with pytest.raises(OutcomeUnknownError, match=str(status)):
        broker.submit(buy("one"))
    assert broker.order_by_client_id("one").filled_quantity == 10


def test_too_many_requests_is_reported_with_the_time_to_wait_and_nothing_was_sent(server, broker):
    strike(server, Request.SUBMIT, FaultKind.STATUS_BEFORE, status=429)
    with pytest.raises(RateLimitedError) as limited:
        broker.submit(buy("one"))
    assert 0 < limited.value.retry_after <= 60
    assert server.requests[Request.SUBMIT] == 1
    assert server.exchange.orders == {}


def test_after_429_no_request_leaves_before_the_limit_is_reset(server):
    broker = broker_of(server, max_wait_seconds=0)
    strike(server, Request.ACCOUNT, FaultKind.STATUS_BEFORE, status=429)
    with pytest.raises(RateLimitedError):
        broker.account()
    with pytest.raises(RateLimitedError):
        broker.submit(buy("one"))
    assert server.requests[Request.SUBMIT] == 0


def test_an_order_never_waits_for_the_budget_of_requests_as_a_question_does(server):
    broker = broker_of(server, requests_a_minute=2, max_wait_seconds=600)
    broker.account()
    broker.account()
    with pytest.raises(RateLimitedError) as limited:
        broker.submit(buy("one"))
    assert 0 < limited.value.retry_after <= 60
    assert server.requests[Request.SUBMIT] == 0


def test_a_closed_port_is_unavailable_because_nothing_can_have_been_sent(server, broker):
    server.stop()
    with pytest.raises(BrokerUnavailableError, match="no connection"):
        broker.submit(buy("one"))


@pytest.mark.parametrize("refusal", list(Refusal))
def test_a_definitive_refusal_is_a_rejection_with_the_brokers_code(server, broker, refusal):
    server.play(Script(orders=(OrderScript(refuse=refusal),)))
    with pytest.raises(OrderRejectedError, match="Alpaca refuses order one") as rejected:
        broker.submit(buy("one"))
    assert rejected.value.code.startswith("40") or rejected.value.code.startswith("42")
    assert broker.order_by_client_id("one") is None


def test_a_422_whose_words_say_nothing_is_a_duplicate_when_the_order_exists(server, broker):
    broker.submit(buy("one"))
    strike(server, Request.SUBMIT, FaultKind.STATUS_BEFORE, status=422)
    with pytest.raises(DuplicateOrderError):
        broker.submit(buy("one"))


def test_a_422_that_cannot_be_checked_is_an_unknown_outcome(server, broker):
    unprocessable = ScriptedFault(request=Request.SUBMIT, kind=FaultKind.STATUS_BEFORE, status=422)
    blind = ScriptedFault(request=Request.LOOKUP, kind=FaultKind.STATUS_BEFORE, status=500, times=9)
    server.play(Script(faults=(unprocessable, blind)))
    with pytest.raises(OutcomeUnknownError, match="is unknown"):
        broker.submit(buy("one"))


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT_AFTER, FaultKind.RESET_BEFORE, FaultKind.GARBAGE])
def test_a_question_is_asked_again_until_it_is_answered(server, broker, kind):
    strike(server, Request.ACCOUNT, kind, times=2)
    assert broker.account().cash == 10_000
    assert server.requests[Request.ACCOUNT] == 3


@pytest.mark.parametrize("ask", ["account", "positions", "open_orders", "clock"])
def test_a_question_without_answer_is_an_error_never_an_empty_answer(server, broker, ask):
    server.play(Script(faults=(ScriptedFault(request=Request.ANY, kind=FaultKind.STATUS_BEFORE, status=503, times=9),)))
    with pytest.raises(BrokerUnavailableError):
        getattr(broker, ask)()


def test_an_account_without_its_fields_is_not_an_empty_account(server, broker, monkeypatch):
    broker.submit(buy("one"))
    monkeypatch.setattr("quant_pipeline.testing.fake_alpaca.routes.account_json", lambda exchange: {})
    with pytest.raises(BrokerUnavailableError, match="cannot be read"):
        broker.account()


def test_a_hung_broker_is_left_after_the_read_timeout(server):
    broker = broker_of(server, max_read_attempts=1, read_seconds=0.3)
    strike(server, Request.ACCOUNT, FaultKind.SLOW, seconds=10)
    # Who waited for the answer would have it.
    with pytest.raises(BrokerUnavailableError):
        broker.account()


def test_refused_keys_name_the_credentials_entry_and_not_the_keys(server):
    broker = AlpacaBroker(AlpacaAdapter(kind="live", url=server.url), "AKWRONG", "very-secret")
    with pytest.raises(BrokerAccessError, match="'alpaca_live'") as refused:
        broker.account()
    assert "very-secret" not in str(refused.value)
    assert "AKWRONG" not in str(refused.value)
    assert "very-secret" not in repr(vars(broker))


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("paper", "https://api.alpaca.markets"),
        ("live", "https://paper-api.alpaca.markets"),
        ("live", "http://api.alpaca.markets"),
        ("paper", "https://127.0.0.1.example.com"),
        ("paper", "http://192.168.0.1:8765"),
        ("paper", "ftp://127.0.0.1"),
    ],
)
def test_only_the_accounts_own_host_and_loopback_are_allowed(kind, url):
    with pytest.raises(ConfigurationError, match="is not allowed"):
        AlpacaBroker(AlpacaAdapter(kind=kind, url=url), API_KEY, SECRET_KEY)


def test_each_kind_has_its_own_https_host_and_no_plain_http_at_all():
    hosts = {"paper": "https://paper-api.alpaca.markets", "live": "https://api.alpaca.markets"}
    for kind, host in hosts.items():
        broker = AlpacaBroker(AlpacaAdapter(kind=kind), API_KEY, SECRET_KEY)
        for wire, own in ((broker._wire, host), (broker._data, "https://data.alpaca.markets")):
            assert wire._client._base_url == own
            assert list(wire._client._session.adapters) == ["https://"]
            assert wire._client._retry == 0


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


def test_more_activities_than_a_page_come_once_each_and_in_order(server, broker):
    for index in range(205):
        bookings.book_cash(server.exchange, "INT", f"0.{index:03d}")
    amounts = [activity.amount for activity in broker.activities()]
    assert amounts == [Decimal(f"0.{index:03d}") for index in range(205)]
    assert server.requests[Request.ACTIVITIES] == 3


def test_a_repeated_and_turned_round_feed_tells_each_fact_once(server, broker):
    server.play(Script.model_validate({"feed": {"duplicate": True, "reorder": True}}))
    for index in range(120):
        bookings.book_cash(server.exchange, "INT", str(index + 1))
    assert [activity.amount for activity in broker.activities()] == list(range(1, 121))


def test_a_page_that_begins_with_its_token_tells_nothing_twice(server, broker):
    server.play(Script.model_validate({"feed": {"repeat_cursor": True}}))
    for index in range(120):
        bookings.book_cash(server.exchange, "INT", str(index + 1))
    told = list(broker.activities())
    assert [activity.amount for activity in told] == list(range(1, 121))
    assert list(broker.activities(after=told[-1].activity_id)) == []


def test_a_new_type_before_a_fill_hides_neither(server, broker):
    server.play(Script.model_validate({"feed": {"unknown_type": True}}))
    broker.submit(buy("one"))
    unknown, fill = broker.activities()
    assert (unknown.raw_type, fill.quantity) == ("NEWTYPE", 10)


def test_a_lost_activity_shows_as_filled_quantity_without_fill(server, broker):
    server.play(Script.model_validate({"feed": {"lose": 1}}))
    broker.submit(buy("one"))
    assert list(broker.activities()) == []
    assert broker.order_by_client_id("one").filled_quantity == 10


def test_the_cursor_continues_behind_what_was_seen(server, broker):
    broker.submit(buy("one"))
    (first,) = broker.activities()
    broker.submit(buy("two"))
    (second,) = broker.activities(after=first.activity_id)
    assert second.activity_id > first.activity_id
    assert list(broker.activities(after=second.activity_id)) == []


def test_a_fact_that_was_hidden_when_the_cursor_passed_is_found_by_date(server, broker):
    server.exchange.hours.set("2025-03-03 15:00")
    server.play(Script.model_validate({"feed": {"hidden_reads": 1}}))
    broker.submit(buy("late"))
    server.play(Script())
    broker.submit(buy("early"))
    (seen,) = broker.activities()
    assert seen.broker_order_id == broker.order_by_client_id("early").broker_order_id
    assert list(broker.activities(after=seen.activity_id)) == []
    assert len(list(broker.activities(since=pd.Timestamp("2025-03-03")))) == 2
    assert list(broker.activities(since=pd.Timestamp("2025-03-04"))) == []


def test_every_sort_of_activity_is_translated_and_an_unknown_one_stays_visible(server, broker):
    exchange = server.exchange
    exchange.hours.set("2025-03-03 15:00")
    broker.submit(buy("one", "10"))
    bookings.book_cash(exchange, "FEE", "-0.02")
    bookings.book_cash(exchange, "DIV", "1.02", "AAA")
    bookings.book_cash(exchange, "DIVNRA", "-0.15", "AAA")
    bookings.book_cash(exchange, "CSD", "500", date="2025-03-01")
    bookings.book_cash(exchange, "NEW_TYPE", "7")
    bookings.split(exchange, "AAA", "1.25")
    fill, fee, dividend, tax, deposit, unknown, gone, come, in_lieu = broker.activities()
    assert (fill.quantity, fill.price, fill.cumulative_quantity) == (10, 10, 10)
    assert fill.date == pd.Timestamp("2025-03-03")
    kinds = [activity.kind for activity in (fee, dividend, tax, deposit, in_lieu)]
    assert kinds == [CashKind.FEE, CashKind.DIVIDEND, CashKind.TAX, CashKind.TRANSFER, CashKind.CASH_IN_LIEU]
    assert isinstance(deposit, CashActivity)
    assert (deposit.amount, deposit.date) == (500, pd.Timestamp("2025-03-01"))
    assert isinstance(unknown, UnknownActivity)
    assert (unknown.raw_type, unknown.raw["net_amount"]) == ("NEW_TYPE", "7")
    assert isinstance(gone, PositionActivity)
    assert isinstance(come, PositionActivity)
    assert (gone.kind, gone.quantity, come.quantity, in_lieu.amount) == (PositionKind.SPLIT, -10, 12, 4)
    assert gone.group == come.group != ""


def test_bust_and_correction_name_the_fill_they_replace(server, broker):
    broker.submit(buy("one", "10"))
    broker.submit(buy("two", "5"))
    first, second = server.exchange.feed.records
    bookings.bust(server.exchange, first)
    bookings.correct(server.exchange, second, "4", "10.5")
    _, _, bust, correction = broker.activities()
    assert (bust.amendment, bust.supersedes) == (Amendment.CANCELLATION, first["id"])
    assert (correction.amendment, correction.supersedes) == (Amendment.CORRECTION, second["id"])
    assert (correction.quantity, correction.price) == (4, Decimal("10.5"))
    assert broker.account().cash == Decimal("10000") - 4 * Decimal("10.5")


def test_more_orders_than_a_page_of_one_second_are_all_listed(server, broker, monkeypatch):
    monkeypatch.setattr("quant_pipeline.trading.brokers.alpaca.broker.ORDERS_A_PAGE", 4)
    server.exchange.auto_fill = False
    for index in range(11):
        server.exchange.hours.set(pd.Timestamp("2025-03-03 15:00") + pd.Timedelta(seconds=index // 2))
        broker.submit(buy(f"order-{index}", "1"))
    assert [order.client_order_id for order in broker.open_orders()] == [f"order-{index}" for index in range(11)]
    recent = broker.orders(pd.Timestamp("2025-03-03 15:00:04", tz="UTC"))
    assert [order.client_order_id for order in recent] == ["order-8", "order-9", "order-10"]


def test_a_lost_answer_to_a_cancellation_is_an_unknown_outcome(server, broker):
    server.exchange.auto_fill = False
    broker.submit(buy("one"))
    strike(server, Request.CANCEL, FaultKind.RESET_AFTER)
    with pytest.raises(OutcomeUnknownError):
        broker.cancel("one")
    assert broker.order_by_client_id("one").status is OrderStatus.CANCELED


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


def test_a_feed_without_subscription_is_reported_as_that(server):
    with pytest.raises(BrokerAccessError, match=r"feed 'sip'.*globals\.yml"):
        broker_of(server, feed="sip").last_trades(["AAA"])


def test_keys_appear_in_no_log_at_any_level_and_in_no_error(server, broker, caplog):
    caplog.set_level("DEBUG")
    broker.submit(buy("one"))
    broker.account()
    told = []
    for kind in (FaultKind.RESET_AFTER, FaultKind.STATUS_AFTER, FaultKind.GARBAGE):
        strike(server, Request.SUBMIT, kind)
        with pytest.raises(OutcomeUnknownError) as lost:
            broker.submit(buy(f"order-{kind}"))
        told.append(str(lost.value))
    for text in (caplog.text, *told):
        assert SECRET_KEY not in text
        assert API_KEY not in text
    assert "/v2/orders" in caplog.text


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
