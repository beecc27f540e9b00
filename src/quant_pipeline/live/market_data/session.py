"""The session that goes on: its hours, what is held in it, the stream about it, and what its stops say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from quant_pipeline.cli.opened_account import Opened, rows_of
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.live.market_data.ring import MarketRing
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.trading.brokers.gateway import require_keys
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.market_listener import MarketStream
from quant_pipeline.trading.orders.protection import touched_stops
from quant_pipeline.trading.orders.stop_rules import StopRules, highest_since


@dataclass(frozen=True)
class LiveSession:
    """The session that follows the one at whose close an account stands.

    Attributes
    ----------
    opened
        The account; its books are those of the close before.
    """

    opened: Opened

    @cached_property
    def session(self) -> pd.Timestamp:
        """The session."""
        return self.opened.next_session

    @cached_property
    def hours(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """When it opens and closes, in UTC."""
        return TradingCalendar.of(self.opened.calendar, self.session, self.session).hours(self.session)

    @cached_property
    def rules(self) -> StopRules:
        """Stops of the account."""
        return self.opened.project.rules("order_generation", OrderGenerationParameters).stop_rules

    def ring(self, instruments: Collection[str]) -> MarketRing:
        """Return an empty memory of the session."""
        return MarketRing(instruments, *self.hours)

    def stream(self, ring: MarketRing) -> MarketStream:
        """Return the stream that fills a memory; it is not connected yet.

        Raises
        ------
        ConfigurationError
            When the broker has no stream, or keys are missing.
        """
        gateway = self.opened.gateway
        keys = require_keys(gateway.adapter, self.opened.name, gateway.credentials)
        stream = gateway.adapter.market_stream(keys, ring.instruments, ring)
        if stream is None:
            raise ConfigurationError(
                f"{gateway.adapter.capability.broker} has no stream of market data; set live.market_data: false in "
                f"the parameters of '{self.opened.name}'"
            )
        return stream

    @cached_property
    def highest(self) -> Mapping[str, float]:
        """Highest price since the purchase of what is held, in sessions that have closed; see `touched_stops`."""
        held = self.opened.state.positions
        if not held or not self.rules.is_active or not self.opened.catalog.exists("bars"):
            return {}
        bars, actions = (rows_of(self.opened.catalog, table, sorted(held)) for table in ("bars", "corporate_actions"))
        known = {
            name: highest_since(bars, actions, name, position.lots[0].session, "high")
            for name, position in held.items()
            if position.lots
        }
        return {name: price for name, price in known.items() if np.isfinite(price)}

    def stops(self, bars: pd.DataFrame, books: AccountState | None = None) -> dict[str, str]:
        """Return which holdings have touched a stop by the bars of the session so far, and why."""
        held = (self.opened.state if books is None else books).positions
        return touched_stops(self.rules, held, self.highest, bars)

    def bars_by_rest(self) -> pd.DataFrame:
        """Ask for the bars of the session so far of what is held, without the stream.

        Raises
        ------
        QuantPipelineError
            When they cannot be asked for.
        """
        ring = self.ring(self.opened.state.positions)
        if ring.instruments:
            ring.fill(self.stream(ring).minutes_since(self.hours[0], ring.instruments))
        return ring.session_bars()
