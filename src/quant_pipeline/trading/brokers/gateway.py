"""The way to a broker, as configured: opening it gives a trading desk that holds the account's lease."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from quant_pipeline.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.strategy.rules import CostRules, MarketRules
from quant_pipeline.trading.account import AccountState, fold
from quant_pipeline.trading.brokers.simulated.store import Books, Holding, SimulatedStore
from quant_pipeline.trading.ledger import Ledger
from quant_pipeline.trading.order_management.desk import TradingDesk
from quant_pipeline.trading.order_management.journal import Journal
from quant_pipeline.trading.order_management.kill_switch import KillSwitch
from quant_pipeline.trading.order_management.lease import Lease
from quant_pipeline.trading.order_management.rules import ExecutionRules
from quant_pipeline.trading.ports import Broker
from quant_pipeline.trading.risk_limits import RiskLimits

# A desk imports its own broker when it is opened: a simulated account needs no Alpaca.
if TYPE_CHECKING:
    from quant_pipeline.trading.brokers.alpaca.transport import AlpacaBrokerParameters
    from quant_pipeline.trading.brokers.alpaca.updates import TradeUpdates

_CALENDAR_MARGIN = pd.Timedelta(days=30)


@dataclass(frozen=True)
class Exchange:
    """The market as ingested; only the simulated broker looks at it, the others only at the name of the calendar."""

    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    sessions: pd.DatetimeIndex
    market_rules: MarketRules
    cost_rules: CostRules

    @classmethod
    def known_at(
        cls,
        as_of: str | pd.Timestamp,
        sessions: pd.DataFrame,
        bars: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        market_rules: MarketRules,
        cost_rules: CostRules,
    ) -> Exchange:
        """Cut the ingested market at the close of ``as_of``.

        Raises
        ------
        StaleDataError
            When ``as_of`` has not been ingested.
        """
        days, bars, corporate_actions = known_at(as_of, sessions, bars, corporate_actions)
        return cls(bars, corporate_actions, days, market_rules, cost_rules)

    def execution_session(self) -> pd.Timestamp:
        """Return the session in which orders that are decided at the newest close deal."""
        decided = self.sessions[-1]
        return execution_session(TradingCalendar.of(self.market_rules.calendar, decided, decided), decided)


@dataclass(frozen=True)
class DeskRules:
    """What a desk is opened with besides its broker."""

    account: str
    limits: RiskLimits
    execution: ExecutionRules


class Gateway(Protocol):
    """Opens desks on one account; loading it sends nothing and asks nobody."""

    def open(
        self, session: pd.Timestamp, rules: DeskRules, exchange: Exchange, takes_lease: bool = True
    ) -> AbstractContextManager[TradingDesk]:
        """Open the desk of a session; leaving the block gives the lease back.

        Parameters
        ----------
        session
            Session in which the orders at hand deal, or that is to be closed.
        rules, exchange
            How to deal, and the market as ingested.
        takes_lease
            Whether it may send; a dry run only looks.
        """


@dataclass(frozen=True)
class _Place:
    """Where an account lives.

    Attributes
    ----------
    ledger_address
        SQLAlchemy URL of the ledger, or its SQLite file.
    kill_switch_file
        Trading stops while it exists.
    """

    ledger_address: str = field(repr=False)  # A URL may carry a password.
    kill_switch_file: Path

    @contextmanager
    def _desk(
        self,
        session: pd.Timestamp,
        rules: DeskRules,
        broker: Broker,
        market_rules: MarketRules,
        takes_lease: bool,
        lives_by_broker: bool,
        updates: TradeUpdates | None = None,
    ) -> Iterator[TradingDesk]:
        ledger = Ledger.open(self.ledger_address)
        lease = Lease.acquire(ledger.engine, rules.execution.lease_seconds, time.time) if takes_lease else None
        try:
            desk = TradingDesk(
                account=rules.account,
                session=session,
                journal=Journal(ledger, lease),
                broker=broker,
                kill_switch=KillSwitch(self.kill_switch_file),
                limits=rules.limits,
                rules=rules.execution,
                calendar=TradingCalendar.of(
                    market_rules.calendar, session - _CALENDAR_MARGIN, session + _CALENDAR_MARGIN
                ),
                deal_price=market_rules.deal_price,
                # Where time is invented too, the desk lives by it; before a real broker it keeps its own clock.
                now=(lambda: broker.clock().now) if lives_by_broker else (lambda: pd.Timestamp.now("UTC")),
                sleep=time.sleep,
                pause=None if updates is None else updates.pause,
            )
            with updates or nullcontext():
                yield desk
        finally:
            if lease is not None:
                lease.release()


@dataclass(frozen=True)
class AlpacaGateway(_Place):
    """The way to an account at Alpaca, or to one on loopback that pretends to be one.

    Attributes
    ----------
    parameters
        Which account, and where.
    api_key, secret_key
        Its keys; never shown.
    """

    parameters: AlpacaBrokerParameters
    api_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    def open(
        self, session: pd.Timestamp, rules: DeskRules, exchange: Exchange, takes_lease: bool = True
    ) -> AbstractContextManager[TradingDesk]:
        """Open the desk of a session.

        Raises
        ------
        ConfigurationError
            When the account is a live one and is configured to need no arming.
        """
        if self.parameters.kind == "live" and not rules.execution.needs_arming:
            raise ConfigurationError(
                f"'{rules.account}' is a live account, but execution.needs_arming is false. Real money is only sent in "
                "sessions that a person has armed: take that line out of the environment's parameters_execution.yml."
            )
        from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker

        broker = AlpacaBroker(self.parameters, self.api_key, self.secret_key)
        is_rehearsal = self.parameters.url is not None
        updates = self._updates() if takes_lease and self.parameters.trade_updates else None
        return self._desk(session, rules, broker, exchange.market_rules, takes_lease, is_rehearsal, updates)

    def _updates(self) -> TradeUpdates:
        from quant_pipeline.trading.brokers.alpaca.updates import TradeUpdates

        return TradeUpdates(self.parameters.updates_address, self.api_key, self.secret_key)


@dataclass(frozen=True)
class SimulatedGateway(_Place):
    """The way to the simulated broker.

    It stands at the last close of the ledger with the cash and the shares of the ledger, takes the orders of the next
    session, and forgets itself when that session has been booked: post-trade deals what it took, by the exchange rules
    of the backtest.

    Attributes
    ----------
    folder
        One small database per session.
    """

    folder: Path = Path()

    def open(
        self, session: pd.Timestamp, rules: DeskRules, exchange: Exchange, takes_lease: bool = True
    ) -> AbstractContextManager[TradingDesk]:
        """Open the desk of a session."""
        state = fold(Ledger.open(self.ledger_address).events())
        stands_at = exchange.sessions[-1]
        if state.last_session != stands_at:
            raise StaleDataError(_out_of_step(state.last_session, stands_at))
        self.folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{self.folder / f'{session:%Y-%m-%d}.sqlite'}"
        _seed(url, state, stands_at)
        from quant_pipeline.trading.brokers.simulated.broker import SimulatedBroker

        broker = SimulatedBroker(
            url,
            exchange.bars,
            exchange.corporate_actions,
            exchange.sessions,
            exchange.market_rules,
            exchange.cost_rules,
            stands_at,
            state.cash,
            account_number=rules.account,
            calendar=exchange.market_rules.calendar,
        )
        return self._desk(session, rules, broker, exchange.market_rules, takes_lease, lives_by_broker=True)


def _seed(url: str, state: AccountState, session: pd.Timestamp) -> None:
    """Open the simulated broker's books with what the ledger holds, once."""
    values = [value for _, value, _ in state.closes[-2:]]
    holdings = {name: Holding(int(held.quantity), held.cost) for name, held in state.positions.items()}
    with SimulatedStore(url).transaction() as books:
        if books.books() is None:
            equity, before = values[-1], values[0]
            if len(values) > 1:
                before += state.paid_in(state.closes[-1][0])
            books.put_books(Books(session, Decimal(state.cash), equity, before, holdings=holdings))


def _out_of_step(booked: pd.Timestamp | None, stands_at: pd.Timestamp) -> str:
    """Say how the account and the session that a run stands at come together."""
    if booked is not None and booked > stands_at:
        return (
            f"the account is booked up to {booked:%Y-%m-%d}, after {stands_at:%Y-%m-%d}. Stand at that session: "
            f"--params as_of={booked:%Y-%m-%d}"
        )
    found = "is not booked at all" if booked is None else f"is booked up to {booked:%Y-%m-%d}"
    return (
        f"the account {found}, not up to {stands_at:%Y-%m-%d}. Run "
        f"`kedro run --pipelines post_trade --params as_of={stands_at:%Y-%m-%d}` first."
    )
