"""A process that runs through the day and is killed, really, by SIGKILL, at a numbered step.

The broker stays in the parent: it is the outside world and survives. The child is forked from the warm parent, which
takes a few milliseconds instead of the seconds of a new interpreter; what dies is a process all the same.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.testing.chaos.rehearsal import Clockwork, live_through_the_day, open_desk, plan_again
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.ports import Broker, BrokerError

_LENGTH = struct.Struct("!I")
_AFTER_THE_CLOSE = pd.Timestamp("2025-01-03 21:05", tz="UTC")


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Attributes
    ----------
    killed
        Whether it was killed at its step.
    steps
        How many steps it went, when it was not killed.
    error
        What it said, when it ended by an error.
    """

    killed: bool
    steps: int = 0
    error: str = ""


def run_process(
    ledger_file: Path, broker: FaultyBroker, kill_at: int | None, mutate: Callable[[], None] | None = None
) -> Ending:
    """Run the day in a process of its own.

    Parameters
    ----------
    ledger_file
        The ledger.
    broker
        The broker; it serves the process from here.
    kill_at
        Step at which the process kills itself; None lets it live.
    mutate
        Changes the program of the process, to see whether the rules notice.
    """
    ours, theirs = socket.socketpair()
    process = os.fork()
    if process == 0:
        ours.close()
        _live(ledger_file, _Remote(theirs, _Steps(kill_at), broker.now), mutate)
    theirs.close()
    with ours:
        ending = _serve(broker, ours)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return Ending(killed=True)
    return ending


def _serve(broker: FaultyBroker, connection: socket.socket) -> Ending:
    while True:
        message = _receive(connection)
        if message is None:
            return Ending(killed=False, error="the process ended without a word")
        name, arguments, named = message
        if name == "ending":
            return cast(Ending, arguments[0])
        try:
            if name == "close":
                broker.close_session()
                broker.now = max(broker.now, _AFTER_THE_CLOSE)
                answer: Any = None
            else:
                answer = getattr(broker, name)(*arguments, **named)
                answer = tuple(answer) if name == "activities" else answer
            _send(connection, (True, answer, broker.now))
        except BrokerError as error:
            _send(connection, (False, (type(error), error.message, dict(vars(error))), broker.now))


def _live(ledger_file: Path, remote: _Remote, mutate: Callable[[], None] | None) -> None:
    steps = remote.steps
    try:
        _count_database_steps(steps)
        if mutate is not None:
            mutate()
        clockwork = Clockwork(lambda: remote.time, lambda seconds: remote.call("advance", seconds))
        desk = open_desk(ledger_file, cast(Broker, remote), clockwork)
        live_through_the_day(
            desk, lambda: remote.call("close"), lambda: remote.call("is_planned_again") and plan_again(ledger_file)
        )
        ending = Ending(killed=False, steps=steps.count, error=_drift(desk))
    except BaseException:  # noqa: BLE001 - whatever ends the child must be reported to the parent
        ending = Ending(killed=False, steps=steps.count, error=traceback.format_exc(limit=-4))
    remote.tell_ending(ending)
    os._exit(0)


def _drift(desk: TradingDesk) -> str:
    """Compare what the process had in memory with a replay of its ledger."""
    events = desk.journal.ledger.events()
    same = desk.journal.book == AccountOrders.of(events) and desk.journal.account == fold(events)
    return "" if same else "REPLAY: memory and replay differ"


class _Steps:
    """Counts durable steps and dies at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.count = 0
        self._kill_at = kill_at

    def __call__(self) -> None:
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def _count_database_steps(steps: _Steps) -> None:
    """Count a step before every row that is written and before every commit."""

    def before_statement(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO event"):
            steps()

    sa.event.listen(sa.Engine, "before_cursor_execute", before_statement)
    sa.event.listen(sa.Engine, "commit", lambda _connection: steps())


class _Remote:
    """The port to the broker in the parent; a step before the call and one after its answer."""

    _QUIET = ("advance", "close", "is_planned_again")

    capability = FaultyBroker.capability

    def __init__(self, connection: socket.socket, steps: _Steps, time: pd.Timestamp) -> None:
        self.steps = steps
        self.time = time
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **named: self.call(name, *arguments, **named)

    def tell_ending(self, ending: Ending) -> None:
        """Say how the process ends."""
        _send(self._connection, ("ending", (ending,), {}))

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call the broker; every answer carries its time."""
        if name not in self._QUIET:
            self.steps()
        _send(self._connection, (name, arguments, named))
        message = _receive(self._connection)
        if message is None:
            os._exit(1)
        good, answer, self.time = message
        if name not in self._QUIET:
            self.steps()
        if good:
            return answer
        kind, text, attributes = answer
        error = kind.__new__(kind)
        error.__dict__.update(attributes)
        error.args = (text,)
        raise error


def _send(connection: socket.socket, message: object) -> None:
    content = pickle.dumps(message)
    connection.sendall(_LENGTH.pack(len(content)) + content)


def _receive(connection: socket.socket) -> Any:
    head = _read(connection, _LENGTH.size)
    if head is None:
        return None
    content = _read(connection, _LENGTH.unpack(head)[0])
    # Both ends are this program; nothing foreign can speak on a socket pair.
    return None if content is None else pickle.loads(content)  # noqa: S301


def _read(connection: socket.socket, size: int) -> bytes | None:
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            return None
        content += part
    return content
