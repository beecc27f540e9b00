"""What the Alpaca adapter makes of every way in which a request can fail."""

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
)
from quant_pipeline.trading.broker_records import OrderStatus
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker
from quant_pipeline.trading.ports import (
    BrokerAccessError,
    BrokerUnavailableError,
    DuplicateOrderError,
    OrderRejectedError,
    OutcomeUnknownError,
    RateLimitedError,
)
from tests.helpers.brokers import broker_of, buy, strike

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
    with pytest.raises(BrokerUnavailableError, match="no connection") as refused:
        broker.submit(buy("one"))
    # One line without the address of the request, of which a question about many symbols fills a screen.
    assert "url" not in str(refused.value)
    assert str(refused.value).endswith("Connection refused")


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
