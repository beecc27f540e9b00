"""The timing contract, written once: lag of execution, when a label is known, sessions of a year, rates per session.

A **decision** for session ``t`` uses what is known after the close of ``t``. Its orders **execute** in session
``t + EXECUTION_LAG`` at that session's configured price. The **label** of horizon ``h`` is the return from the
execution price of ``t + EXECUTION_LAG`` to that of ``t + EXECUTION_LAG + h``: exactly what a position bought by that
decision earns. Labels, engines, orders and accounts import these names and count sessions nowhere else.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError

DealPrice = Literal["open", "close", "vwap"]
"""Field of the execution session's bar at which orders execute."""

EXECUTION_LAG: Final = 1
"""Sessions between a decision and the session in which its orders execute.

A constant, not a setting: every engine executes the pending orders of a session, closes it and decides, in this order,
so the orders of one decision are those that the next session executes.
"""

SESSIONS_PER_YEAR: Final = 252
"""Sessions counted as a year in annual figures."""


class SessionCalendar(Protocol):
    """The step that the clock needs from a trading calendar."""

    def next(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        """Return the n-th session after `session`."""
        ...


def rate_per_session(rate: float) -> float:
    """Return the rate per session that compounds to a rate per year: ``(1 + rate) ^ (1 / 252) - 1``."""
    return float((1 + rate) ** (1 / SESSIONS_PER_YEAR) - 1)


def execution_session(calendar: SessionCalendar, decision: pd.Timestamp) -> pd.Timestamp:
    """Return the session in which orders decided at the close of `decision` execute."""
    return calendar.next(decision, EXECUTION_LAG)


def label_lag(horizon: int) -> int:
    """Return the number of sessions between a decision and the one whose execution price completes its label.

    It is also the gap to leave between a training segment and the segment that follows it.

    Parameters
    ----------
    horizon
        Sessions for which the position is held, at least 1.

    Raises
    ------
    ConfigurationError
        When the horizon is not positive.
    """
    if horizon < 1:
        raise ConfigurationError(f"Label horizon {horizon} is not positive. Set a horizon of at least one session.")
    return EXECUTION_LAG + horizon
