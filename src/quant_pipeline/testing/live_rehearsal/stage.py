"""Everything around the process under rehearsal: exchange, message service, warm commands, and the process itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from quant_pipeline.live.account import FOLDER
from quant_pipeline.live.journal import JournalState
from quant_pipeline.live.opening import JOURNAL
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, ExchangeHours, FakeAlpaca, FakeExchange, Script
from quant_pipeline.testing.fake_alpaca.days import advance
from quant_pipeline.testing.live_rehearsal import SETTINGS, desk, process, warm
from quant_pipeline.testing.live_rehearsal.receiver import Receiver
from quant_pipeline.trading.ledger.store import Ledger

PATIENCE = 120.0
"""Seconds after which a rehearsal that does not move is given up."""


class Stage:
    """Use it in a ``with`` block of `on_stage`.

    Attributes
    ----------
    exchange, server, receiver, settings
        The fake Alpaca, the message service, and what commands read.
    live
        The process under rehearsal.
    kills, restarts
        How often it was killed, and the seconds from each start to ready.
    """

    def __init__(self, folder: Path, receiver: Receiver, server: FakeAlpaca, settings: desk.Settings) -> None:
        self.folder, self.receiver, self.server, self.settings = folder, receiver, server, settings
        self.exchange = server.exchange
        self.live: subprocess.Popen[bytes] | None = None
        self.kills = 0
        self.restarts: list[float] = []
        self.door = str(folder / "door")
        self._lines: list[dict[str, Any]] = []
        self._state = JournalState()
        self._read = 0

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return Path(self.settings.home) / FOLDER / JOURNAL

    def state(self) -> JournalState:
        """Return what the journal says."""
        self._catch_up()
        return self._state

    def lines(self) -> list[dict[str, Any]]:
        """Return all whole lines of the journal."""
        self._catch_up()
        return self._lines

    def _catch_up(self) -> None:
        """Read what was appended; a line that is torn, or cut off again, is read when it is whole."""
        if not self.journal.exists():
            return
        with self.journal.open("rb") as file:
            file.seek(self._read)
            for written in file:
                if written.endswith(b"\n"):
                    self._lines.append(json.loads(written))
                    self._state.apply(self._lines[-1])
                    self._read += len(written)

    def now(self) -> pd.Timestamp:
        """Return the time of the exchange."""
        return self.exchange.hours.now()

    def move(self, to: pd.Timestamp) -> None:
        """Move the clock of the exchange on, through its opens and closes."""
        advance(self.exchange, desk.tape(self.settings), to)

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        began, before = time.monotonic(), self._ready()
        self.live = self._spawn()
        self.wait_until(lambda: self._ready() > before or not self.is_alive(), "the process is ready")
        self.restarts.append(time.monotonic() - began)

    def second(self) -> str:
        """Start a second process, and return what it says."""
        other = self._spawn(subprocess.PIPE)
        _, said = other.communicate(timeout=PATIENCE)
        return said.decode() if other.returncode else ""

    def is_alive(self) -> bool:
        """Whether the process lives."""
        return self.live is not None and self.live.poll() is None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal that ends the process, and wait for the end."""
        assert self.live is not None
        self.live.send_signal(number)
        self.live.wait(PATIENCE)
        self.kills += number is signal.SIGKILL

    def wait_until(self, holds: object, what: str) -> None:
        """Wait for something.

        Raises
        ------
        TimeoutError
            When it does not happen.
        """
        deadline = time.monotonic() + PATIENCE
        while not holds():  # type: ignore[operator]
            if time.monotonic() > deadline:
                raise TimeoutError(f"it did not happen that {what}; the journal ends with {self.lines()[-3:]}")
            time.sleep(0.01)

    def play(self, **script: object) -> None:
        """Let something go wrong at the broker; nothing goes wrong without arguments."""
        self.server.play(Script.model_validate(script))

    def events(self) -> Ledger:
        """Open the ledger."""
        return Ledger.read(self.settings.ledger)

    def _ready(self) -> int:
        return sum(line["event"] == "state" and line["state"] == "ready" for line in self.lines())

    def _spawn(self, errors: int | None = None) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", process.__name__, str(self.folder), self.door]
        log = (self.folder / "live.log").open("ab")
        with log:
            return subprocess.Popen(  # noqa: S603 - the words are ours
                words, cwd=self.folder, stdout=log, stderr=log if errors is None else errors, start_new_session=True
            )


@contextmanager
def on_stage(project: Path, folder: Path, first: str, last: str) -> Iterator[Stage]:
    """Set the stage for the sessions between two dates.

    Parameters
    ----------
    project
        The project, whose configuration is copied.
    folder
        A new folder.
    first, last
        The session before the first one, and the last one that prices reach.
    """
    shutil.copytree(project / "conf", folder / "conf", ignore=shutil.ignore_patterns("credentials.yml"))
    shutil.copy(project / "pyproject.toml", folder)
    hours = ExchangeHours(pd.Timestamp(first) + pd.Timedelta(hours=21, minutes=30))
    exchange = FakeExchange(cash=Decimal(100_000), always_open=False, hours=hours)
    receiver = Receiver()
    start, end = "2023-01-03", last
    with FakeAlpaca(exchange) as server:
        home = folder / f"data/accounts/paper-rehearsal-{server.port}"
        settings = desk.Settings(server.url, "paper-rehearsal", str(home), start, end)
        exchange.take_prices(desk.tape(settings).prices_at)
        (folder / SETTINGS).write_text(json.dumps(asdict(settings)))
        _configure(folder, receiver)
        stage = Stage(folder, receiver, server, settings)
        os.environ.update(ALPACA_PAPER_API_KEY=API_KEY, ALPACA_PAPER_SECRET_KEY=SECRET_KEY)
        with (folder / "warm.log").open("ab") as log:
            serving = subprocess.Popen(  # noqa: S603 - the words are ours
                [sys.executable, "-m", warm.__name__, stage.door, str(folder)], stdout=log, stderr=log
            )
        try:
            stage.wait_until(Path(stage.door).exists, "commands are warm")
            yield stage
        finally:
            if stage.is_alive():
                with suppress(ProcessLookupError):
                    stage.kill(signal.SIGTERM)
            serving.kill()
            serving.wait()
            receiver.shutdown()


def _configure(folder: Path, receiver: Receiver) -> None:
    """Name a channel, and let failures be tried again soon."""
    own = folder / "conf" / "paper"
    (own / "credentials.yml").write_text(yaml.safe_dump({"notifications": {"phone": receiver.address}}))
    blocks = {
        "notifications": {"channels": {"phone": {"level": "info"}}, "timeout_seconds": 2.0, "repeat_minutes": 0},
        "live": {"drain_seconds": 2.0, "retry_seconds": 20.0, "max_attempts": 1000},
    }
    (own / "parameters_live.yml").write_text(yaml.safe_dump(blocks))
