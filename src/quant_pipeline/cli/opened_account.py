"""An account as the commands find it: its configuration, its ledger, its desk at the broker."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from kedro.io import DataCatalog

from quant_pipeline.cli.opened_project import OpenedProject, open_project
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError, QuantPipelineError
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.project.resolvers import latest_closed_session
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.ledger.bookkeeping import last_closes, priced_at_closes
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.orders.account_orders import AccountOrders

if TYPE_CHECKING:
    from quant_pipeline.exchange.rules import MarketRules
    from quant_pipeline.trading.brokers.gateway import DeskRules, Gateway
    from quant_pipeline.trading.orders.desk import TradingDesk
    from quant_pipeline.trading.orders.risk_view import TradingState
    from quant_pipeline.trading.ports import Broker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """An account as found: its configuration, its ledger, and what follows from it."""

    project: OpenedProject

    @property
    def catalog(self) -> DataCatalog:
        """Datasets of the environment."""
        return self.project.catalog

    @property
    def ledger(self) -> LedgerEvents:
        """The ledger as a dataset.

        Raises
        ------
        ConfigurationError
            When the catalog keeps it in another kind of dataset.
        """
        dataset = self.catalog.get("ledger_as_found")
        if not isinstance(dataset, LedgerEvents):
            raise ConfigurationError("catalog entry 'ledger_as_found' has to be a LedgerEvents dataset")
        return dataset

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Events of the ledger when they were first asked for."""
        return tuple(self.catalog.load("ledger_as_found"))

    @cached_property
    def account(self) -> AccountParameters:
        """Who the account is, and who fills its orders."""
        return self.project.rules("account", AccountParameters)

    @cached_property
    def state(self) -> AccountState:
        """Cash, positions and plans."""
        return fold(self.events)

    @cached_property
    def book(self) -> AccountOrders:
        """Orders and the trading state."""
        return AccountOrders.of(self.events)

    @cached_property
    def calendar(self) -> str:
        """Name of the exchange calendar."""
        return self._market_rules.calendar

    @property
    def _market_rules(self) -> MarketRules:
        from quant_pipeline.exchange.rules import MarketRules

        return self.project.rules("market_rules", MarketRules)

    @property
    def name(self) -> str:
        """Name of the account."""
        return self.account.name

    @property
    def environment(self) -> str:
        """Name of the environment of Kedro."""
        return self.project.configuration.environment

    @property
    def stands_at(self) -> pd.Timestamp:
        """Session whose close is the newest: of the exchange at a broker, else of the ledger."""
        as_of = self._as_of
        return as_of if self.account.filled_by == "broker" else self.state.last_session or as_of

    @cached_property
    def _as_of(self) -> pd.Timestamp:
        """Session of the configuration; a command that reduces risk takes the one that has closed by now for none."""
        named, reduces_risk = self.project.parameters.get("as_of"), self.project.configuration.reduces_risk
        if named is not None and (not reduces_risk or self._is_session(named)):
            return pd.Timestamp(named)
        if not reduces_risk:
            raise ConfigurationError("nothing names a session: write `as_of` into globals.yml, or pass --params")
        closed = latest_closed_session(self.calendar)
        if named is not None:
            logger.warning(
                "as_of=%s is not a session of %s; %s, which has closed, counts", named, self.calendar, closed
            )
        return pd.Timestamp(closed)

    def _is_session(self, day: str) -> bool:
        from quant_pipeline.market.calendar import TradingCalendar

        with suppress(MarketDataError):
            return TradingCalendar.of(self.calendar, day, day).is_session(pd.Timestamp(day))
        return False

    @property
    def next_session(self) -> pd.Timestamp:
        """Session in which the next orders execute."""
        from quant_pipeline.market.calendar import TradingCalendar
        from quant_pipeline.market.clock import execution_session

        return execution_session(TradingCalendar.of(self.calendar, self.stands_at, self.stands_at), self.stands_at)

    def append(self, *events: Event) -> None:
        """Append to the ledger.

        Raises
        ------
        MarketDataError
            When the configuration names a day on which the exchange does not trade, and more than a reduction of risk
            is asked for: a run as of that day books nothing either.
        """
        self._require_session()
        self.catalog.save("ledger_planned", events)

    def _require_session(self) -> None:
        from quant_pipeline.market.calendar import TradingCalendar, require_session

        # What reduces risk asks no file of parameters: one of another stage may be damaged.
        named = None if self.project.configuration.reduces_risk else self.project.parameters.get("as_of")
        if named is not None:
            require_session(TradingCalendar.of(self.calendar, named, named), pd.Timestamp(named))

    def change_state(self, to: TradingState, code: str, message: str) -> None:
        """Record the new trading state, unless it is that already for the same cause, by any process."""
        from quant_pipeline.trading.orders.desk import trading_state_event

        book = AccountOrders.of(self.catalog.load("ledger_as_found"))
        if (book.trading_state, book.state_code) != (to, code):
            self.append(trading_state_event(self._session_of_now, book.state_changes, to, code, message))

    @property
    def _session_of_now(self) -> pd.Timestamp:
        """Session that a decision of now belongs to; whatever is wrong with other parameters, there is one."""
        try:
            return self.stands_at
        except QuantPipelineError:
            newest = max((event.session for event in self.events), default=pd.Timestamp(0))
            return max(newest, pd.Timestamp.now("UTC").tz_localize(None).normalize())

    @property
    def safe_name(self) -> str:
        """Name of the account, also while its parameters cannot be read: then that of its environment."""
        try:
            return self.name
        except QuantPipelineError:
            return self.environment

    @property
    def gateway(self) -> Gateway:
        """The way to the broker."""
        gateway: Gateway = self.catalog.load("trading_desk")
        return gateway

    @property
    def is_simulated(self) -> bool:
        """Whether its broker is an exchange inside of the pipeline."""
        from quant_pipeline.trading.brokers.adapter import Money

        return self.gateway.adapter.money is Money.SIMULATED

    @property
    def has_broker(self) -> bool:
        """Whether a broker executes its orders; when that cannot be read, a broker that is named is asked."""
        try:
            return self.account.filled_by == "broker"
        except QuantPipelineError:
            return not self.is_simulated

    def reach_broker(self) -> Broker:
        """Connect the broker without ledger, lease or market: to cancel and to suspend."""
        return self.gateway.reach(self.safe_name)

    def open_without_market(self, takes_lease: bool = True) -> AbstractContextManager[TradingDesk]:
        """Open the desk of the next session at a broker that fills orders itself; no market data are read."""
        from quant_pipeline.trading.brokers.adapter import NO_MARKET

        exchange = replace(NO_MARKET, market_rules=self._market_rules)
        return self.gateway.open(self.next_session, self.desk_rules, exchange, takes_lease)

    @property
    def desk_rules(self) -> DeskRules:
        """How orders are sent and within which limits."""
        from quant_pipeline.trading.brokers.gateway import DeskRules
        from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
        from quant_pipeline.trading.orders.risk_limits import RiskLimits

        execution, risk = self.project.rules("execution", ExecutionRules), self.project.rules("risk", RiskLimits)
        return DeskRules.of(self.account, execution, risk)

    @property
    def stop_file(self) -> Path:
        """The file that stops every sender while it exists."""
        return Path(self.catalog.load("trading_desk").kill_switch_file)


@contextmanager
def open_account(
    place: Place, env: str | None, params: dict[str, Any], reduces_risk: bool = False, of_session: bool = True
) -> Iterator[Opened]:
    """Open the account of an environment; its ledger and its broker are opened when they are needed.

    A command that only reduces risk, ``reduces_risk``, goes on where the session of the configuration is no session or
    is contradicted, and one that stands for no session is not compared with any, see `open_project`.
    """
    with open_project(place, env, params, reduces_risk=reduces_risk, of_session=of_session) as project:
        yield Opened(project)


@contextmanager
def open_desk(opened: Opened, takes_lease: bool = True) -> Iterator[TradingDesk]:
    """Open the desk of the next session at the broker; with the lease, no other process sends meanwhile."""
    from quant_pipeline.exchange.rules import CostRules, MarketRules
    from quant_pipeline.trading.brokers.adapter import Exchange

    if opened.account.filled_by == "statements":
        raise ConfigurationError(f"'{opened.name}' is kept by statements; there is no broker to ask")
    if not opened.is_simulated:
        with opened.open_without_market(takes_lease) as desk:
            yield desk
        return
    catalog = opened.catalog
    exchange = Exchange.at_close(
        f"{opened.stands_at:%Y-%m-%d}",
        catalog.load("sessions"),
        catalog.load("bars"),
        catalog.load("corporate_actions"),
        opened.project.rules("market_rules", MarketRules),
        opened.project.rules("cost_rules", CostRules),
    )
    with opened.gateway.open(opened.next_session, opened.desk_rules, exchange, takes_lease) as desk:
        yield desk


def known_prices(opened: Opened, state: AccountState | None = None) -> dict[str, Decimal]:
    """Return the last known close of every holding, now or in an earlier state; none while no market was ingested."""
    state = opened.state if state is None else state
    catalog, session = opened.catalog, state.last_session
    if session is None or not state.positions or not catalog.exists("bars"):
        return {}
    held = sorted(state.positions)
    bars, actions = (rows_of(catalog, table, held) for table in ("bars", "corporate_actions"))
    _, bars, actions = known_at(session, catalog.load("sessions"), bars, actions)
    return priced_at_closes(state, last_closes(bars, actions))


def rows_of(catalog: DataCatalog, table: str, instruments: Sequence[str]) -> pd.DataFrame:
    """Read the rows of a few instruments, without reading and validating those of all others where that can be."""
    from quant_pipeline.datasets.atomic import ParquetTable

    dataset = catalog.get(table)
    if isinstance(dataset, ParquetTable):
        return dataset.load_where("instrument", instruments)
    rows: pd.DataFrame = catalog.load(table)
    return rows[rows["instrument"].isin(instruments)]
