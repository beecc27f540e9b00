"""The fault scenarios of a trading desk, one test each, named after what goes wrong.

Of scenario 34 (a model is swapped while the session runs) this side sees only plans; that a damaged model is refused
and the old one goes on is tried with inference.
"""

import shutil
from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from quant_pipeline.exceptions import AccountError, ConfigurationError, StaleDataError
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.chaos.invariants import find_violations
from quant_pipeline.testing.chaos.suite import rehearse
from quant_pipeline.trading.broker_records import PositionActivity, PositionKind
from quant_pipeline.trading.domain import EventKind
from quant_pipeline.trading.ledger import Ledger
from quant_pipeline.trading.order_management.collection import collect
from quant_pipeline.trading.order_management.desk import arming_event, trading_state_event
from quant_pipeline.trading.order_management.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.order_management.journal import Journal
from quant_pipeline.trading.order_management.kill_switch import KILL_SWITCH_VARIABLE, KillSwitch
from quant_pipeline.trading.order_management.lease import LeaseHeldError, LeaseLostError
from quant_pipeline.trading.order_management.reconciliation import find_breaks
from quant_pipeline.trading.order_management.rules import ExecutionRules
from quant_pipeline.trading.order_management.sending import send_orders, wait_for_rate, window_of
from quant_pipeline.trading.order_management.states import OrderState
from quant_pipeline.trading.plans import record_plan
from quant_pipeline.trading.ports import BrokerUnavailableError
from quant_pipeline.trading.risk_view import TradingState


class Day:
    """A trading day before a broker with faults, in one process."""

    def __init__(self, folder, *faults, broker=None):
        self.file = folder / "ledger.sqlite"
        self.broker = broker or rehearsal.new_broker(frozenset(faults), 7)
        self.clock = rehearsal.Clockwork(lambda: self.broker.now, self.broker.advance)
        self.desk = self.open()

    def open(self, **changes):
        self.desk = replace(rehearsal.open_desk(self.file, self.broker, self.clock, holds_lease=False), **changes)
        return self.desk

    def plan(self):
        """Do everything up to the recorded verdicts."""
        recover(self.desk)
        number = self.broker.account().account_number
        self.desk.journal.append([arming_event(rehearsal.SESSION, number)])
        self.desk.journal.append(rehearsal.plan_events(self.desk.journal.ledger.events()))
        verdicts = judge(self.desk, rehearsal.market_views(), 0)
        self.desk.journal.append(verdict_events(verdicts, "2025-01-03", {"scores": "test", "data": "2025-01-02"}))
        return verdicts

    def execute(self):
        return execute(self.desk, rehearsal.market_views(), 0)

    def close(self):
        self.broker.close_session()
        self.broker.now = pd.Timestamp("2025-01-03 21:05", tz="UTC")

    def live(self):
        rehearsal.live_through_the_day(self.desk, self.close)
        assert find_violations(self.file, self.broker) == []
        return self

    def states(self):
        return {o.order.instrument: str(o.state) for o in self.desk.journal.book.orders.values()}

    def order(self, instrument):
        return next(o for o in self.desk.journal.book.orders.values() if o.order.instrument == instrument)

    def at_broker(self):
        return sorted(o.instrument for o in self.broker.all_orders())

    def alerts(self):
        events = self.desk.journal.ledger.events()
        return {event.payload["code"] for event in events if event.kind is EventKind.ALERT_RAISED}


GOOD_DAY = {"SELL": "filled", "AAA": "filled", "BBB": "filled", "BAD": "filled", "BIG": "denied"}
EVERY_ORDER = ["AAA", "BAD", "BBB", "SELL"]


@pytest.fixture
def day(tmp_path):
    return lambda *faults, **options: Day(tmp_path, *faults, **options)


@pytest.mark.parametrize("first", [31, 94])
def test_01_and_02_the_process_is_really_killed_at_a_step_twice_in_a_row(first):
    killed, violations = rehearse(frozenset({Fault.PARTIAL_FILLS}), (first, first // 2 + 3), 7)
    assert (killed, violations) == (2, [])


def test_03_a_request_is_lost_before_the_broker_saw_it(day):
    lived = day(Fault.LOST_REQUEST).live()
    assert lived.states() == GOOD_DAY
    assert len(lived.broker.received) > len(EVERY_ORDER)
    assert lived.at_broker() == EVERY_ORDER


def test_04_the_answer_is_lost_after_the_order_was_taken(day):
    lived = day(Fault.LOST_ANSWER).live()
    assert lived.states() == GOOD_DAY
    assert len(lived.broker.received) == len(EVERY_ORDER)


def test_05_an_accepted_order_cannot_be_looked_up_for_a_while(day):
    lived = day(Fault.SLOW_READS).live()
    assert lived.states() == GOOD_DAY
    sent = [request.client_order_id for request in lived.broker.received]
    assert len(sent) > len(set(sent)) == len(EVERY_ORDER)
    assert lived.at_broker() == EVERY_ORDER


def test_06_the_same_plan_is_run_twice(day):
    lived = day().live()
    events, sent = lived.desk.journal.ledger.events(), len(lived.broker.received)
    lived.open()
    lived.live()
    assert lived.desk.journal.ledger.events() == events
    assert len(lived.broker.received) == sent


def test_07_the_plan_changes_after_it_was_recorded(day):
    lived = day()
    lived.plan()
    lived.execute()
    orders = pd.DataFrame(
        [("AAA", "buy", 29, 50.0, "changed")], columns=["instrument", "side", "quantity", "reference_price", "reason"]
    )
    lived.desk.journal.append(
        record_plan(lived.desk.journal.ledger.events(), orders, rehearsal.DECIDED, rehearsal.SESSION)
    )
    (verdict,) = judge(lived.desk, rehearsal.market_views(), 0)
    assert (verdict.code, verdict.order.client_order_id) == ("DUPLICATE_ORDER", "chaos-20250103-AAA-buy-1")
    recorded = lived.desk.journal.ledger.find(["order:chaos-20250103-AAA-buy-0"])
    event = recorded["order:chaos-20250103-AAA-buy-0"]
    changed = {**event.payload, "order": {**event.payload["order"], "quantity": 31}}
    with pytest.raises(AccountError, match="another content"):
        lived.desk.journal.append([replace(event, payload=changed)])


def test_08_a_definitive_refusal_is_not_repeated_and_stops_nothing_else(day):
    lived = day(Fault.REJECTS).live()
    assert lived.states() == {**GOOD_DAY, "BAD": "rejected"}
    assert lived.order("BAD").message == "42210000 asset is not tradable"
    assert [r.instrument for r in lived.broker.received].count("BAD") == 1


def test_09_orders_deal_in_parts(day):
    lived = day(Fault.PARTIAL_FILLS).live()
    order = lived.order("BBB")
    known = next(o for o in lived.broker.all_orders() if o.instrument == "BBB")
    fills = [e for e in lived.desk.journal.ledger.events() if e.kind is EventKind.FILL]
    parts = [e.payload for e in fills if e.payload["instrument"] == "BBB"]
    assert len(parts) > 1
    assert order.filled == 90
    assert order.value == sum(Decimal(p["quantity"]) * Decimal(p["price"]) for p in parts)
    assert order.average_price == pytest.approx(known.average_fill_price, abs=Decimal("1e-20"))


def test_10_the_broker_cancels_the_rest(day):
    lived = day(Fault.CANCELS_REST).live()
    order = lived.order("AAA")
    assert (order.state, order.filled, order.quantity) == (OrderState.CANCELED, 10, 30)
    assert [r.instrument for r in lived.broker.received].count("AAA") == 1


def test_11_activities_are_told_twice(day):
    lived = day(Fault.REPEATED_ACTIVITIES).live()
    fills = [e.payload["instrument"] for e in lived.desk.journal.ledger.events() if e.kind is EventKind.FILL]
    assert sorted(fills) == EVERY_ORDER


def test_12_nobody_listened_while_orders_dealt(day):
    lived = day()
    lived.plan()
    send_orders(lived.desk, "sell")
    lived.broker.advance(600)
    assert find_breaks(lived.desk) != ()
    collect(lived.desk)
    assert find_breaks(lived.desk) == ()


def test_13_the_broker_uses_words_nobody_knows(day):
    lived = day(Fault.UNKNOWN_STATUS, Fault.UNKNOWN_ACTIVITY).live()
    assert lived.states() == GOOD_DAY
    assert lived.alerts() == {"UNKNOWN_STATUS", "UNKNOWN_ACTIVITY"}


def test_14_activities_lag_behind_the_orders(day):
    lived = day(Fault.SLOW_ACTIVITIES).live()
    assert lived.states() == GOOD_DAY
    assert lived.desk.journal.book.trading_state is TradingState.ACTIVE


def test_15_a_deal_is_never_reported_and_then_it_is(day):
    lived = day(Fault.MISSING_ACTIVITY)
    lived.plan()
    lived.execute()
    order = lived.order("SELL")
    assert (order.filled, order.inferred) == (50, 50)
    assert lived.desk.journal.book.trading_state is TradingState.REDUCING
    assert lived.states()["AAA"] == "denied"
    assert find_breaks(lived.desk) == ()
    lived.broker.tell_withheld()
    collect(lived.desk)
    order = lived.order("SELL")
    assert (order.filled, order.inferred) == (50, 0)
    assert find_breaks(lived.desk) == ()


def test_16_orders_deal_before_the_answer_arrives(day):
    assert day(Fault.FILL_BEFORE_ANSWER).live().states() == GOOD_DAY


def test_17_an_order_deals_after_it_was_cancelled(day):
    lived = day(Fault.LATE_FILL).live()
    order = lived.order("SELL")
    assert (order.state, order.filled) == (OrderState.CANCELED, 1)


@pytest.mark.parametrize(("fault", "filled"), [(Fault.BUST, 0), (Fault.CORRECTION, 30)])
def test_18_a_deal_is_taken_back_or_corrected(day, fault, filled):
    lived = day(fault).live()
    assert lived.order("AAA").filled == filled
    kinds = [e.kind for e in lived.desk.journal.ledger.events()]
    assert (EventKind.TRADE_BUST in kinds, EventKind.TRADE_CORRECTION in kinds) == (filled == 0, filled == 30)


@pytest.mark.parametrize(("shares", "state"), [(2, TradingState.ACTIVE), (200, TradingState.REDUCING)])
def test_19_somebody_deals_by_hand_on_the_same_account(day, shares, state):
    lived = day()
    lived.plan()
    lived.broker.deal_by_hand("OUT", "buy", Decimal(shares))
    lived.execute()
    assert lived.desk.journal.book.trading_state is state
    assert "EXTERNAL_DEAL" in lived.alerts()
    assert lived.desk.journal.account.positions["OUT"].quantity == shares
    assert find_breaks(lived.desk) == ()


def test_20_what_is_held_is_split(day):
    lived = day(Fault.SPLIT).live()
    held = lived.desk.journal.account.positions["AAA"]
    assert (held.quantity, held.cost) == (120, lived.order("AAA").value)


def test_21_a_dividend_is_booked_from_the_broker_only(day):
    lived = day(Fault.DIVIDEND).live()
    assert lived.desk.journal.account.dividends == Decimal("7.50")


def test_21_no_dividend_is_invented_where_the_broker_pays_none(day):
    assert day().live().desk.journal.account.dividends == 0


def test_22_a_held_name_changes_and_the_old_one_is_dead(day):
    lived = day()
    recover(lived.desk)
    today = rehearsal.SESSION
    lived.broker.held["KEPT"] = lived.broker.held.pop("KEEP")
    lived.broker.prices["KEPT"] = lived.broker.prices.pop("KEEP")
    lived.broker.tell(
        PositionActivity("20250103-000001", today, PositionKind.SYMBOL_CHANGE, "KEEP", Decimal(-40)),
        PositionActivity("20250103-000002", today, PositionKind.SYMBOL_CHANGE, "KEPT", Decimal(40)),
    )
    assert recover(lived.desk) == ()
    assert lived.desk.journal.account.positions["KEPT"].cost == 2000
    assert lived.broker.asset("KEEP") is None


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
    assert lived.order("BIG").message == "ORDER_VALUE: 8000.00 against 3600.00"
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
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"maximum_consecutive_rejects": 2}))
    lived.execute()
    assert lived.desk.journal.book.trading_state is TradingState.HALTED
    assert len(broker.received) == 2


def test_26_orders_per_minute_are_kept(day):
    lived = day()
    pauses = []
    lived.open(sleep=pauses.append, limits=rehearsal.LIMITS.model_copy(update={"maximum_orders_per_minute": 2}))
    for _ in range(3):
        wait_for_rate(lived.desk)
    assert pauses == [60.0]


@pytest.mark.parametrize(("soft", "hard", "state"), [(0.1, 0.5, "reducing"), (0.05, 0.1, "halted")])
def test_27_the_day_loses_too_much(day, soft, hard, state):
    lived = day()
    lived.plan()
    lived.broker.prices["SELL"] = Decimal(75)
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"soft_daily_loss": soft, "hard_daily_loss": hard}))
    lived.execute()
    assert lived.desk.journal.book.trading_state == state
    assert lived.at_broker() == (["SELL"] if state == "reducing" else [])


@pytest.mark.parametrize("layer", ["file", "shell", "ledger", "broker"])
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

    def pull():
        book = lived.desk.journal.book
        {
            "file": (tmp_path / "STOP").touch,
            "shell": lambda: environment.update({KILL_SWITCH_VARIABLE: "1"}),
            "ledger": lambda: lived.desk.journal.append(
                [trading_state_event(rehearsal.SESSION, book.state_changes, TradingState.HALTED, "PERSON", "stop")]
            ),
            "broker": lambda: broker.suspend_trading(True),
        }[layer]()

    lived.execute()
    assert [request.instrument for request in broker.received] == ["SELL", "AAA"]
    assert lived.desk.journal.book.trading_state is TradingState.HALTED
    assert lived.states()["AAA"] == "canceled"
    assert lived.states()["BBB"] == "intended"


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


def test_31_the_keys_open_another_account(day):
    lived = day()
    lived.open(rules=rehearsal.RULES.model_copy(update={"account_number": "OTHER"}))
    with pytest.raises(ConfigurationError, match=r"open account CHAOS001, but execution\.account_number pins OTHER"):
        recover(lived.desk)
    assert lived.desk.journal.ledger.events() == ()


def test_32_the_ledger_is_restored_from_an_older_backup(day, tmp_path):
    lived = day()
    lived.plan()
    lived.desk.journal.ledger.engine.dispose()
    shutil.copy(lived.file, tmp_path / "backup.sqlite")
    lived.execute()
    lived.desk.journal.ledger.engine.dispose()
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.sqlite", lived.file)
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
        ("2025-07-03", "sells first", "2025-07-03 13:30", "2025-07-03 17:00"),
        ("2025-01-03", "day", "2025-01-02 21:00", "2025-01-03 21:00"),
        ("2025-07-07", "day", "2025-07-03 17:00", "2025-07-07 20:00"),
        ("2025-01-10", "day", "2025-01-08 21:00", "2025-01-10 21:00"),
        ("2025-01-03", "opg", "2025-01-03 00:00", "2025-01-03 14:28"),
        ("2025-03-10", "opg", "2025-03-09 23:00", "2025-03-10 13:28"),
    ],
    ids=[
        "half day, sales first",
        "plain",
        "after a half day and a holiday",
        "after a mourning day",
        "auction",
        "auction after the clock change",
    ],
)
def test_33_orders_leave_only_in_the_window_of_their_session(day, session, rule, first, last):
    lived = day()
    calendar = rehearsal.TradingCalendar.of("XNYS", "2025-01-01", "2025-12-31")
    rules = ExecutionRules() if rule == "sells first" else ExecutionRules(time_in_force=rule, waves="together")
    desk = replace(lived.desk, session=pd.Timestamp(session), calendar=calendar, rules=rules)
    assert window_of(desk) == (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))


def test_33_an_auction_cannot_wait_for_its_sales():
    with pytest.raises(ValidationError, match="set waves to together"):
        ExecutionRules(time_in_force="opg", waves="sells_first")


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
    send_orders(lived.desk, "sell")
    rows = [("SELL", "sell", 40, 100.0, "new model"), ("AAA", "buy", 10, 50.0, "new model")]
    orders = pd.DataFrame(rows, columns=["instrument", "side", "quantity", "reference_price", "reason"])
    lived.desk.journal.append(
        record_plan(lived.desk.journal.ledger.events(), orders, rehearsal.DECIDED, rehearsal.SESSION)
    )
    recover(lived.desk)
    verdicts = judge(lived.desk, rehearsal.market_views(), 0)
    assert [v.code for v in verdicts] == ["DUPLICATE_ORDER", None]
    lived.desk.journal.append(verdict_events(verdicts, "2025-01-03", {"scores": "new", "data": "2025-01-02"}))
    lived.execute()
    # What the old model sold stays sold, what it would have bought never leaves, and each order names its scores.
    assert {o.instrument: o.filled_quantity for o in lived.broker.all_orders()} == {"SELL": 50, "AAA": 10}
    kinds = (EventKind.ORDER_RECORDED, EventKind.ORDER_DENIED)
    scores = {e.key: e.payload["provenance"]["scores"] for e in lived.desk.journal.ledger.events() if e.kind in kinds}
    assert scores["order:chaos-20250103-SELL-sell-0"] == "test"
    assert scores["order:chaos-20250103-AAA-buy-1"] == "new"


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
