"""Orders of the opening and the closing auction, through the adapter of Alpaca, before a fake Alpaca."""

import logging
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.fake_alpaca import Director, FaultKind, OrderScript, Request, Script, ScriptedFault
from quant_pipeline.trading.broker_records import OrderRequest, TimeInForce
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.collection import collect
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.execution import execute, recover
from quant_pipeline.trading.orders.reconciliation import find_breaks
from quant_pipeline.trading.orders.risk_view import FLATTEN, TradingState
from quant_pipeline.trading.ports import OrderRejectedError
from tests.helpers.brokers import broker_of
from tests.helpers.trading_day_at_alpaca import DayAtAlpaca, states

SENT = ["SELL", "AAA", "BBB", "BAD"]
MORNING, AFTERNOON, AFTER_CLOSE = "2025-01-03 13:00", "2025-01-03 19:30", "2025-01-03 21:05"
OFFICIAL = {"open": Decimal("1.01"), "close": Decimal("1.02")}


def official_prices(session, has_closed):
    assert session == rehearsal.SESSION or has_closed
    change = OFFICIAL["close" if has_closed else "open"] if session == rehearsal.SESSION else 1
    return {name: price * change for name, price in rehearsal.PRICES.items()}


def day_of(folder, deal_price, time_in_force, now, **parameters):
    day = DayAtAlpaca(
        folder, 0.02, now=now, market_rules=MarketRules(deal_price=deal_price), trade_updates=False, **parameters
    )
    day.exchange.always_open = False
    changes = {"time_in_force": TimeInForce(time_in_force), "waves": "together", "wait_for_fills_seconds": 0.04}
    day.rules = day.rules.model_copy(update=changes)
    return day


def run(day, desk):
    day.plan(desk)
    execute(desk, rehearsal.market_views(), 0)


def all_are(state):
    return {**dict.fromkeys(SENT, state), "BIG": "denied"}


@pytest.mark.parametrize("kind", ["paper", "live"])
@pytest.mark.parametrize(
    ("deal_price", "time_in_force", "sent_at"), [("open", "opg", MORNING), ("close", "cls", AFTERNOON)]
)
def test_orders_of_an_auction_wait_for_it_and_execute_at_the_official_price(
    tmp_path, kind, deal_price, time_in_force, sent_at
):
    day = day_of(tmp_path, deal_price, time_in_force, sent_at, kind=kind)
    with day.desk() as desk:
        run(day, desk)
        assert states(desk) == all_are("accepted")
        day.exchange.work()
        assert {order.time_in_force for order in day.exchange.orders.values()} == {time_in_force}
        assert all(order.filled == 0 for order in day.exchange.orders.values())
        day.exchange.move_time(AFTER_CLOSE, official_prices)
        assert close_books(desk) == ()
        assert find_breaks(desk) == ()
        assert states(desk) == all_are("filled")
        paid = {o.order.instrument: o.average_price for o in desk.journal.book.orders.values() if o.filled}
        assert paid == {name: rehearsal.PRICES[name] * OFFICIAL[deal_price] for name in SENT}
        assert desk.journal.account.cash == day.exchange.cash


def test_a_run_does_not_wait_for_an_auction_that_is_held_after_it_has_ended(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="quant_pipeline")
    day = day_of(tmp_path, "close", "cls", AFTERNOON)
    day.rules = day.rules.model_copy(update={"wait_for_fills_seconds": 5_399})
    with day.desk() as desk:
        desk.pause = desk.sleep = lambda seconds: pytest.fail(f"it waits for {seconds} s")
        run(day, desk)
        assert states(desk) == all_are("accepted")
    assert "the orders wait for the auction of 2025-01-03 21:00 UTC" in caplog.text


def test_a_second_run_follows_the_auction_and_sends_nothing_twice(tmp_path):
    day = day_of(tmp_path, "close", "cls", AFTERNOON)
    with day.desk() as desk:
        run(day, desk)
        posts = day.exchange.posts
        run(day, desk)
        day.exchange.move_time("2025-01-03 21:00:05", official_prices)
        execute(desk, rehearsal.market_views(), 0)
        assert states(desk) == all_are("filled")
        assert day.exchange.posts == posts == len(SENT)


def test_what_the_closing_auction_leaves_of_an_order_ends_with_it(tmp_path):
    day = day_of(tmp_path, "close", "cls", AFTERNOON)
    half = OrderScript(instrument="AAA", parts=("0.5",), ending="open")
    none = OrderScript(instrument="BBB", ending="expired")
    day.exchange.director = Director(Script(orders=(half, none)))
    with day.desk() as desk:
        run(day, desk)
        day.exchange.move_time(AFTER_CLOSE, official_prices)
        assert close_books(desk) == ()
        assert find_breaks(desk) == ()
        found = {o.order.instrument: (str(o.state), o.filled) for o in desk.journal.book.orders.values()}
    assert found["AAA"] == ("canceled", 15)
    assert found["BBB"] == ("expired", 0)
    assert found["SELL"] == ("filled", 50)


@pytest.mark.parametrize(
    ("deal_price", "time_in_force", "too_late"),
    [("open", "opg", "2025-01-03 14:27:30"), ("close", "cls", "2025-01-03 20:49:30")],
)
def test_nothing_leaves_half_a_minute_before_the_cutoff_of_the_broker(tmp_path, deal_price, time_in_force, too_late):
    day = day_of(tmp_path, deal_price, time_in_force, too_late)
    with day.desk() as desk:
        run(day, desk)
        assert states(desk) == all_are("expired")
        assert day.exchange.posts == 0


def test_an_order_that_arrives_after_the_cutoff_is_rejected_for_good(tmp_path):
    day = day_of(tmp_path, "close", "cls", "2025-01-03 20:50")
    late = OrderRequest("late", "AAA", "buy", Decimal(1), time_in_force=TimeInForce.CLOSING)
    with day.desk() as desk:
        with pytest.raises(OrderRejectedError, match="cls orders must be submitted after 7:00pm and before 3:50pm"):
            broker_of(day.server).submit(late)
        assert desk.broker.order_by_client_id("late") is None


def test_an_order_of_unknown_outcome_is_neither_repeated_nor_given_up_before_its_auction(tmp_path):
    day = day_of(tmp_path, "close", "cls", "2025-01-03 20:49")
    lost = ScriptedFault(request=Request.SUBMIT, kind=FaultKind.RESET_BEFORE, times=1000)
    day.exchange.director = day.server.director = Director(Script(faults=(lost,)))
    with day.desk() as desk:
        run(day, desk)
        assert states(desk) == all_are("submitting")
        day.exchange.director = day.server.director = Director(Script())
        day.exchange.hours.set("2025-01-03 20:49:40")
        collect(desk)
        assert (states(desk), day.exchange.posts) == (all_are("submitting"), 0)
        day.exchange.hours.set("2025-01-03 21:15")
        collect(desk)
        assert (states(desk), day.exchange.posts) == (all_are("expired"), 0)


def test_a_cancellation_after_the_cutoff_changes_nothing_and_the_fills_are_booked(tmp_path):
    day = day_of(tmp_path, "close", "cls", AFTERNOON)
    with day.desk() as desk:
        run(day, desk)
        day.exchange.hours.set("2025-01-03 20:55")
        desk.cancel_own_orders()
        collect(desk)
        assert states(desk) == all_are("pending_cancel")
        day.exchange.move_time(AFTER_CLOSE, official_prices)
        assert close_books(desk) == ()
        assert states(desk) == all_are("filled")


@pytest.mark.parametrize(
    ("deal_price", "time_in_force", "remedy"),
    [
        ("close", "day", "Set execution.time_in_force to cls and execution.waves to together"),
        ("close", "opg", "Set execution.time_in_force to cls"),
        ("open", "cls", "Set execution.time_in_force to day or opg"),
        ("vwap", "day", "Alpaca executes at open or close only"),
        ("vwap", "cls", "Alpaca executes at open or close only"),
    ],
)
def test_what_would_execute_at_another_price_is_refused_before_anything_is_recorded(
    tmp_path, deal_price, time_in_force, remedy
):
    day = day_of(tmp_path, deal_price, time_in_force, AFTERNOON)
    with day.desk() as desk:
        for step in (recover, lambda desk: execute(desk, rehearsal.market_views(), 0)):
            with pytest.raises(ConfigurationError, match=f"market_rules.deal_price is {deal_price}") as refused:
                step(desk)
            assert remedy in refused.value.message
        assert desk.journal.ledger.events() == ()
    assert day.exchange.posts == 0


@pytest.mark.parametrize("deal_price", ["close", "vwap"])
def test_the_sale_of_everything_waits_for_no_auction_and_for_no_price(tmp_path, deal_price):
    day = day_of(tmp_path, deal_price, "cls", AFTERNOON)
    with day.desk() as desk:
        way_out = trading_state_event(rehearsal.SESSION, 0, TradingState.REDUCING, FLATTEN, "sold by command")
        desk.journal.append([way_out])
        run(day, desk)
        (sale,) = day.exchange.orders.values()
        assert (sale.symbol, sale.side, sale.time_in_force) == ("SELL", "sell", "day")
        day.exchange.work()
        collect(desk)
        assert states(desk)["SELL"] == "filled"


def test_day_orders_long_after_the_open_leave_with_a_warning(tmp_path, caplog):
    day = day_of(tmp_path, "open", "day", "2025-01-03 15:31")
    with day.desk() as desk:
        run(day, desk)
    assert "orders of 2025-01-03 leave 61 minutes after the open" in caplog.text
    assert pd.Timestamp("2025-01-03") == rehearsal.SESSION
