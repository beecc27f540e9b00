"""What a stream of market data says, and who listens to it. Books are never written from it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import pandas as pd


@dataclass(frozen=True)
class MinuteBar:
    """Trades of a minute in one instrument, as traded; ``begins_at`` in UTC."""

    instrument: str
    begins_at: pd.Timestamp
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True)
class TradingStatus:
    """Whether an instrument is halted since an instant (UTC), and the exchange's word for why."""

    instrument: str
    at: pd.Timestamp
    is_halted: bool
    reason: str


class MarketListener(Protocol):
    """Takes what arrives, in the thread of the stream; it must not wait."""

    def on_connected(self) -> None:
        """Learn that the stream stands, for the first time or again: what happened before is not sent any more."""

    def on_trade(self, instrument: str, price: Decimal, at: pd.Timestamp) -> None:
        """Take a trade."""

    def on_bar(self, bar: MinuteBar) -> None:
        """Take the bar of a minute; a later one of the same minute corrects it."""

    def on_status(self, status: TradingStatus) -> None:
        """Take a halt, or its end."""


class MarketStream(AbstractContextManager[Any], Protocol):
    """A connection that is made, watched and made again in its ``with`` block."""

    def minutes_since(self, instant: pd.Timestamp, instruments: Sequence[str]) -> list[MinuteBar]:
        """Ask for the bars of minutes from an instant on, which the stream may have missed.

        Raises
        ------
        BrokerError
            When they cannot be asked for.
        """
