"""Fault scenarios 29 to 35: absent brokers, second senders, other accounts, damaged ledgers, wrong hours."""

from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from quant_pipeline.common.exceptions import AccountError, ConfigurationError, StaleDataError
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.chaos.invariants import find_violations
from quant_pipeline.trading.ledger.backup import back_up, restore
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.desk import arming_event
from quant_pipeline.trading.orders.execution import recover, wait_for
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.journal import Journal
from quant_pipeline.trading.orders.lease import LeaseHeldError, LeaseLostError
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.sending import resolve, send_side
from quant_pipeline.trading.orders.windows import window_of
from quant_pipeline.trading.ports import BrokerUnavailableError
from tests.helpers.trading_day import EVERY_ORDER, GOOD_DAY


def test_29_the_broker_is_away_and_the_window_is_missed(day):
    class Away(FaultyBroker):
        away = False

        def account(self):
            if self.away:
                raise BrokerUnavailableError("no answer")
            return super().account()

    broker = Away(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED)
    lived = day(broker=broker)
    lived.plan()
    broker.away = True
    with pytest.raises(BrokerUnavailableError):
        lived.execute()
    assert broker.received == []
    broker.away = False
    broker.now = pd.Timestamp("2025-01-03 21:00", tz="UTC")
    lived.execute()
    assert set(lived.states().values()) == {"expired", "denied"}
    assert broker.received == []


def test_29_too_many_requests_lead_to_no_storm(day):
    lived = day(Fault.RATE_LIMIT).live()
    assert lived.states() == GOOD_DAY
    assert len(lived.broker.received) < 5 * len(EVERY_ORDER)


def test_30_two_processes_want_to_send(day, tmp_path):
    lived = day()
    first = rehearsal.open_desk(lived.file, lived.broker, lived.clock)
    with pytest.raises(LeaseHeldError, match="another process"):
        rehearsal.open_desk(lived.file, lived.broker, lived.clock)
    lived.broker.now += pd.Timedelta(seconds=rehearsal.RULES.lease_seconds + 1)
    second = rehearsal.open_desk(lived.file, lived.broker, lived.clock)
    assert second.journal.lease.fence == first.journal.lease.fence + 1
    rehearsal.live_through_the_day(second, lived.close)
    sent = len(lived.broker.received)
    with pytest.raises(LeaseLostError):
        first.journal.append([arming_event(rehearsal.SESSION, "ELSE")])
    assert len(lived.broker.received) == sent
    assert find_violations(lived.file, lived.broker) == []


def test_30_a_sender_that_lost_its_lease_repeats_no_order(day):
    class Mute(FaultyBroker):
        mute = True

        def submit(self, order):
            if self.mute:
                raise BrokerUnavailableError("no connection")
            return super().submit(order)

    lived = day(broker=Mute(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED))
    lived.plan()
    asleep = rehearsal.open_desk(lived.file, lived.broker, lived.clock)
    send_side(asleep, "buy")
    lived.broker.now += pd.Timedelta(seconds=rehearsal.RULES.lease_seconds + 1)
    rehearsal.open_desk(lived.file, lived.broker, lived.clock)
    lived.broker.mute = False
    with pytest.raises(LeaseLostError):
        resolve(asleep)
    assert lived.broker.received == []


def test_30_no_other_sender_takes_over_from_one_that_waits_longer_than_its_lease(day):
    class Quiet(FaultyBroker):
        def _work(self, order):
            """Leave every order open."""

    lived = day(broker=Quiet(rehearsal.CASH, rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED))
    lived.plan()
    waiting = rehearsal.open_desk(lived.file, lived.broker, lived.clock)
    send_side(waiting, "sell")
    wait_for(waiting, "sell", 2 * rehearsal.RULES.lease_seconds)
    assert waiting.journal.book.unfinished
    with pytest.raises(LeaseHeldError):
        rehearsal.open_desk(lived.file, lived.broker, lived.clock)


def test_31_the_keys_open_another_account(day):
    lived = day()
    lived.open(rules=rehearsal.RULES.model_copy(update={"account_number": "OTHER"}))
    with pytest.raises(ConfigurationError, match=r"open account CHAOS001, but execution\.account_number pins OTHER"):
        recover(lived.desk)
    assert lived.desk.journal.ledger.events() == ()


def test_32_the_ledger_is_restored_from_an_older_backup(day, tmp_path):
    lived = day()
    lived.plan()
    backup = back_up(lived.desk.journal.ledger, tmp_path / "backup.sqlite")
    lived.execute()
    lived.desk.journal.ledger.engine.dispose()
    restore(backup, lived.file, tmp_path / "replaced")
    sent = len(lived.broker.received)
    lived.open()
    assert lived.states()["AAA"] == "intended"
    lived.live()
    assert lived.states() == GOOD_DAY
    assert len(lived.broker.received) == sent


def test_32_a_ledger_changed_from_outside_sends_nothing(day):
    lived = day()
    lived.plan()
    with lived.desk.journal.ledger.engine.begin() as connection:
        connection.execute(
            sa.text("update event set payload = replace(payload, '30', '31') where kind = 'order_recorded'")
        )
    with pytest.raises(AccountError, match="changed from outside"):
        lived.open()


def test_32_a_ledger_that_cannot_be_written_sends_nothing(day):
    lived = day()
    lived.plan()
    locked = Ledger(f"sqlite:///file:{lived.file}?mode=ro&uri=true")
    lived.open(journal=Journal(locked))
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        lived.execute()
    assert lived.broker.received == []


@pytest.mark.parametrize(
    ("session", "rule", "first", "last"),
    [
        ("2025-07-03", "sells first", "2025-07-03 13:30", "2025-07-03 16:59:30"),
        ("2025-01-03", "day", "2025-01-02 21:00", "2025-01-03 20:59:30"),
        ("2025-07-07", "day", "2025-07-03 17:00", "2025-07-07 19:59:30"),
        ("2025-01-10", "day", "2025-01-08 21:00", "2025-01-10 20:59:30"),
        ("2025-01-03", "opg", "2025-01-03 00:00", "2025-01-03 14:27:30"),
        ("2025-03-10", "opg", "2025-03-09 23:00", "2025-03-10 13:27:30"),
        ("2025-01-03", "cls", "2025-01-03 00:00", "2025-01-03 20:49:30"),
        ("2025-07-03", "cls", "2025-07-02 23:00", "2025-07-03 16:49:30"),
    ],
    ids=[
        "half day, sales first",
        "plain",
        "after a half day and a holiday",
        "after a mourning day",
        "auction",
        "auction after the clock change",
        "closing auction",
        "closing auction of a half day",
    ],
)
def test_33_orders_leave_only_in_the_window_of_their_session(day, session, rule, first, last):
    lived = day()
    calendar = rehearsal.TradingCalendar.of("XNYS", "2025-01-01", "2025-12-31")
    rules = ExecutionRules() if rule == "sells first" else ExecutionRules(time_in_force=rule, waves="together")
    desk = replace(lived.desk, session=pd.Timestamp(session), calendar=calendar, rules=rules)
    assert window_of(desk) == (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))


@pytest.mark.parametrize("kind", ["opg", "cls"])
def test_33_an_auction_cannot_wait_for_its_sales(kind):
    with pytest.raises(ValidationError, match="set waves to together"):
        ExecutionRules(time_in_force=kind, waves="sells_first")


def test_33_it_is_too_early_to_send(day):
    lived = day()
    lived.plan()
    lived.broker.now = pd.Timestamp("2025-01-03 14:29", tz="UTC")
    with pytest.raises(StaleDataError, match="may be sent from 2025-01-03 14:30 UTC"):
        lived.execute()
    assert lived.broker.received == []


def test_34_a_model_is_swapped_while_the_session_runs(day):
    lived = day()
    lived.plan()
    send_side(lived.desk, "sell")
    rows = [("SELL", "sell", 40, 100.0, "new model"), ("AAA", "buy", 10, 50.0, "new model")]
    orders = pd.DataFrame(rows, columns=["instrument", "side", "quantity", "reference_price", "reason"])
    events = lived.desk.journal.ledger.events()
    with pytest.raises(AccountError, match="chaos-20250103-SELL-sell-0 of 2025-01-03 has left already"):
        record_plan(events, orders, rehearsal.DECIDED, rehearsal.SESSION)
    lived.execute()
    assert {o.instrument: o.filled_quantity for o in lived.broker.all_orders()} == {
        "SELL": 50,
        "AAA": 30,
        "BBB": 90,
        "BAD": 20,
    }
    recorded = (e for e in lived.desk.journal.ledger.events() if e.key.startswith("order:"))
    scores = {event.payload["provenance"]["scores"] for event in recorded}
    assert scores == {"test"}


def test_35_buys_wait_for_the_sales_and_fit_the_cash_they_bring(day):
    class Slow(FaultyBroker):
        def _work(self, order):
            if order.side == "buy":
                super()._work(order)

    broker = Slow(Decimal(1_000), rehearsal.HOLDINGS, rehearsal.PRICES, rehearsal.OPENED)
    lived = day(broker=broker)
    lived.plan()
    lived.execute()
    # Two percent dearer, 1000 USD buy 19 shares at 50; the 50 left buy 2 at 20, the 10 left none at 10.
    sent = [(request.instrument, request.quantity) for request in broker.received]
    assert sent == [("SELL", 50), ("AAA", 19), ("BBB", 2)]
    assert lived.states() == {**GOOD_DAY, "SELL": "accepted", "BAD": "expired"}
    assert broker.cash >= 0
