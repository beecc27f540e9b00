"""The hours of the exchange as calendar, clock and broker say them: where they differ, nothing is sent."""

import pandas as pd
import pytest

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.trading.broker_records import BrokerClock
from quant_pipeline.trading.orders.emergency import sell_everything
from quant_pipeline.trading.orders.execution import recover
from quant_pipeline.trading.orders.risk_inputs import view_of_account
from quant_pipeline.trading.orders.sending import look, send_side
from quant_pipeline.trading.orders.windows import hours_agree
from quant_pipeline.trading.ports import BrokerUnavailableError
from tests.helpers.faulty_days import broker_of


@pytest.mark.parametrize(
    ("now", "is_open", "closes_at", "said"),
    [
        ("2025-01-03 15:00", False, None, "the broker says that its market is closed"),
        ("2025-01-03 15:00", True, "2025-01-03 18:00", "the broker closes at 2025-01-03 18:00"),
    ],
    ids=["unscheduled close", "unscheduled early close"],
)
def test_hours_that_differ_from_the_brokers_stop_sending_with_a_message(day, now, is_open, closes_at, said):
    lived = day()
    lived.plan()
    lived.broker.now = pd.Timestamp(now, tz="UTC")
    lived.broker.is_open = is_open
    lived.broker.closes_at = None if closes_at is None else pd.Timestamp(closes_at, tz="UTC")
    send_side(lived.desk, "sell")
    send_side(lived.desk, "buy")
    assert lived.broker.received == []
    assert lived.alerts() == {"EXCHANGE_HOURS"}
    alerts = [e.payload["message"] for e in lived.desk.journal.ledger.events() if e.key.startswith("alert:hours:")]
    assert len(alerts) == 1
    assert said in alerts[0]


class Clocked(FaultyBroker):
    """States its hours as a test says."""

    stated: BrokerClock | None = None

    def clock(self):
        return self.stated or super().clock()


@pytest.mark.parametrize(
    ("now", "is_open", "next_open", "next_close", "said"),
    [
        # A holiday that the calendar does not know, half a minute before and after the bell.
        ("01-03 14:29:30", False, "01-06 14:30", "01-06 21:00", "the broker opens at 2025-01-06 14:30"),
        ("01-03 14:30:30", False, "01-06 14:30", "01-06 21:00", "the broker opens at 2025-01-06 14:30"),
        ("01-03 14:20:00", False, "01-02 14:30", "01-03 21:00", "the broker opens at 2025-01-02 14:30"),
        # The calendar has an early close that the exchange has not: an order would execute in the session before.
        ("01-02 21:30:00", True, "01-03 14:30", "01-02 22:00", "the broker's market is open"),
    ],
    ids=["holiday before the bell", "holiday after the bell", "next open in the past", "open before the session"],
)
def test_no_order_leaves_into_another_session_than_the_calendars(day, now, is_open, next_open, next_close, said):
    lived = day(broker=broker_of(Clocked))
    lived.plan()
    lived.open(rules=rehearsal.RULES.model_copy(update={"waves": "together"}))
    now, next_open, next_close = (pd.Timestamp(f"2025-{at}", tz="UTC") for at in (now, next_open, next_close))
    lived.broker.now, lived.broker.stated = now, BrokerClock(now, is_open, next_open, next_close)
    assert not hours_agree(lived.desk)
    alerts = [e.payload["message"] for e in lived.desk.journal.ledger.events() if e.key.startswith("alert:hours:")]
    assert [said in alert for alert in alerts] == [True]


def test_the_bell_itself_is_no_difference_of_hours(day):
    lived = day(broker=broker_of(Clocked))
    opens, closes = (pd.Timestamp(f"2025-01-03 {at}", tz="UTC") for at in ("14:30", "21:00"))
    before, later = pd.Timestamp("2025-01-02 21:00", tz="UTC"), pd.Timestamp("2025-01-06 14:30", tz="UTC")
    second = pd.Timedelta(seconds=1)
    for clock in (
        BrokerClock(opens - second, False, opens, closes),
        BrokerClock(opens + second, True, later, closes),
        BrokerClock(opens + second, False, opens, closes),  # The broker is a moment late.
        BrokerClock(before + second, True, opens, before),
    ):
        lived.broker.now, lived.broker.stated = clock.now, clock
        assert hours_agree(lived.desk), clock


def test_no_order_leaves_in_the_last_half_minute(day):
    lived = day()
    lived.plan()
    lived.broker.now = pd.Timestamp("2025-01-03 20:59:30", tz="UTC")
    assert look(lived.desk, lived.order("AAA").order) is None
    lived.broker.now = pd.Timestamp("2025-01-03 20:59:29", tz="UTC")
    assert look(lived.desk, lived.order("AAA").order).approved


@pytest.mark.parametrize("seconds", [61, -61])
def test_a_clock_that_is_fast_or_slow_stops_every_order(day, seconds):
    lived = day()
    recover(lived.desk)
    lived.desk.journal.append(rehearsal.plan_events(lived.desk.journal.ledger.events()))
    off = lived.open(now=lambda: lived.broker.now + pd.Timedelta(seconds=seconds))
    assert view_of_account(off, rehearsal.market_views(), 0).clock_skew_seconds == 61


def test_everything_is_sold_by_the_calendar_while_the_broker_does_not_say_its_hours(day):
    class Mute(FaultyBroker):
        is_mute = False

        def clock(self):
            if self.is_mute:
                raise BrokerUnavailableError("no clock")
            return super().clock()

    lived = day(broker=broker_of(Mute))
    lived.plan()
    lived.open(now=lambda: lived.broker.now)
    lived.broker.is_mute = True
    with pytest.raises(BrokerUnavailableError, match="no clock"):
        lived.execute()
    assert lived.broker.received == []
    assert sell_everything(lived.desk) == ()
    assert [(order.instrument, order.side) for order in lived.broker.received] == [("KEEP", "sell"), ("SELL", "sell")]
