"""What a broker package provides: an adapter, which YAML names, and what the gateway gives it to connect.

An adapter translates and does nothing else. Whether an order may be sent is decided by the gateway, the same way for
every broker.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import pandas as pd

from quant_pipeline.common.loopback import is_loopback
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.trading.execution_capability import ExecutionCapability
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.market_listener import MarketListener, MarketStream
from quant_pipeline.trading.ports import Broker


class Money(StrEnum):
    """What an order at a broker spends.

    ``real`` needs a pinned account and an armed session; ``paper`` is an account at a broker without money;
    ``simulated`` is an exchange inside of the pipeline.
    """

    REAL = "real"
    PAPER = "paper"
    SIMULATED = "simulated"


@dataclass(frozen=True)
class Exchange:
    """The market as ingested; a simulated broker executes on it, others need only the name of its calendar."""

    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    sessions: pd.DatetimeIndex
    market_rules: MarketRules
    cost_rules: CostRules

    @classmethod
    def at_close(
        cls,
        as_of: str,
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

    @property
    def parts(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DatetimeIndex, MarketRules, CostRules]:
        """Bars, corporate actions, sessions, market rules, cost rules: the order in which functions take them."""
        return self.bars, self.corporate_actions, self.sessions, self.market_rules, self.cost_rules

    def execution_session(self) -> pd.Timestamp:
        """Return the session in which orders that are decided at the newest close execute."""
        decided = self.sessions[-1]
        return execution_session(TradingCalendar.of(self.market_rules.calendar, decided, decided), decided)


NO_MARKET = Exchange(pd.DataFrame(), pd.DataFrame(), pd.DatetimeIndex([]), MarketRules(), CostRules())
"""What a broker is opened with in an emergency; one to which no orders are sent, the simulated one, needs none."""


@dataclass(frozen=True)
class Opening:
    """What an adapter is given to connect an account.

    Attributes
    ----------
    account
        Name of the account in this project.
    session
        Session in which the orders at hand execute, or that is to be closed.
    exchange
        The market as ingested.
    keys
        The credentials that `BrokerAdapter.key_names` lists, none of them empty.
    books
        Reads the account as the ledger has it; only a simulated broker needs it.
    """

    account: str
    session: pd.Timestamp
    exchange: Exchange
    keys: Mapping[str, str] = field(repr=False)
    books: Callable[[], AccountState] = field(repr=False)


class Updates(AbstractContextManager[Any], Protocol):
    """Pauses that end as soon as orders of the account change; within its ``with`` block it may listen."""

    def pause(self, seconds: float) -> float:
        """Wait for an update, at most so many seconds, and return how many it took."""


class BrokerAdapter(Parameters, ABC):
    """One kind of broker; its fields are ``parameters`` of ``trading_desk`` in YAML.

    Subclass it in one module, name the class in YAML (``broker: my_package.my_module.MyAdapter``), and run
    `quant_pipeline.testing.broker_contract` against it; docs/extending/broker.md is a complete example.

    Attributes
    ----------
    capability
        At which prices the broker executes, by which orders and until when.
    key_names
        Names of the credentials without which it cannot connect.
    """

    capability: ClassVar[ExecutionCapability]
    key_names: ClassVar[tuple[str, ...]] = ()

    @property
    def money(self) -> Money:
        """What orders spend: real money, unless the adapter knows that this account has none."""
        return Money.REAL

    @property
    def has_own_time(self) -> bool:
        """Whether the exchange invents its time, so that the desk has to use the broker's clock instead of its own."""
        return False

    @property
    def is_rehearsal(self) -> bool:
        """Whether its ``url`` is one of this machine, where a server plays the broker."""
        url = getattr(self, "url", None)
        return isinstance(url, str) and is_loopback(url)

    @abstractmethod
    def connect(self, opening: Opening) -> Broker:
        """Return the account behind the port; nothing is sent.

        Raises
        ------
        QuantPipelineError
            When the account cannot be opened as configured.
        """

    def updates(self, keys: Mapping[str, str]) -> Updates | None:
        """Return what cuts pauses between polls short; None when the broker reports nothing on its own."""
        return None

    def market_stream(
        self, keys: Mapping[str, str], instruments: Sequence[str], listener: MarketListener
    ) -> MarketStream | None:
        """Return a stream of market data about some instruments; None when the broker has none."""
        return None
