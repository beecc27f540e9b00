"""Everything around the process under rehearsal: exchange, message service, warm commands, and the process itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
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
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    ExchangeHours,
    FakeAlpaca,
    FakeExchange,
    Script,
    bookings,
)
from quant_pipeline.testing.fake_alpaca.days import advance
from quant_pipeline.testing.live_rehearsal import SETTINGS, desk, process, warm
from quant_pipeline.testing.live_rehearsal.champions import RehearsedModel
from quant_pipeline.testing.live_rehearsal.project import folder_of_models
from quant_pipeline.testing.live_rehearsal.receiver import Receiver
from quant_pipeline.testing.postgres_server import PostgresServer
from quant_pipeline.testing.small_project import keep_ledger_at
from quant_pipeline.trading.ledger.store import Ledger

BLOCKS = "parameters_live.yml"
FAULT = "drain_secnds"
"""A key that is misspelt."""
FORTNIGHT = pd.Timedelta(days=14)
PATIENCE = 120.0
"""Seconds after which a rehearsal that does not move is given up."""


class Stage:
    """Use it in a ``with`` block of `on_stage`.

    Attributes
    ----------
    exchange, market, server, receiver, settings
        The fake Alpaca and its prices, the message service, and what commands read.
    model
        The store of the model that scores.
    journal
        The file of the journal.
    database
        The server that keeps the ledger; None when a file does.
    live
        The process under rehearsal.
    kills, restarts
        How often it was killed, and the seconds from each start to ready.
    """

    def __init__(
        self,
        folder: Path,
        receiver: Receiver,
        server: FakeAlpaca,
        settings: desk.Settings,
        database: PostgresServer | None = None,
    ) -> None:
        self.folder, self.receiver, self.server, self.settings = folder, receiver, server, settings
        self.database, self.model = database, RehearsedModel(Path(settings.models))
        self.exchange, self.market = server.exchange, settings.market()
        self.live: subprocess.Popen[bytes] | None = None
        self.journal = Path(settings.home) / FOLDER / JOURNAL
        self.kills = 0
        self.restarts: list[float] = []
        self.door = str(folder / "door")
        self._lines: list[dict[str, Any]] = []
        self._state = JournalState()
        self._read = 0

    def size(self) -> int:
        """Return the bytes of the journal."""
        try:
            return os.stat(self.journal).st_size
        except FileNotFoundError:
            return 0

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
        if self.size() <= self._read:
            return
        with open(self.journal, "rb") as file:
            file.seek(self._read)
            for written in file:
                if written.endswith(b"\n"):
                    self._lines.append(json.loads(written))
                    self._state.apply(self._lines[-1])
                    self._read += len(written)

    def configure(self, **changes: float) -> None:
        """Write the blocks of the live process again, with changes of ``live``."""
        configure(self.folder, self.receiver, changes)

    def repair(self) -> None:
        """Put back what an operator would: models from a backup, the configuration without its fault."""
        self.model.repair()
        if self.is_misconfigured:
            self.configure()

    @property
    def is_misconfigured(self) -> bool:
        """Whether the configuration has a fault."""
        return FAULT in blocks_of(self.folder)["live"]

    def coming_session(self) -> pd.Timestamp:
        """Return the next session that opens."""
        now = self.now()
        return next(session for _, session, opens in self.exchange.hours.turns_until(now + FORTNIGHT) if opens)

    def now(self) -> pd.Timestamp:
        """Return the time of the exchange."""
        return self.exchange.hours.now()

    def move(self, to: pd.Timestamp) -> None:
        """Move the clock of the exchange on, through its opens and closes."""
        advance(self.exchange, self.market, to)

    def rename(self, old: str, new: str) -> None:
        """Let an instrument get another name, at the broker and in the market."""
        with self.exchange.lock:
            self.market.rename(old, new)
            bookings.change_symbol(self.exchange, old, new)

    def split(self, name: str, ratio: str) -> None:
        """Let an instrument be split, at the broker and in the market."""
        with self.exchange.lock:
            self.market.split(name, ratio)
            bookings.split(self.exchange, name, ratio)

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        began, before = time.monotonic(), self.readies()
        self.live = self._spawn()
        self.wait_until(lambda: self.readies() > before or not self.is_alive(), "the process is ready")
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
        return self.settings.ledger()

    def files_with(self, *secrets: str) -> list[Path]:
        """Return the files of logs, state, metrics and data in which a secret stands; credentials are none of them."""
        files = [file for file in self.folder.rglob("*") if file.is_file() and file.name != "credentials.yml"]
        return [file for file in files if any(secret.encode() in file.read_bytes() for secret in secrets)]

    def count(self, event: str) -> int:
        """Return how many lines of the journal tell of an event."""
        return sum(line["event"] == event for line in self.lines())

    def readies(self) -> int:
        """Return how often the process was ready after a start."""
        return sum(line["event"] == "state" and line["state"] == "ready" for line in self.lines())

    def _spawn(self, errors: int | None = None) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", process.__name__, str(self.folder), self.door]
        log = (self.folder / "live.log").open("ab")
        with log:
            return subprocess.Popen(  # noqa: S603 - the words are ours
                words, cwd=self.folder, stdout=log, stderr=log if errors is None else errors, start_new_session=True
            )


@contextmanager
def on_stage(
    project: Path, folder: Path, first: str, last: str, database: PostgresServer | None = None
) -> Iterator[Stage]:
    """Set the stage for the sessions between two dates.

    Parameters
    ----------
    project
        The project, whose configuration is copied.
    folder
        A new folder.
    first, last
        The session before the first one, and the last one that prices reach.
    database
        What keeps the ledger, restarted by faults; None keeps it in a file.
    """
    shutil.copytree(project / "conf", folder / "conf", ignore=shutil.ignore_patterns("credentials.yml"))
    shutil.copy(project / "pyproject.toml", folder)
    hours = ExchangeHours(pd.Timestamp(first) + pd.Timedelta(hours=21, minutes=30))
    exchange = FakeExchange(cash=Decimal(100_000), always_open=False, hours=hours)
    receiver = Receiver()
    start, end = "2023-01-03", last
    with FakeAlpaca(exchange) as server:
        home = folder / f"data/accounts/paper-rehearsal-{server.port}"
        configure(folder, receiver)
        _be_soon_tired_of_silence(folder)
        url = None if database is None else database.url
        if url is not None:
            keep_ledger_at(folder, url)
        models = str(folder_of_models(folder, server.url))
        settings = desk.Settings(str(folder), server.url, "paper-rehearsal", str(home), start, end, models, url)
        exchange.take_prices(settings.market().prices_at)
        (folder / SETTINGS).write_text(json.dumps(asdict(settings)))
        stage = Stage(folder, receiver, server, settings, database)
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


def configure(folder: Path, receiver: Receiver, changes: Mapping[str, float] | None = None) -> None:
    """Name a channel, and let failures be tried again soon."""
    own = folder / "conf" / "paper"
    (own / "credentials.yml").write_text(yaml.safe_dump({"notifications": {"phone": receiver.address}}))
    blocks = {
        "notifications": {"channels": {"phone": {"level": "info"}}, "timeout_seconds": 2.0, "repeat_minutes": 0},
        "live": {
            "drain_seconds": 2.0,
            "retry_seconds": 20.0,
            "max_attempts": 1000,
            "market_data": True,
            **(changes or {}),
        },
    }
    (own / BLOCKS).write_text(yaml.safe_dump(blocks))


def blocks_of(folder: Path) -> dict[str, Any]:
    """Return the blocks of the live process as they are written."""
    found: dict[str, Any] = yaml.safe_load((folder / "conf" / "paper" / BLOCKS).read_text())
    return found


def _be_soon_tired_of_silence(folder: Path) -> None:
    """Let a stream of market data that says nothing be connected again after two seconds."""
    catalog = folder / "conf" / "paper" / "catalog_execution.yml"
    before = "    kind: paper\n"
    text = catalog.read_text()
    assert text.count(before) == 1, f"{catalog} has no place for max_mute_seconds"
    catalog.write_text(text.replace(before, f"{before}    max_mute_seconds: 2\n"))
