"""The way to a broker, as configured: opens a trading desk under the account's lease, by one set of rules for all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pandas as pd

from quant_pipeline.common.environments import REHEARSAL
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.brokers.adapter import NO_MARKET, BrokerAdapter, Exchange, Money, Opening, Updates
from quant_pipeline.trading.brokers.final_check import GatedBroker
from quant_pipeline.trading.brokers.registry import make_adapter
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.ledger.identity import require_account
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.market_snapshot import MARKET_FILE, MarketSnapshot
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.journal import Journal
from quant_pipeline.trading.orders.kill_switch import KillSwitch
from quant_pipeline.trading.orders.lease import Lease
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.ports import Broker

_CALENDAR_MARGIN = pd.Timedelta(days=30)


@dataclass(frozen=True)
class DeskRules:
    """What a desk is opened with besides its broker."""

    account: str
    limits: RiskLimits
    execution: ExecutionRules

    @classmethod
    def of(cls, account: AccountParameters, execution: ExecutionRules, risk: RiskLimits) -> DeskRules:
        """Take them from the blocks of the parameters."""
        return cls(account.name, risk, execution)


@dataclass(frozen=True)
class Gateway:
    """Opens desks on one account; making it imports no broker and sends nothing.

    Attributes
    ----------
    broker
        Short name of a shipped broker, or the dotted path of an adapter.
    parameters
        Fields of the adapter.
    ledger_address
        SQLAlchemy URL of the ledger, or its SQLite file.
    kill_switch_file
        Trading stops while it exists.
    credentials
        The keys of the account; never shown.
    ledger_anchors
        File that knows how far a ledger at a URL went; of a SQLite file it lies beside it.
    """

    broker: str
    parameters: Mapping[str, Any]
    ledger_address: str = field(repr=False)  # A URL may carry a password.
    kill_switch_file: Path
    credentials: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    ledger_anchors: Path | None = None

    @cached_property
    def adapter(self) -> BrokerAdapter:
        """The adapter of the broker.

        Raises
        ------
        ConfigurationError
            When there is no such broker, or its parameters do not fit.
        """
        return make_adapter(self.broker, self.parameters)

    @property
    def market_file(self) -> Path:
        """The file in which the live process says what its stream of market data has said last."""
        return self.kill_switch_file.parent / "live" / MARKET_FILE

    @property
    def kill_switch(self) -> KillSwitch:
        """The switches that stop sending, whatever the ledger says."""
        return KillSwitch(self.kill_switch_file)

    def open(
        self, session: pd.Timestamp, rules: DeskRules, exchange: Exchange, takes_lease: bool = True
    ) -> AbstractContextManager[TradingDesk]:
        """Open the desk of a session; leaving the block releases the lease.

        Parameters
        ----------
        session
            Session in which the orders at hand execute, or that is to be closed.
        rules, exchange
            How to send and within which limits, and the market as ingested.
        takes_lease
            Whether it may send; a dry run only looks.

        Raises
        ------
        ConfigurationError
            When the account trades real money and is configured to need no arming, when keys are missing, when a
            rehearsal would reach a broker outside or a real account one of this machine, or when the broker cannot be
            made as configured.
        AccountError
            When the ledger is of another account.
        """
        require_own_name(self.adapter, rules.account)
        require_arming_rule(self.adapter, rules.account, rules.execution.needs_arming)
        keys = require_keys(self.adapter, rules.account, self.credentials)
        opening = Opening(rules.account, session, exchange, keys, self._books)
        broker = self.adapter.connect(opening)
        updates = self.adapter.updates(keys) if takes_lease else None
        return self._desk(session, rules, broker, exchange.market_rules, takes_lease, updates)

    def reach(self, account: str) -> Broker:
        """Connect the broker without market, ledger or lease, to stop what goes on there; see `cancel_own`.

        Raises
        ------
        ConfigurationError
            When keys are missing, or the broker cannot be made as configured.
        """
        keys = require_keys(self.adapter, account, self.credentials)
        return self.adapter.connect(Opening(account, pd.Timestamp.now().normalize(), NO_MARKET, keys, self._books))

    def _books(self) -> AccountState:
        return fold(Ledger.open(self.ledger_address, self.ledger_anchors).events())

    @contextmanager
    def _desk(
        self,
        session: pd.Timestamp,
        rules: DeskRules,
        broker: Broker,
        market_rules: MarketRules,
        takes_lease: bool,
        updates: Updates | None,
    ) -> Iterator[TradingDesk]:
        ledger = Ledger.open(self.ledger_address, self.ledger_anchors)
        lease = Lease.acquire(ledger.engine, rules.execution.lease_seconds, time.time) if takes_lease else None
        try:
            journal, kill_switch = Journal(ledger, lease), self.kill_switch
            require_account(journal.account.name, rules.account, ledger.where)
            # What the gate passes through by its name, no type checker sees.
            gated = cast(Broker, GatedBroker(broker, journal, kill_switch, rules.execution, session))
            desk = TradingDesk(
                account=rules.account,
                session=session,
                journal=journal,
                broker=gated,
                kill_switch=kill_switch,
                limits=rules.limits,
                rules=rules.execution,
                calendar=TradingCalendar.of(
                    market_rules.calendar, session - _CALENDAR_MARGIN, session + _CALENDAR_MARGIN
                ),
                deal_price=market_rules.deal_price,
                now=(lambda: broker.clock().now) if self.adapter.has_own_time else (lambda: pd.Timestamp.now("UTC")),
                sleep=time.sleep,
                pause=None if updates is None else updates.pause,
                streamed=lambda: MarketSnapshot.read(self.market_file),
            )
            with updates or nullcontext():
                yield desk
        finally:
            if lease is not None:
                lease.release()


def require_own_name(adapter: BrokerAdapter, account: str) -> None:
    """Refuse a rehearsal that would reach a broker outside, and a real account at a server of this machine.

    `quant_pipeline.project.rehearsal` names accounts whose broker or market is on this machine ``…-rehearsal``.

    Raises
    ------
    ConfigurationError
        When name and address do not belong together.
    """
    is_named = account.endswith(f"-{REHEARSAL}")
    if is_named and not adapter.is_rehearsal and adapter.money is not Money.SIMULATED:
        raise ConfigurationError(
            f"'{account}' is a rehearsal, but its broker is {adapter.capability.broker} itself: only the market is on "
            "this machine. Give `url` of market_source and of trading_desk in the catalog the same address"
        )
    if adapter.is_rehearsal and not is_named and adapter.money is Money.REAL:
        raise ConfigurationError(
            f"'{account}' is a real account, but its broker is on this machine: what a rehearsal says would be booked "
            f"as real. Write the address of trading_desk in the catalog in one piece, or call the account "
            f"'{account}-{REHEARSAL}'"
        )


def require_arming_rule(adapter: BrokerAdapter, account: str, needs_arming: bool) -> None:
    """Refuse an account with real money whose configuration says that it needs no arming.

    Raises
    ------
    ConfigurationError
        When it is such an account.
    """
    if adapter.money is Money.REAL and not needs_arming:
        raise ConfigurationError(
            f"'{account}' trades real money at {adapter.capability.broker}, but execution.needs_arming is false. Real "
            "money is only sent in sessions that the operator has armed: set needs_arming: true in the environment's "
            "parameters_execution.yml."
        )


def require_keys(adapter: BrokerAdapter, account: str, credentials: Mapping[str, str | None]) -> dict[str, str]:
    """Return the keys that a broker needs.

    Raises
    ------
    ConfigurationError
        When one of them is missing or empty.
    """
    keys = {name: credentials.get(name) or "" for name in adapter.key_names}
    missing = [name for name, key in keys.items() if not key]
    if missing:
        raise ConfigurationError(
            f"'{account}' has no {' and no '.join(missing)} for {adapter.capability.broker}; set it in the credentials "
            "that trading_desk of the catalog names"
        )
    return keys
