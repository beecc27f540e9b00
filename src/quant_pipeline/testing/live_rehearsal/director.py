"""Leads the rehearsal: moves the clock to what is due next, lets a fault strike, and counts what came of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pandas as pd
import psutil

from quant_pipeline.live.due import Due, Owed, due
from quant_pipeline.live.parameters import LiveParameters
from quant_pipeline.live.timetable import TaskKind, Timetable
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.fake_alpaca import SECRET_KEY
from quant_pipeline.testing.live_rehearsal.faults import BEFORE, DURING, FAULTS, TimedFault, faults_of
from quant_pipeline.testing.live_rehearsal.receiver import TOKEN
from quant_pipeline.testing.live_rehearsal.stage import PATIENCE, Stage
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.risk_view import TradingState

STUCK = 0.5
"""Seconds without a new line after which the clock goes on a little: a failed task waits for its next attempt."""


@dataclass
class Director:
    """A rehearsal under way.

    Attributes
    ----------
    stage
        Everything around the process.
    sessions
        How many daily runs to see.
    chance
        Chooses faults and moments.
    struck
        How often each fault has struck.
    """

    stage: Stage
    sessions: int
    chance: Random
    struck: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._calendar = TradingCalendar.of("XNYS", self.stage.settings.start, self.stage.settings.end)
        self._timetable = Timetable(self._calendar, LiveParameters(), has_broker=True)
        self._order: list[str] = []
        self._armed: dict[tuple[str, TaskKind], str] = {}
        self._strikes: list[tuple[int, str]] = []

    def lead(self, minutes: float | None = None) -> dict[str, object]:
        """Lead through all sessions, or those of some minutes, and report."""
        self.stage.start()
        seen, ends_at = -1, time.monotonic() + (float("inf") if minutes is None else 60 * minutes)
        while (booked := self._booked()) < self.sessions and (booked == seen or time.monotonic() < ends_at):
            # A fault lasts until its session is booked.
            if booked > seen:
                self._next_fault()
                seen = booked
            self._step()
        self._tidy()
        return self._report()

    def _step(self) -> None:
        """Wait for what is due, or move the clock to what will be."""
        if not self.stage.is_alive():
            self.stage.start()
        found = self._due()
        if found.ready or found.missed:
            self._wait_for_progress()
            return
        assert found.upcoming is not None
        self._strike(BEFORE, found.upcoming.kind)
        if found.upcoming.opens > self.stage.now() and self._due() == found:
            self.stage.move(found.upcoming.opens + pd.Timedelta(seconds=self.chance.randrange(30)))

    def _due(self) -> Due:
        state = self.stage.state()
        now = self.stage.now()
        found = due(now, self._timetable, Owed(state.owed_since(now), state.settled.keys(), state.overdue))
        state.forget_before(found.since)
        return found

    def _wait_for_progress(self) -> None:
        """Wait for a line of the journal; a fault may strike while the command of a task runs."""
        size, began = self.stage.size(), time.monotonic()
        while self.stage.size() == size and self.stage.is_alive():
            time.sleep(0.01)
            child = self.stage.state().child
            if child is not None:
                kind = TaskKind(child.task.partition(" ")[0])
                if self._strike(DURING, kind):
                    return
            elif time.monotonic() - began > STUCK:
                self.stage.move(self.stage.now() + pd.Timedelta(seconds=61))
                self._after_an_hour()
                return
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"the process does not move; its journal ends with {self.stage.lines()[-3:]}")

    def _after_an_hour(self) -> None:
        """Let a broker that was away come back an hour after the open."""
        session = self._calendar.latest_on_or_before(self.stage.now().tz_localize(None).normalize())
        if self.stage.now() > self._calendar.hours(session)[0] + pd.Timedelta(hours=1):
            self.stage.play()
            if self.stage.state().failures:
                self.stage.repair()

    def _strike(self, when: str, kind: TaskKind) -> bool:
        name = self._armed.pop((when, kind), None)
        if name is None:
            return False
        self.struck[name] += 1
        self._strikes.append((len(self.stage.lines()), name))
        FAULTS[name].strike(self.stage, self.chance)
        return True

    def _next_fault(self) -> None:
        """Put everything in order as an operator would, and choose what goes wrong next; every kind has its turn."""
        self._tidy()
        if not self._order:
            names = faults_of(self.stage)
            self._order = self.chance.sample(names, len(names))
        name = self._order.pop()
        fault: TimedFault = FAULTS[name]
        self._armed = {(fault.when, fault.task): name}

    def _tidy(self) -> None:
        self.stage.play()
        self.stage.repair()
        self.stage.receiver.mood = "up"
        if not self.stage.is_alive():
            self.stage.start()
        assert self.stage.live is not None
        self.memory.append(psutil.Process(self.stage.live.pid).memory_info().rss)
        ledger = self.stage.events()
        try:
            book = AccountOrders.of(ledger.events())
            if book.trading_state is not TradingState.ACTIVE:
                session = self._calendar.latest_on_or_before(self.stage.now().tz_localize(None).normalize())
                ledger.append(
                    [trading_state_event(session, book.state_changes, TradingState.ACTIVE, "PERSON", "rehearsal")]
                )
        finally:
            ledger.engine.dispose()

    def _booked(self) -> int:
        """Return how many daily runs are settled."""
        return sum(
            line.get("task", "").startswith("daily")
            and (line["event"] == "missed" or (line["event"] == "ended" and line["result"] == "done"))
            for line in self.stage.lines()
        )

    def _report(self) -> dict[str, object]:
        stage, lines = self.stage, self.stage.lines()
        self.stage.wait_until(lambda: not stage.state().unreported, "all messages of missed tasks have arrived")
        ended = [line for line in lines if line["event"] == "ended"]
        done = Counter(line["task"] for line in ended if line["result"] in ("done", "attention"))
        missed = [line["task"] for line in lines if line["event"] == "missed"]
        titles = set(stage.receiver.titles)
        orders = Counter(order.client_order_id for order in stage.exchange.orders.values())
        restarts = sorted(stage.restarts[1:]) or [0.0]
        steady = self.memory[len(self.memory) // 10] if self.memory else 1
        return {
            "sessions": self._booked(),
            "tasks_done": sum(done.values()),
            "fault_kinds": len(self.struck),
            "faults": sum(self.struck.values()),
            "kills": stage.kills,
            "duplicates": sum(count > 1 for count in (*done.values(), *orders.values())) + len(set(done) & set(missed)),
            "orders": len(orders),
            "missed": len(missed),
            "executions_with_attention": sum(
                line["result"] == "attention" and line["task"].startswith("execution") for line in ended
            ),
            "attention_unexplained": len(self.unexplained()),
            "missed_without_message": sum(f"paper-rehearsal: {task} is missed" not in titles for task in missed),
            "changes_of_champion": stage.count("champion"),
            "changes_of_configuration": stage.count("configuration"),
            "secrets_in_messages": sum(TOKEN in text for text in stage.receiver.texts),
            "secrets_in_files": len(stage.files_with(TOKEN, SECRET_KEY)),
            "ledger_differences": self._differences(),
            "restart_seconds_p95": round(restarts[min(len(restarts) - 1, int(0.95 * len(restarts)))], 2),
            "memory_growth": round(max(self.memory[-1] / steady - 1, 0.0), 3) if self.memory else None,
        }

    def unexplained(self) -> list[str]:
        """Return the executions that left a part of their plan undone while no fault explains it."""
        found = []
        for place, line in enumerate(self.stage.lines()):
            if line["event"] == "ended" and line["result"] == "attention" and line["task"].startswith("execution"):
                fault = next((name for at, name in reversed(self._strikes) if at <= place), None)
                if fault is None or not FAULTS[fault].leaves_incomplete:
                    found.append(f"{line['task']} (status {line['status']}) after {fault or 'no fault'}")
        return found

    def _differences(self) -> int:
        """Compare ledger and broker to the share and to the cent."""
        ledger = self.stage.events()
        ledger.verify()
        books = fold(ledger.events())
        held = {name: lot.quantity for name, lot in books.positions.items() if lot.quantity}
        there = {name: place.quantity for name, place in self.stage.exchange.positions.items() if place.quantity}
        names = set(held) | set(there)
        return int(books.cash != self.stage.exchange.cash) + sum(held.get(name) != there.get(name) for name in names)
