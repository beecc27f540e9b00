"""The timing contract of the whole product, written once.

A **decision** for session ``t`` uses what is known after the close of ``t``. Its orders **deal** in session
``t + DEAL_LAG`` at that session's deal price. The **label** of horizon ``h`` is the return from the deal price of
``t + DEAL_LAG`` to the deal price of ``t + DEAL_LAG + h``: exactly what a position bought by that decision earns.
Search, backtest, order generation and every kind of account import these functions and count sessions nowhere else.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.exceptions import ConfigurationError

DealPrice = Literal["open", "close", "vwap"]
"""Field of the deal session's bar at which orders deal."""

DEAL_LAG = 1
"""Sessions between a decision and the session in which its orders deal."""


class SessionCalendar(Protocol):
    """The two steps the clock needs from a trading calendar."""

    def next(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        """Return the n-th session after `session`."""
        ...

    def previous(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        """Return the n-th session before `session`."""
        ...


class LabelSessions(NamedTuple):
    """Sessions whose deal prices a label compares."""

    entry: pd.Timestamp
    exit: pd.Timestamp


def deal_session(calendar: SessionCalendar, decision: pd.Timestamp) -> pd.Timestamp:
    """Return the session in which orders decided at the close of `decision` deal."""
    return calendar.next(decision, DEAL_LAG)


def decision_session(calendar: SessionCalendar, deal: pd.Timestamp) -> pd.Timestamp:
    """Return the session at whose close the orders that deal in `deal` were decided."""
    return calendar.previous(deal, DEAL_LAG)


def label_sessions(calendar: SessionCalendar, decision: pd.Timestamp, horizon: int) -> LabelSessions:
    """Return the sessions of entry and exit of the label of `decision`.

    Parameters
    ----------
    calendar
        Trading calendar.
    decision
        Session after whose close the score is known.
    horizon
        Sessions the position is held, at least 1.
    """
    _check_horizon(horizon)
    return LabelSessions(calendar.next(decision, DEAL_LAG), calendar.next(decision, DEAL_LAG + horizon))


def last_labelled_session(calendar: SessionCalendar, as_of: pd.Timestamp, horizon: int) -> pd.Timestamp:
    """Return the newest decision session whose label is fully realised after the close of `as_of`.

    Training, weights and selection done at `as_of` may use labels up to this session and none after it.
    """
    _check_horizon(horizon)
    return calendar.previous(as_of, label_lag(horizon))


def label_lag(horizon: int) -> int:
    """Sessions between a decision and the close after which its label is known.

    It is also the gap to leave between a training segment and the segment that follows it.
    """
    _check_horizon(horizon)
    return DEAL_LAG + horizon


def realised_returns(deal_prices: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return of each decision session from its entry to its exit deal price.

    Parameters
    ----------
    deal_prices
        Adjusted deal prices, sessions × instruments, every session of the calendar present.
    horizon
        Sessions the position is held, at least 1.

    Returns
    -------
    pandas.DataFrame
        Same shape; the row of session ``t`` holds ``price[t+1+h] / price[t+1] - 1`` and is NaN where that is not yet
        known. A row is a *label*: it is known only :func:`label_lag` sessions later.
    """
    _check_horizon(horizon)
    return deal_prices.shift(-label_lag(horizon)) / deal_prices.shift(-DEAL_LAG) - 1


def scores_at_deal(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Move the scores of each decision session to the row of the session in which they deal.

    Parameters
    ----------
    scores
        Sessions × instruments, row ``t`` known after the close of ``t``.

    Returns
    -------
    numpy.ndarray
        Row ``t`` holds the scores decided at ``t - DEAL_LAG``; the first rows are NaN.
    """
    moved = np.full_like(scores, np.nan)
    moved[DEAL_LAG:] = scores[:-DEAL_LAG]
    return moved


def _check_horizon(horizon: int) -> None:
    if horizon < 1:
        raise ConfigurationError(f"Label horizon {horizon} is not positive. Set a horizon of at least one session.")
