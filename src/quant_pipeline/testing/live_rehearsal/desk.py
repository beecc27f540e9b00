"""A small desk: the tasks of a session by the functions that pipelines and commands call, with a plan made by rule."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY
from quant_pipeline.testing.live_rehearsal import SETTINGS
from quant_pipeline.testing.live_rehearsal.market import RehearsedMarket, tape_between
from quant_pipeline.testing.live_rehearsal.project import check_configuration, verify_champions, watch_session
from quant_pipeline.trading.brokers.adapter import NO_MARKET
from quant_pipeline.trading.brokers.gateway import DeskRules, Gateway
from quant_pipeline.trading.ledger.backup import back_up
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.outcome import outcome_of
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.reconciliation import open_books, reconcile
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import InstrumentView

MOMENT = 0.1
"""Seconds for which an answer about the time holds."""
LIMITS = RiskLimits(
    max_order_weight=0.5,
    max_exit_weight=1.0,
    max_position_weight=0.9,
    max_sector_weight=1.0,
    max_turnover=2.0,
    max_denied_share=1.0,
    soft_daily_loss=0.8,
    hard_daily_loss=0.9,
    max_drawdown=0.95,
    max_clock_skew_seconds=3600,
    max_consecutive_rejects=1000,
    max_orders_per_minute=1000,
)
RULES = ExecutionRules(
    wait_for_sales_seconds=2, wait_for_fills_seconds=2, poll_seconds=0.05, max_attempts=2, missing_fill_polls=50
)


@dataclass(frozen=True)
class Settings:
    """What the commands of a rehearsal read from its folder."""

    folder: str
    url: str
    account: str
    home: str
    start: str
    end: str
    models: str
    database: str | None = None

    @property
    def address(self) -> str:
        """Where the ledger is: a database, or the file in the folder of the account."""
        return self.database or str(Path(self.home) / "ledger.sqlite")

    @property
    def anchors(self) -> Path | None:
        """Anchors of a ledger in a database; of a file they lie beside it."""
        return None if self.database is None else Path(self.home) / "ledger.anchors"

    @classmethod
    def of(cls, folder: Path) -> Settings:
        """Read them."""
        return cls(**json.loads((folder / SETTINGS).read_text()))

    def market(self) -> RehearsedMarket:
        """Return the market."""
        return RehearsedMarket(tape_between(self.start, self.end), Path(self.folder))

    def ledger(self) -> Ledger:
        """Open the ledger for reading."""
        return Ledger.read(Path(self.address)) if self.database is None else Ledger.open(self.address, self.anchors)

    def gateway(self) -> Gateway:
        """Return the way to the fake."""
        parameters = {"url": self.url, "read_pause_seconds": 0.02, "max_read_attempts": 2, "requests_a_minute": 100_000}
        keys = {"api_key": API_KEY, "secret_key": SECRET_KEY}
        return Gateway("alpaca", parameters, self.address, Path(self.home) / "STOP", keys, self.anchors)

    @contextmanager
    def open(self, session: pd.Timestamp, takes_lease: bool = True) -> Iterator[TradingDesk]:
        """Open the desk of a session; it asks the exchange for the time as seldom as the live process does."""
        rules = DeskRules(self.account, LIMITS, RULES)
        with self.gateway().open(session, rules, NO_MARKET, takes_lease) as desk:
            yield replace(desk, now=AskedSeldom(desk.now))


class AskedSeldom:
    """The time of an exchange that keeps its own: an answer holds for a moment, as the time of a machine costs nothing.

    Parameters
    ----------
    ask
        Asks the exchange.
    """

    def __init__(self, ask: Callable[[], pd.Timestamp]) -> None:
        self._ask = ask
        self._answer: tuple[pd.Timestamp, float] | None = None

    def __call__(self) -> pd.Timestamp:
        """Return the last answer, or a new one after `MOMENT` seconds."""
        if self._answer is None or time.monotonic() - self._answer[1] > MOMENT:
            self._answer = self._ask(), time.monotonic()
        return self._answer[0]


def run(words: Sequence[str], folder: Path) -> int:
    """Run a command of the live process, and return its exit status."""
    given = dict(pair.split("=", 1) for pair in words[list(words).index("--params") + 1].split(","))
    name = " ".join(words[:2])
    if name in LOOKS:
        return LOOKS[name](Settings.of(folder), folder)
    as_of = pd.Timestamp(given["as_of"])
    task = TASKS[name]
    if task is _execute and given.get("dry_run") == "true":
        task = _show
    return task(Settings.of(folder), as_of)


def _daily(settings: Settings, session: pd.Timestamp) -> int:
    """Close the session with the broker and plan the next one, if the champion can be read, as prediction demands."""
    verify_champions(Path(settings.models))
    following = _calendar(settings).next(session)
    with settings.open(session) as desk:
        breaks = close_books(desk)
        if breaks:
            raise AccountError(f"{session.date()} stays open: {breaks[0]}")
        orders = _plan(settings, desk, session)
        if desk.journal.account.plans.get(following) is None:
            desk.journal.append(record_plan(desk.journal.ledger.events(), orders, session, following))
    return 0


def _execute(settings: Settings, decided: pd.Timestamp) -> int:
    session = _calendar(settings).next(decided)
    market = _views(settings, decided)
    with settings.open(session) as desk:
        recover(desk)
        desk.journal.append(
            verdict_events(judge(desk, market, 0), f"{session:%Y-%m-%d}", {"data": f"{decided.date()}"})
        )
        breaks = execute(desk, market, 0)
        return int(outcome_of(desk, breaks).status)


def _show(settings: Settings, decided: pd.Timestamp) -> int:
    with settings.open(_calendar(settings).next(decided), takes_lease=False) as desk:
        judge(desk, _views(settings, decided), 0)
    return 0


def _reconcile(settings: Settings, session: pd.Timestamp) -> int:
    with settings.open(_calendar(settings).next(session)) as desk:
        open_books(desk)
        breaks = reconcile(desk)
    if breaks:
        raise AccountError(f"{len(breaks)} differences, {breaks[0]}")
    return 0


def _back_up(settings: Settings, session: pd.Timestamp) -> int:
    file = Path(settings.home) / "backups" / f"{session.date()}.sqlite"
    if not file.exists():
        back_up(settings.ledger(), file)
    return 0


def _check(settings: Settings, session: pd.Timestamp) -> int:
    with settings.open(_calendar(settings).next(session)) as desk:
        desk.check_account()
    return 0


def _watch(settings: Settings, session: pd.Timestamp) -> int:
    watch_session(Path(settings.folder), settings.url, session)
    return 0


TASKS: dict[str, Callable[[Settings, pd.Timestamp], int]] = {
    "--pipelines daily": _daily,
    "--pipelines execution": _execute,
    "account reconcile": _reconcile,
    "account backup": _back_up,
    "live --check": _check,
    "live watch": _watch,
}


LOOKS: dict[str, Callable[[Settings, Path], int]] = {
    "models verify": lambda settings, _: verify_champions(Path(settings.models)),
    "live --check-configuration": lambda settings, folder: check_configuration(folder, settings.url),
}
"""Commands that look at what has changed; they belong to no session."""


def _plan(settings: Settings, desk: TradingDesk, session: pd.Timestamp) -> pd.DataFrame:
    """Sell half of two positions and buy two instruments, chosen by the date."""
    chance, prices = Random(f"{session.date()}"), settings.market().prices_at(session, True)  # noqa: S311 - no secret hangs on it
    held = {name: lot.quantity for name, lot in desk.journal.account.positions.items() if lot.quantity >= 2}
    sold = [(name, "sell", int(held[name] // 2)) for name in chance.sample(sorted(held), min(2, len(held)))]
    budget = desk.journal.account.cash / 4
    others = [name for name in chance.sample(sorted(prices), 4) if name not in {row[0] for row in sold}][:2]
    bought = [(name, "buy", int(budget // prices[name])) for name in others]
    rows = [(*row, float(prices[row[0]]), "rehearsal") for row in (*sold, *bought) if row[2] > 0]
    return pd.DataFrame(rows, columns=["instrument", "side", "quantity", "reference_price", "reason"])


def _views(settings: Settings, session: pd.Timestamp) -> dict[str, InstrumentView]:
    prices = settings.market().prices_at(session, True)
    return {name: InstrumentView(price, 0, Decimal(10**8), name, True, True) for name, price in prices.items()}


def _calendar(settings: Settings) -> TradingCalendar:
    return TradingCalendar.of("XNYS", settings.start, settings.end)
