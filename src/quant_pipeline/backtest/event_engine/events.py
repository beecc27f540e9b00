"""What happens in a session, in order: open, minutes or the daily bar, closing auction, bar, close."""

from __future__ import annotations

import datetime
from enum import StrEnum

import pandas as pd
from pydantic import Field

from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.common.parameters import Parameters


class SessionPhase(StrEnum):
    """Kinds of events, each delivered when it is over: no bar is visible before its end."""

    OPEN = "open"
    """The opening auction is over; opening prices are known."""
    MINUTE = "minute"
    """A minute bar has ended."""
    BAR = "bar"
    """The closing auction is over; the daily bar is complete."""
    CLOSE = "close"
    """The account is valued and the session's scores are there; decisions for the next session are made."""


class EventParameters(Parameters):
    """How time passes in the event engine.

    Attributes
    ----------
    open_time, close_time
        When a session opens and closes.
    latency_seconds
        Between placing an order and its arrival at the exchange; it cannot execute before.
    protective
        Stop-loss, trailing stop and take-profit for every holding.
    """

    open_time: datetime.time = datetime.time(9, 30)
    close_time: datetime.time = datetime.time(16, 0)
    latency_seconds: float = Field(default=0.0, ge=0)
    protective: ProtectiveRules = ProtectiveRules()

    def opening(self, session: pd.Timestamp) -> pd.Timestamp:
        """Moment at which a session opens."""
        return session + _since_midnight(self.open_time)

    def closing(self, session: pd.Timestamp) -> pd.Timestamp:
        """Moment at which a session closes."""
        return session + _since_midnight(self.close_time)


def _since_midnight(time: datetime.time) -> pd.Timedelta:
    return pd.Timedelta(hours=time.hour, minutes=time.minute, seconds=time.second)
