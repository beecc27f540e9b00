"""An account as the commands find it: its configuration, its ledger, its desk at the broker."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.startup import ProjectMetadata
from kedro.io import CatalogProtocol

from quant_pipeline.backtest.market import TradingMarket
from quant_pipeline.cli.sessions import open_session, quiet
from quant_pipeline.exceptions import ConfigurationError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.strategy.account import AccountParameters
from quant_pipeline.strategy.rules import CostRules, MarketRules
from quant_pipeline.trading.account import AccountState, fold
from quant_pipeline.trading.bookkeeping import last_prices as market_prices
from quant_pipeline.trading.brokers.gateway import DeskRules, Exchange
from quant_pipeline.trading.domain import Event
from quant_pipeline.trading.order_management.book import OrderBook
from quant_pipeline.trading.order_management.desk import TradingDesk, trading_state_event
from quant_pipeline.trading.order_management.rules import ExecutionRules
from quant_pipeline.trading.risk_limits import RiskLimits
from quant_pipeline.trading.risk_view import TradingState


class Opened(NamedTuple):
    """An account as found: its configuration, its ledger, and what follows from it."""

    context: KedroContext
    catalog: CatalogProtocol
    account: AccountParameters
    events: tuple[Event, ...]
    state: AccountState
    book: OrderBook

    def parameters(self, block: str) -> Any:
        """Return a block of the parameters."""
        return self.context.params[block]

    @property
    def calendar(self) -> str:
        """Name of the exchange calendar."""
        return MarketRules.model_validate(self.parameters("market_rules")).calendar

    @property
    def name(self) -> str:
        """Name of the account."""
        return self.account.name

    @property
    def stands_at(self) -> pd.Timestamp:
        """Session whose close is the newest: of the exchange at a broker, else of the ledger."""
        as_of = pd.Timestamp(self.parameters("as_of"))
        return as_of if self.account.filled_by == "broker" else self.state.last_session or as_of

    @property
    def next_session(self) -> pd.Timestamp:
        """Session in which the next orders deal."""
        return execution_session(TradingCalendar.of(self.calendar, self.stands_at, self.stands_at), self.stands_at)

    def append(self, *events: Event) -> None:
        """Append to the ledger."""
        self.catalog.save("ledger_planned", events)

    def change_state(self, to: TradingState, code: str, message: str) -> None:
        """Record the new trading state, unless it is that already for the same cause, whoever has changed it since."""
        book = OrderBook.of(self.catalog.load("ledger_as_found"))
        if (book.trading_state, book.state_code) != (to, code):
            self.append(trading_state_event(self.stands_at, book.state_changes, to, code, message))

    @property
    def stop_file(self) -> Path:
        """The file that stops every sender while it exists."""
        return Path(self.catalog.load("trading_desk").kill_switch_file)


@contextmanager
def open_account(metadata: ProjectMetadata, env: str | None, params: dict[str, Any]) -> Iterator[Opened]:
    """Open the account of an environment; nothing is asked of its broker yet."""
    with quiet(), open_session(metadata, env, **params) as session:
        context = session.load_context()
        # The context makes its catalog anew, from all files, whenever it is asked.
        catalog = context.catalog
        events = tuple(catalog.load("ledger_as_found"))
        account = AccountParameters.model_validate(context.params["account"])
        yield Opened(context, catalog, account, events, fold(events), OrderBook.of(events))


@contextmanager
def open_desk(opened: Opened, takes_lease: bool = True) -> Iterator[TradingDesk]:
    """Open the desk of the next session at the broker; with the lease, nobody else sends meanwhile."""
    if opened.account.filled_by == "statements":
        raise ConfigurationError(f"'{opened.name}' is kept by statements; there is no broker to ask")
    catalog = opened.catalog
    exchange = Exchange.known_at(
        opened.stands_at,
        catalog.load("sessions"),
        catalog.load("bars"),
        catalog.load("corporate_actions"),
        MarketRules.model_validate(opened.parameters("market_rules")),
        CostRules.model_validate(opened.parameters("cost_rules")),
    )
    execution = ExecutionRules.model_validate(opened.parameters("execution"))
    rules = DeskRules(opened.name, RiskLimits.model_validate(opened.parameters("risk")), execution)
    with catalog.load("trading_desk").open(opened.next_session, rules, exchange, takes_lease) as desk:
        yield desk


def last_prices(opened: Opened) -> dict[str, Decimal]:
    """Return the last known close of every holding; none while no market has been ingested."""
    catalog, session = opened.catalog, opened.state.last_session
    if session is None or not opened.state.positions or not catalog.exists("bars"):
        return {}
    days, bars, actions = known_at(session, *(catalog.load(n) for n in ("sessions", "bars", "corporate_actions")))
    held = bars[bars["instrument"].isin(opened.state.positions)]
    rules = MarketRules.model_validate(opened.parameters("market_rules"))
    market = TradingMarket.from_bars(held, actions[actions["instrument"].isin(opened.state.positions)], days, rules)
    return market_prices(opened.state, market, session)
