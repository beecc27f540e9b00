"""Conservation: whatever happens at the broker, its feed explains all cash and all shares, through the adapter."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipeline.testing.fake_alpaca import Ending, FakeAlpaca, FakeExchange, OrderScript, Script, bookings
from quant_pipeline.trading.broker_records import Amendment, CashActivity, FillActivity, OrderRequest, PositionActivity
from quant_pipeline.trading.ports import OrderRejectedError
from tests.helpers.brokers import broker_of
from tests.helpers.properties import examples

NAMES = st.sampled_from(["AAA", "BBB"])
CENTS = st.integers(1, 5000).map(lambda cents: Decimal(cents) / 100)
DEALS = st.tuples(
    st.just("deal"),
    NAMES,
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 60),
    st.sampled_from([(), ("0.5",), ("0.25", "0.25")]),
    st.sampled_from([Ending.FILLED, Ending.CANCELED, Ending.EXPIRED]),
)
FACTS = st.one_of(
    DEALS,
    st.tuples(st.just("price"), NAMES, CENTS),
    st.tuples(st.just("cash"), st.sampled_from(["FEE", "DIV", "CSD", "CSW", "INT", "DIVNRA"]), CENTS),
    st.tuples(st.just("split"), NAMES, st.sampled_from(["2", "4", "1.5", "0.1", "0.3"])),
    st.tuples(st.just("bust"), st.integers(0, 30)),
    st.tuples(st.just("correct"), st.integers(0, 30), CENTS),
)


@pytest.fixture(scope="module")
def server():
    with FakeAlpaca(FakeExchange()) as server:
        yield server


def happen(server, broker, place, fact):
    exchange = server.exchange
    kind, *terms = fact
    if kind == "deal":
        name, side, quantity, parts, ending = terms
        server.play(Script(orders=(OrderScript(parts=parts, ending=ending),)))
        try:
            broker.submit(OrderRequest(f"order-{place}", name, side, Decimal(quantity)))
        except OrderRejectedError:
            return
    elif kind == "price":
        exchange.prices[terms[0]] = terms[1]
    elif kind == "cash":
        out = terms[0] in ("FEE", "CSW", "DIVNRA")
        bookings.book_cash(exchange, terms[0], -terms[1] if out else terms[1])
    elif kind == "split":
        bookings.split(exchange, *terms)
    else:
        amend(exchange, kind, *terms)


def amend(exchange, kind, place, price=None):
    """Amend the last fills only: shares of an older one may have been split or sold since."""
    if not exchange.feed.records:
        return
    last = exchange.feed.records[-1]
    if last["activity_type"] != "FILL" or last["type"] in ("trade_bust", "trade_correct"):
        return
    if kind == "bust":
        bookings.bust(exchange, last)
    else:
        bookings.correct(exchange, last, last["qty"], price)


def explained(activities):
    superseded = {activity.supersedes for activity in activities if activity.supersedes}
    cash, shares = Decimal(0), {}
    for activity in activities:
        if activity.activity_id in superseded or activity.amendment is Amendment.CANCELLATION:
            continue
        if isinstance(activity, FillActivity):
            signed = activity.quantity if activity.side == "buy" else -activity.quantity
            cash -= signed * activity.price
            shares[activity.instrument] = shares.get(activity.instrument, 0) + signed
        else:
            assert isinstance(activity, CashActivity | PositionActivity)
            cash += activity.amount
            if isinstance(activity, PositionActivity):
                shares[activity.instrument] = shares.get(activity.instrument, 0) + activity.quantity
    return cash, {name: quantity for name, quantity in shares.items() if quantity}


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(FACTS, max_size=25))
def test_the_feed_explains_all_cash_and_all_shares(server, facts):
    fresh = FakeExchange(cash=5000, prices={"AAA": "10", "BBB": "20.05"}, director=server.exchange.director)
    server.exchange.__dict__.update(fresh.__dict__)
    broker = broker_of(server)
    for index, fact in enumerate(facts):
        happen(server, broker, index, fact)
    server.play(Script.model_validate({"feed": {"duplicate": True, "reorder": True}}))
    cash, shares = explained(list(broker.activities()))
    assert Decimal(5000) + cash == broker.account().cash
    assert shares == {position.instrument: position.quantity for position in broker.positions()}
