"""A trading day before a broker with faults, and how a good one ends."""

from dataclasses import replace

import pandas as pd

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.invariants import find_violations
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.orders.desk import arming_event
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events


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
