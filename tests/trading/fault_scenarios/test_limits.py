"""Fault scenarios 23 to 28, and 33: what must not be sent, and what stops the sending."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.broker_records import CashActivity, CashKind, OrderStatus
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.collection import collect
from quant_pipeline.trading.orders.desk import arming_event, trading_state_event
from quant_pipeline.trading.orders.execution import judge, recover
from quant_pipeline.trading.orders.kill_switch import KILL_SWITCH_VARIABLE, KillSwitch
from quant_pipeline.trading.orders.risk_view import FLATTEN, TradingState
from quant_pipeline.trading.orders.sending import send_side, wait_for_rate
from quant_pipeline.trading.ports import BrokerUnavailableError, RateLimitedError
from tests.helpers.trading_day import EVERY_ORDER, GOOD_DAY


@pytest.mark.parametrize(("change", "code"), [({"tradable": False}, "NOT_TRADABLE"), ({"price_age": 1}, "STALE_DATA")])
def test_23_trading_is_halted_in_a_name(day, change, code):
    lived = day()
    recover(lived.desk)
    lived.desk.journal.append([arming_event(rehearsal.SESSION, "CHAOS001")])
    lived.desk.journal.append(rehearsal.plan_events(()))
    market = rehearsal.market_views()
    market["AAA"] = market["AAA"]._replace(**change)
    codes = {v.order.instrument: v.code for v in judge(lived.desk, market, 0)}
    assert codes == {"SELL": None, "AAA": code, "BBB": None, "BAD": None, "BIG": "ORDER_VALUE"}


def test_24_scores_prices_or_clock_are_off(day):
    lived = day()
    recover(lived.desk)
    lived.desk.journal.append([arming_event(rehearsal.SESSION, "CHAOS001")])
    lived.desk.journal.append(rehearsal.plan_events(()))
    assert {v.code for v in judge(lived.desk, rehearsal.market_views(), 1)} == {"STALE_SIGNAL"}
    late = lived.open(now=lambda: lived.broker.now + pd.Timedelta(seconds=61))
    assert {v.code for v in judge(late, rehearsal.market_views(), 0)} == {"CLOCK_SKEW"}


def test_25_a_fat_finger_never_reaches_the_broker(day):
    lived = day().live()
    assert lived.order("BIG").message == "ORDER_VALUE: 66.67% (8000.00) against 30% (3600.00)"
    assert "BIG" not in lived.at_broker()


def test_26_a_runaway_is_stopped(day):
    class Refusing(FaultyBroker):
        def submit(self, order):
            self.suspended = True
            try:
                return super().submit(order)
            finally:
                self.suspended = False

    broker = Refusing(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED)
    lived = day(broker=broker)
    lived.plan()
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"max_consecutive_rejects": 2}))
    lived.execute()
    assert lived.desk.journal.book.trading_state is TradingState.HALTED
    assert len(broker.received) == 2


@pytest.mark.parametrize("price", ["44.90", "55.60"])
def test_25_the_price_has_run_away_before_the_order_leaves(day, price):
    lived = day()
    lived.plan()
    lived.broker.prices["AAA"] = Decimal(price)
    lived.execute()
    assert lived.order("AAA").message.startswith("PRICE_COLLAR: ")
    assert lived.states() == GOOD_DAY | {"AAA": "denied"}
    assert "AAA" not in lived.at_broker()


def test_25_an_order_of_unknown_outcome_is_not_repeated_at_a_price_that_has_run_away(day):
    class RunningAway(FaultyBroker):
        def submit(self, order):
            self.prices["SELL"] = Decimal(80)
            return super().submit(order)

    holdings, faults = rehearsal.HOLDINGS, frozenset({Fault.LOST_REQUEST})
    broker = RunningAway(rehearsal.CASH, holdings, rehearsal.PRICES, rehearsal.OPENED, faults, 7)
    lived = day(broker=broker)
    lived.plan()
    lived.execute()
    assert [request.instrument for request in lived.broker.received].count("SELL") == 1
    lived.close()
    assert close_books(lived.desk) == ()
    assert lived.states()["SELL"] == "expired"


@pytest.mark.parametrize(("seconds", "leaves"), [(60, True), (61, False), (86_400, False)])
def test_24_orders_are_compared_with_trades_of_the_last_minute(day, seconds, leaves, caplog):
    lived = day()
    lived.broker.since_trade = pd.Timedelta(seconds=seconds)
    lived.plan()
    lived.execute()
    assert lived.at_broker() == (EVERY_ORDER if leaves else [])
    if seconds == 61:
        waiting = "chaos-20250103-SELL-sell-0 waits for a trade to be compared with: "
        told = f"{waiting}STALE_DATA: last trade 61 s ago against 60 s"
        assert [record.message for record in caplog.records].count(told) == 1


def test_24_an_order_that_waited_for_a_trade_leaves_when_there_is_one(day):
    lived = day()
    lived.plan()
    lived.broker.since_trade = pd.Timedelta(seconds=75)

    def sleep(seconds):
        lived.clock.sleep(seconds)
        if lived.broker.now >= rehearsal.OPENED + pd.Timedelta(seconds=4):
            lived.broker.since_trade = pd.Timedelta(0)

    lived.open(sleep=sleep)
    lived.execute()
    assert lived.states() == GOOD_DAY


def test_24_orders_wait_while_no_trade_can_be_asked_for_and_fills_are_booked_all_the_same(day):
    class Mute(FaultyBroker):
        is_mute = True

        def last_trades(self, instruments):
            if self.is_mute:
                raise BrokerUnavailableError("the data API is away")
            return super().last_trades(instruments)

    lived = day(broker=Mute(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED))
    lived.plan()
    lived.execute()
    assert lived.at_broker() == []
    lived.broker.is_mute = False
    lived.execute()
    assert lived.states() == GOOD_DAY


@pytest.mark.parametrize(("now", "is_stopped"), [("2025-01-03 21:00:30", False), ("2025-01-03 15:00", True)])
def test_28_and_33_the_window_ends_or_a_switch_is_pulled_while_the_price_is_asked_for(day, tmp_path, now, is_stopped):
    class Slow(FaultyBroker):
        def last_trades(self, instruments):
            if len(instruments) == 1:
                self.now = pd.Timestamp(now, tz="UTC")
                if is_stopped:
                    (tmp_path / "STOP").touch()
            return super().last_trades(instruments)

    lived = day(broker=Slow(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED))
    lived.plan()
    lived.execute()
    assert lived.broker.received == []


def test_26_orders_per_minute_are_kept(day):
    lived = day()
    pauses = []
    lived.open(sleep=pauses.append, limits=rehearsal.LIMITS.model_copy(update={"max_orders_per_minute": 2}))
    for _ in range(3):
        wait_for_rate(lived.desk)
        lived.desk.sent.append(lived.desk.now())
    assert pauses == [60.0]


@pytest.mark.parametrize(("soft", "hard", "state"), [(0.1, 0.5, "reducing"), (0.05, 0.1, "halted")])
def test_27_the_day_loses_too_much(day, soft, hard, state):
    lived = day()
    lived.plan()
    lived.broker.prices["KEEP"] = Decimal(10)
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"soft_daily_loss": soft, "hard_daily_loss": hard}))
    lived.execute()
    assert lived.desk.journal.book.trading_state == state
    assert lived.at_broker() == (["SELL"] if state == "reducing" else [])


@pytest.mark.parametrize(
    ("falls_after", "hard", "state", "cancelled"),
    [
        (["SELL"], 0.5, "reducing", set()),
        (["SELL"], 0.1, "halted", {"SELL"}),
        (EVERY_ORDER, 0.5, "reducing", {"AAA", "BAD", "BBB"}),
        (EVERY_ORDER, 0.1, "halted", {"AAA", "BAD", "BBB"}),
    ],
)
def test_27_the_day_loses_too_much_while_orders_fill(day, falls_after, hard, state, cancelled):
    lived = day(Fault.PARTIAL_FILLS)
    lived.plan()

    def sleep(seconds):
        if lived.at_broker() == falls_after:
            lived.broker.prices["KEEP"] = Decimal(10)
        lived.clock.sleep(seconds)

    lived.open(
        limits=rehearsal.LIMITS.model_copy(update={"soft_daily_loss": 0.05, "hard_daily_loss": hard}), sleep=sleep
    )
    lived.execute()
    assert lived.desk.journal.book.trading_state == state
    assert lived.at_broker() == falls_after
    ended = {order.instrument for order in lived.broker.all_orders() if order.status is OrderStatus.CANCELED}
    assert ended == cancelled
    lived.close()
    assert close_books(lived.desk) == ()


def test_27_the_operator_sells_everything_after_the_loss(day):
    lived = day()
    lived.plan()
    lived.broker.prices["SELL"] = Decimal(75)
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"soft_daily_loss": 0.001, "hard_daily_loss": 0.002}))
    lived.desk.journal.append(
        [trading_state_event(rehearsal.SESSION, 0, TradingState.REDUCING, FLATTEN, "everything is sold")]
    )
    lived.execute()
    assert lived.desk.journal.book.trading_state is TradingState.REDUCING
    assert lived.at_broker() == ["SELL"]


def test_27_a_withdrawal_is_no_loss_and_a_deposit_hides_none(day):
    lived = day()
    lived.plan()
    limits = rehearsal.LIMITS.model_copy(update={"soft_daily_loss": 0.05, "hard_daily_loss": 0.1, "max_drawdown": 0.1})
    lived.open(limits=limits)
    lived.broker.cash -= 1_500
    lived.broker.tell(cash_of_the_owner("20250103143500000::w", "-1500"))
    lived.execute()
    assert lived.desk.journal.book.trading_state is TradingState.ACTIVE
    assert lived.at_broker() == ["AAA", "BAD", "BBB", "SELL"]
    # Of 10,500 nearly 2,000 are lost, and 3,000 come in: the equity is higher than before, the loss is there.
    lived.broker.prices["KEEP"] = Decimal(1)
    lived.broker.cash += 3_000
    lived.broker.tell(cash_of_the_owner("20250103150000000::d", "3000"))
    lived.execute()
    assert lived.desk.journal.book.trading_state is TradingState.HALTED


def cash_of_the_owner(name, amount):
    return CashActivity(name, rehearsal.SESSION, CashKind.TRANSFER, Decimal(amount))


@pytest.mark.parametrize(
    "layer", ["file", "shell", "ledger", "another process", "file, then another process", "broker"]
)
def test_28_the_kill_switch_is_pulled_between_two_orders(day, layer, tmp_path):
    class Watched(FaultyBroker):
        def submit(self, order):
            answer = super().submit(order)
            if order.side == "buy":
                pull()
            return answer

    broker = Watched(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED)
    lived = day(broker=broker)
    lived.plan()
    environment = {}
    lived.open(kill_switch=KillSwitch(tmp_path / "STOP", environment))

    halted = trading_state_event(rehearsal.SESSION, 0, TradingState.HALTED, "PERSON", "stop")

    def pull():
        if layer.startswith("file"):
            (tmp_path / "STOP").touch()
        {
            "file": lambda: None,
            "shell": lambda: environment.update({KILL_SWITCH_VARIABLE: "1"}),
            "ledger": lambda: lived.desk.journal.append([halted]),
            "another process": lambda: Ledger.at(lived.file).append([halted]),
            "file, then another process": lambda: Ledger.at(lived.file).append([halted]),
            "broker": lambda: broker.suspend_trading(True),
        }[layer]()

    lived.execute()
    assert [request.instrument for request in broker.received] == ["SELL", "AAA"]
    assert lived.desk.journal.book.trading_state is TradingState.HALTED
    assert lived.states()["AAA"] == "canceled"
    assert lived.states()["BBB"] == "intended"


@pytest.mark.parametrize("trouble", ["the cancellation is lost", "the process dies before it asks"])
def test_27_buys_that_could_not_be_cancelled_at_once_are_cancelled_later(day, trouble):
    class Busy(FaultyBroker):
        refused = 3 if trouble == "the cancellation is lost" else 0

        def cancel(self, client_order_id):
            if self.refused:
                self.refused -= 1
                raise RateLimitedError("too many requests", 1.0)
            super().cancel(client_order_id)

        def _work(self, order):
            pass  # Nothing fills before it is cancelled.

    lived = day(broker=Busy(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED))
    lived.plan()
    send_side(lived.desk, "buy")
    collect(lived.desk)
    if trouble == "the process dies before it asks":
        reducing = trading_state_event(rehearsal.SESSION, 0, TradingState.REDUCING, "DAILY_LOSS", "half is lost")
        lived.desk.journal.append([reducing])
    else:
        lived.desk.tighten(TradingState.REDUCING, "DAILY_LOSS", "half is lost")
    lived.open().journal.reload()
    lived.execute()
    ended = {order.instrument: order.status for order in lived.broker.all_orders()}
    assert ended["AAA"] == ended["BBB"] == ended["BAD"] == OrderStatus.CANCELED
    assert ended["SELL"] == OrderStatus.ACCEPTED


def test_28_an_order_whose_cancellation_was_asked_for_is_rejected(day):
    class Rejecting(FaultyBroker):
        def cancel(self, client_order_id):
            self._end(client_order_id, OrderStatus.REJECTED)

        def _work(self, order):
            pass

    lived = day(broker=Rejecting(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED))
    lived.plan()
    send_side(lived.desk, "sell")
    lived.desk.cancel_own_orders()
    lived.execute()
    assert lived.states()["SELL"] == "rejected"


def test_28_the_operator_stops_the_account_while_an_order_waits_for_its_turn(day, tmp_path):
    lived = day()
    lived.plan()
    stop = tmp_path / "STOP"
    lived.open(sleep=lambda _: stop.touch(), limits=rehearsal.LIMITS.model_copy(update={"max_orders_per_minute": 1}))
    send_side(lived.desk, "buy")
    # The second order had to wait for the minute; the stop that came meanwhile holds it.
    assert [request.instrument for request in lived.broker.received] == ["AAA"]
    assert lived.desk.journal.book.trading_state is TradingState.HALTED


def test_33_the_window_ends_while_an_order_waits_for_its_turn(day):
    lived = day()
    lived.plan()

    def until_the_close(_):
        lived.broker.now = pd.Timestamp("2025-01-03 21:00", tz="UTC")

    lived.open(sleep=until_the_close, limits=rehearsal.LIMITS.model_copy(update={"max_orders_per_minute": 1}))
    send_side(lived.desk, "buy")
    assert [request.instrument for request in lived.broker.received] == ["AAA"]
