"""Watch the market of a session: what the stream says becomes files that commands, the operator and the process read.

It sends nothing and books nothing. ``market.json`` holds last trades and halts for the limits, ``watch.json`` the value
of the account and what is near, ``live_scores.json`` the scores of now.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from quant_pipeline.cli.opened_account import known_prices
from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.changes import ALIASES
from quant_pipeline.live.market_data.files import SCORES_FILE, WATCH_FILE
from quant_pipeline.live.market_data.ring import MarketRing
from quant_pipeline.live.market_data.session import LiveSession
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.market_listener import MarketStream
from quant_pipeline.trading.market_snapshot import MARKET_FILE
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.ports import BrokerError

if TYPE_CHECKING:
    from quant_pipeline.models.live_scores import LiveScorer

logger = logging.getLogger(__name__)

LOSSES, STOP = "losses", "stop "
PAUSE = 1.0
"""Seconds between two looks."""
BOOKS_SECONDS = 10.0
"""Seconds after which the books are read again: orders of the session change them."""
AFTER = pd.Timedelta(minutes=2)
"""How long after the close the last bar is waited for."""


class Books(NamedTuple):
    """The account at one moment, the closes of what it holds, and what it was worth at the close before.

    ``closed_equity`` includes what its owner has paid in or taken out since; 0 before the first close.
    """

    read_at: float
    state: AccountState
    closes: Mapping[str, Decimal]
    closed_equity: Decimal


@dataclass
class Watcher:
    """Looks at a session again and again.

    Attributes
    ----------
    session, ring, stream
        The session, its memory, and what fills it.
    folder
        Where the files go.
    scorers
        By name of the model, what scores the session.
    scores_seconds
        Seconds between two scores.
    """

    session: LiveSession
    ring: MarketRing
    stream: MarketStream
    folder: Path
    scorers: Mapping[str, LiveScorer] = field(default_factory=dict)
    scores_seconds: float = 60.0
    _books: Books | None = None
    _scored: float = 0.0

    def look(self, now: pd.Timestamp) -> dict[str, Any]:
        """Fill gaps, and write what is so now; return what ``watch.json`` says."""
        self._fill_gap()
        snapshot, bars, books = self.ring.snapshot(), self.ring.session_bars(), self._books_of_now()
        snapshot.write(self.folder / MARKET_FILE)
        prices = {**books.closes, **{name: trade.price for name, trade in snapshot.trades.items()}}
        value, before = _value(books.state, prices), _value_before(books, prices)
        change = float(value / before - 1) if before > 0 else 0.0
        stops = self.session.stops(bars, books.state)
        near = [LOSSES] if change <= -self.session.opened.desk_rules.limits.soft_daily_loss else []
        found = {
            "at": now.isoformat(),
            "session": f"{self.session.session:%Y-%m-%d}",
            "net_asset_value": f"{value:.2f}",
            "change": round(change, 6),
            "instruments": len(bars),
            "connections": self.ring.connections,
            "halted": dict(snapshot.halted),
            "stops": stops,
            "alarms": [*near, *(f"{STOP}{name}" for name in sorted(stops))],
        }
        write_text(self.folder / WATCH_FILE, json.dumps(found, indent=1) + "\n")
        self._score(now, bars)
        return found

    def _fill_gap(self) -> None:
        since = self.ring.gap()
        if since is None:
            return
        try:
            self.ring.fill(self.stream.minutes_since(since, self.ring.instruments))
        except BrokerError as error:
            self.ring.ask_again()
            logger.warning("bars that the stream has missed are not known yet: %s", error.message)

    def _books_of_now(self) -> Books:
        if self._books is None or time.monotonic() - self._books.read_at > BOOKS_SECONDS:
            events = self.session.opened.catalog.load("ledger_as_found")
            state, equity = fold(events), AccountOrders.of(events).closed_equity
            self._books = Books(time.monotonic(), state, known_prices(self.session.opened, state), equity)
        return self._books

    def _score(self, now: pd.Timestamp, bars: pd.DataFrame) -> None:
        """Score what has traded, every so often, and after the close too."""
        if bars.empty or not self.scorers or time.monotonic() - self._scored < self.scores_seconds:
            return
        models: dict[str, Any] = {}
        for name, scorer in self.scorers.items():
            try:
                scores = scorer.score(self.session.session, bars)
            except QuantPipelineError as error:
                logger.warning("%s cannot score now: %s", name, error.message)
                continue
            models[name] = {"bundle": scores.bundle, "scores": scores.score.to_dict()}
        found = {"at": now.isoformat(), "session": f"{self.session.session:%Y-%m-%d}", "models": models}
        write_text(self.folder / SCORES_FILE, json.dumps(found) + "\n")
        self._scored = time.monotonic()


def watch_market(account: LiveAccount, is_over: Callable[[], bool]) -> None:
    """Watch the session that goes on until it has closed.

    Parameters
    ----------
    account
        The account, whose ``as_of`` is the close before the session.
    is_over
        Whether to stop at once.

    Raises
    ------
    QuantPipelineError
        When the stream cannot be opened as configured.
    """
    session, clock = LiveSession(account.opened), account.clock(None)
    scorers = scorers_of(account) if account.times.live_scores else {}
    plan = account.opened.state.plans.get(session.session)
    planned = [] if plan is None else [order.instrument for order in plan.orders]
    scored = sorted({name for scorer in scorers.values() for name in scorer.instruments})
    # A stream may take the first ones only.
    ring = session.ring([*sorted(account.opened.state.positions), *planned, *scored])
    account.folder.mkdir(parents=True, exist_ok=True)
    with session.stream(ring) as stream:
        watcher = Watcher(session, ring, stream, account.folder, scorers, account.times.live_scores_seconds)
        while not is_over() and (now := clock.now()) < session.hours[1] + AFTER:
            watcher.look(now)
            time.sleep(PAUSE)


def scorers_of(account: LiveAccount) -> dict[str, LiveScorer]:
    """Return what scores the session by every champion that computes from bars; others are left out with a word."""
    from quant_pipeline.models.inference import InferenceEngine
    from quant_pipeline.models.live_scores import LiveScorer
    from quant_pipeline.models.store import BundleStore

    catalog, found = account.opened.catalog, dict[str, LiveScorer]()
    if account.models is None or not catalog.exists("adjusted_bars"):
        return found
    tables = [catalog.load(name) for name in ("bars", "adjusted_bars", "sessions", "corporate_actions")]
    for aliases in sorted(account.models.glob(f"*/bundle/{ALIASES}")):
        name = aliases.parent.parent.name
        try:
            found[name] = LiveScorer(InferenceEngine(BundleStore(aliases.parent)), *tables)
        except QuantPipelineError as error:
            logger.warning("%s has no live scores: %s", name, error.message)
    return found


def _value_before(books: Books, prices: Mapping[str, Decimal]) -> Decimal:
    """Return what the account was worth at the close before.

    That is what was booked then, so that what was bought in the session counts from its price. Before the first booked
    close, holdings are compared with what they cost. While something has no price, each is compared with its own close,
    and what has none with itself.
    """
    if books.closed_equity <= 0:
        return _value(books.state, books.closes)
    if not books.state.foreign and books.state.positions.keys() <= prices.keys():
        return books.closed_equity
    return _value(books.state, {**prices, **books.closes})


def _value(books: AccountState, prices: Mapping[str, Decimal]) -> Decimal:
    """Return cash and holdings at some prices; one without a price counts by its cost."""
    return books.cash + sum(
        (held.quantity * prices[name] if name in prices else held.cost for name, held in books.positions.items()),
        Decimal(0),
    )
