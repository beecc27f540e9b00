"""What goes wrong: each fault strikes before or during a task of one session, and is over when the session is."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import pandas as pd

from quant_pipeline.live.journal import CHAMPION, CONFIGURATION
from quant_pipeline.live.timetable import TaskKind
from quant_pipeline.testing.fake_alpaca import bookings
from quant_pipeline.testing.live_rehearsal import market_faults
from quant_pipeline.testing.live_rehearsal.stage import FAULT, Stage
from quant_pipeline.trading.ledger.store import Ledger

BEFORE, DURING = "before", "during"
DATABASE_RESTARTED = "database restarted"


@dataclass(frozen=True)
class TimedFault:
    """One way in which a session goes wrong.

    Attributes
    ----------
    when, task
        ``before`` the clock reaches a task of this kind, or ``during`` its command.
    strike
        What happens.
    leaves_incomplete
        Whether a part of the plan may stay undone because of it, so that execution ends with attention.
    """

    when: str
    task: TaskKind
    strike: Callable[[Stage, Random], None]
    leaves_incomplete: bool = False


def _kill(stage: Stage, chance: Random) -> None:
    time.sleep(chance.random() * 0.3)
    stage.kill()


def _end_by(number: signal.Signals) -> Callable[[Stage, Random], None]:
    return lambda stage, _: stage.kill(number)


def _second(stage: Stage, _: Random) -> None:
    said = stage.second()
    assert "is in use by process" in said, said


def _kill_command(stage: Stage, _: Random) -> None:
    child = stage.state().child
    if child is not None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _sleep(days: float) -> Callable[[Stage, Random], None]:
    """Let the computer sleep: the process stands still while days go by."""

    def strike(stage: Stage, _: Random) -> None:
        assert stage.live is not None
        stage.live.send_signal(signal.SIGSTOP)
        stage.move(stage.now() + pd.Timedelta(days=days))
        stage.live.send_signal(signal.SIGCONT)

    return strike


def _jump(hours: float) -> Callable[[Stage, Random], None]:
    def strike(stage: Stage, _: Random) -> None:
        if hours > 0:
            stage.move(stage.now() + pd.Timedelta(hours=hours))
        else:
            stage.exchange.hours.set(stage.now() + pd.Timedelta(hours=hours))

    return strike


def _fill_disk(stage: Stage, _: Random) -> None:
    """No file of the process may grow for a second."""
    assert stage.live is not None
    hard = resource.prlimit(stage.live.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(stage.live.pid, resource.RLIMIT_FSIZE, (0, hard))
    time.sleep(1.0)
    if stage.is_alive():
        resource.prlimit(stage.live.pid, resource.RLIMIT_FSIZE, (hard, hard))


def _service(mood: str) -> Callable[[Stage, Random], None]:
    def strike(stage: Stage, _: Random) -> None:
        stage.receiver.mood = mood

    return strike


def _lock_ledger(stage: Stage, _: Random) -> None:
    engine = Ledger.open(stage.settings.address, stage.settings.anchors).engine
    with engine.begin():
        time.sleep(0.5)
    engine.dispose()


def _restart_database(stage: Stage, chance: Random) -> None:
    assert stage.database is not None
    stage.database.stop()
    time.sleep(chance.random())
    stage.database.start()


def _until_noticed(event: str, change: Callable[[Stage, Random], object]) -> Callable[[Stage, Random], None]:
    """Change something beside the process, and wait until its journal says that it was looked at."""

    def strike(stage: Stage, chance: Random) -> None:
        before = stage.count(event)
        change(stage, chance)
        stage.wait_until(lambda: stage.count(event) > before, f"the process notices a changed {event}")

    return strike


def _reconfigure(stage: Stage, chance: Random) -> None:
    before = stage.readies()
    stage.configure(drain_seconds=2.0 + chance.random())
    stage.wait_until(lambda: stage.readies() > before, "the process begins again with the changed configuration")


def _close(minutes: float | None) -> Callable[[Stage, Random], None]:
    """Close the coming session some minutes after its open, or let it not take place: no calendar has known it."""

    def strike(stage: Stage, _: Random) -> None:
        session, hours = stage.coming_session(), stage.exchange.hours
        hours.close(session, None if minutes is None else hours.opens_at(session) + pd.Timedelta(minutes=minutes))

    return strike


def _broker(**script: object) -> Callable[[Stage, Random], None]:
    return lambda stage, _: stage.play(**script)


def _fault(request: str, kind: str, times: int = 1, **more: object) -> Callable[[Stage, Random], None]:
    return _broker(faults=[{"request": request, "kind": kind, "times": times, **more}])


def _book(book: Callable[[Stage, str], object]) -> Callable[[Stage, Random], None]:
    """Book something on a position, if there is one."""

    def strike(stage: Stage, chance: Random) -> None:
        with stage.exchange.lock:
            held = sorted(name for name, position in stage.exchange.positions.items() if position.quantity > 0)
            if held:
                book(stage, chance.choice(held))

    return strike


def _deposit(stage: Stage, _: Random) -> None:
    bookings.deposit(stage.exchange, Decimal(500))


def _charge(stage: Stage, _: Random) -> None:
    bookings.book_cash(stage.exchange, "FEE", Decimal("-0.07"))


FAULTS: dict[str, TimedFault] = {
    "killed during execution": TimedFault(DURING, TaskKind.EXECUTION, _kill),
    "killed during the daily run": TimedFault(DURING, TaskKind.DAILY, _kill),
    "killed during reconciliation": TimedFault(DURING, TaskKind.RECONCILIATION, _kill),
    "killed while it waits": TimedFault(BEFORE, TaskKind.EXECUTION, _kill),
    "SIGTERM during execution": TimedFault(DURING, TaskKind.EXECUTION, _end_by(signal.SIGTERM)),
    "SIGTERM while it waits": TimedFault(BEFORE, TaskKind.DAILY, _end_by(signal.SIGTERM)),
    "terminal closed": TimedFault(BEFORE, TaskKind.BACKUP, _end_by(signal.SIGHUP)),
    "second process": TimedFault(BEFORE, TaskKind.DAILY, _second),
    "command of execution killed": TimedFault(DURING, TaskKind.EXECUTION, _kill_command),
    "command of the daily run killed": TimedFault(DURING, TaskKind.DAILY, _kill_command),
    "asleep over execution": TimedFault(BEFORE, TaskKind.DRY_RUN, _sleep(0.1)),
    "asleep for three days": TimedFault(BEFORE, TaskKind.BACKUP, _sleep(3.0)),
    "clock two hours on": TimedFault(BEFORE, TaskKind.DRY_RUN, _jump(2.0)),
    "clock two hours back": TimedFault(BEFORE, TaskKind.BACKUP, _jump(-2.0)),
    "disk full": TimedFault(BEFORE, TaskKind.RECONCILIATION, _fill_disk),
    "message service down": TimedFault(BEFORE, TaskKind.DRY_RUN, _service("down")),
    "message service hangs": TimedFault(BEFORE, TaskKind.DRY_RUN, _service("hangs")),
    "ledger locked": TimedFault(DURING, TaskKind.DAILY, _lock_ledger),
    DATABASE_RESTARTED: TimedFault(DURING, TaskKind.DAILY, _restart_database),
    "champion damaged": TimedFault(
        BEFORE, TaskKind.DAILY, _until_noticed(CHAMPION, lambda stage, _: stage.model.damage())
    ),
    "champion promoted": TimedFault(
        BEFORE,
        TaskKind.DAILY,
        _until_noticed(CHAMPION, lambda stage, _: stage.model.promote_other(stage.coming_session())),
    ),
    "damaged champion promoted": TimedFault(
        BEFORE,
        TaskKind.DAILY,
        _until_noticed(CHAMPION, lambda stage, _: stage.model.promote_damaged(stage.coming_session())),
    ),
    "configuration changed": TimedFault(BEFORE, TaskKind.DRY_RUN, _reconfigure),
    "configuration broken": TimedFault(
        BEFORE, TaskKind.DRY_RUN, _until_noticed(CONFIGURATION, lambda stage, _: stage.configure(**{FAULT: 2.0}))
    ),
    "closed early": TimedFault(BEFORE, TaskKind.EXECUTION, _close(10.0), leaves_incomplete=True),
    "closed without notice": TimedFault(BEFORE, TaskKind.DRY_RUN, _close(None), leaves_incomplete=True),
    "503 for an hour at the open": TimedFault(
        BEFORE, TaskKind.EXECUTION, _fault("any", "status_before", 100_000, status=503)
    ),
    "order lost": TimedFault(BEFORE, TaskKind.EXECUTION, _fault("submit", "reset_before")),
    "answer to an order lost": TimedFault(BEFORE, TaskKind.EXECUTION, _fault("submit", "reset_after")),
    "requests limited": TimedFault(
        BEFORE, TaskKind.EXECUTION, _fault("any", "status_before", 2, status=429, seconds=0)
    ),
    "activities unreadable": TimedFault(BEFORE, TaskKind.DAILY, _fault("activities", "garbage", 3)),
    "activities twice": TimedFault(BEFORE, TaskKind.EXECUTION, _broker(feed={"duplicate": True})),
    "activities in disorder": TimedFault(BEFORE, TaskKind.EXECUTION, _broker(feed={"reorder": True})),
    "fills late": TimedFault(BEFORE, TaskKind.EXECUTION, _broker(feed={"hidden_reads": 4})),
    "stream mute": TimedFault(BEFORE, TaskKind.EXECUTION, _broker(stream={"mute": True})),
    "stream drops": TimedFault(BEFORE, TaskKind.EXECUTION, _broker(stream={"drop_before_fill": 2})),
    "partly filled and cancelled": TimedFault(
        BEFORE,
        TaskKind.EXECUTION,
        _broker(orders=[{"parts": ["0.5"], "ending": "canceled"}]),
        leaves_incomplete=True,
    ),
    "order rejected": TimedFault(
        BEFORE, TaskKind.EXECUTION, _broker(orders=[{"refuse": "not_tradable"}]), leaves_incomplete=True
    ),
    "market stream mute": TimedFault(BEFORE, TaskKind.EXECUTION, market_faults.mute),
    "market stream dropped": TimedFault(BEFORE, TaskKind.EXECUTION, market_faults.dropped),
    "market stream dropped and REST away": TimedFault(BEFORE, TaskKind.EXECUTION, market_faults.not_filled_at_once),
    "market stream taken": TimedFault(BEFORE, TaskKind.EXECUTION, market_faults.taken),
    "watching process killed": TimedFault(BEFORE, TaskKind.EXECUTION, market_faults.watching_killed),
    "instrument halted": TimedFault(BEFORE, TaskKind.EXECUTION, market_faults.halted, leaves_incomplete=True),
    "dividend overnight": TimedFault(
        BEFORE, TaskKind.DRY_RUN, _book(lambda stage, name: bookings.pay_dividend(stage.exchange, name, "0.25"))
    ),
    "split overnight": TimedFault(
        BEFORE, TaskKind.DRY_RUN, _book(lambda stage, name: stage.split(name, "2")), leaves_incomplete=True
    ),
    "renamed overnight": TimedFault(
        BEFORE,
        TaskKind.DRY_RUN,
        _book(lambda stage, name: stage.rename(name, f"N{stage.now():%y%m%d}")),
        leaves_incomplete=True,
    ),
    "deposit": TimedFault(BEFORE, TaskKind.DRY_RUN, _deposit),
    "fee": TimedFault(BEFORE, TaskKind.DRY_RUN, _charge),
}
"""Every kind of fault by its name."""


def faults_of(stage: Stage) -> list[str]:
    """Return the names of the faults that can strike: a database that is a file is not restarted."""
    return sorted(name for name in FAULTS if stage.database is not None or name != DATABASE_RESTARTED)
