"""On which sessions a strategy decides: daily, weekly, or every n sessions, with the phase stated."""

from __future__ import annotations

import datetime
from typing import Literal, Protocol, Self, assert_never

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters

_ONE_WEEK = pd.Timedelta(days=7)


class SessionRange(Protocol):
    """What a schedule needs from a trading calendar."""

    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
        """Return the sessions from `start` to `end`, both included."""
        ...


class Schedule(Parameters):
    """When the strategy looks at its scores.

    Attributes
    ----------
    frequency
        ``daily``; ``weekly``; or ``every_n_sessions``.
    phase
        ``weekly``: the weekday of the decision, 0 = Monday … 4 = Friday; a week without a session on that day or
        later decides on its last session before. ``every_n_sessions``: sessions after the anchor, 0 … n-1.
    sessions
        ``every_n_sessions`` only: the n.
    anchor
        ``every_n_sessions`` only: the session (or the first one after this date) that is counted as number 0, so
        that a backtest that starts later and the daily loop decide on the same sessions.
    """

    frequency: Literal["daily", "weekly", "every_n_sessions"] = "daily"
    phase: int = Field(default=0, ge=0)
    sessions: int = Field(default=1, ge=1)
    anchor: datetime.date | None = None

    @model_validator(mode="after")
    def _check_phase(self) -> Self:
        if self.frequency == "daily" and self.phase != 0:
            raise ValueError("a daily schedule has no phase: remove `phase` or set it to 0")
        if self.frequency == "weekly" and self.phase > 4:
            raise ValueError("the phase of a weekly schedule is a weekday, 0 (Monday) to 4 (Friday)")
        if self.frequency == "every_n_sessions":
            if self.phase >= self.sessions:
                raise ValueError(f"phase {self.phase} must be smaller than sessions {self.sessions}")
            if self.anchor is None:
                raise ValueError("every_n_sessions needs an `anchor` date from which sessions are counted")
        return self


def decision_flags(sessions: pd.DatetimeIndex, schedule: Schedule) -> npt.NDArray[np.bool_]:
    """Return on which sessions the schedule decides.

    Parameters
    ----------
    sessions
        Consecutive sessions of the calendar. A week whose later sessions are not among them counts as unfinished:
        its last session is not taken for the last of the week.
    schedule
        The schedule.

    Returns
    -------
    numpy.ndarray
        One flag per session.

    Raises
    ------
    ConfigurationError
        If sessions are counted from an anchor before the first session given.
    """
    match schedule.frequency:
        case "daily":
            return np.ones(len(sessions), dtype=np.bool_)
        case "weekly":
            return _weekly_flags(sessions, schedule.phase)
        case "every_n_sessions":
            return _counted_flags(sessions, schedule)
        case unknown:
            assert_never(unknown)


def _counted_flags(sessions: pd.DatetimeIndex, schedule: Schedule) -> npt.NDArray[np.bool_]:
    anchor = sessions[0] if schedule.anchor is None else pd.Timestamp(schedule.anchor)
    if anchor < sessions[0]:
        raise ConfigurationError(
            f"The schedule counts sessions from {anchor.date()} but the sessions given start on {sessions[0].date()}. "
            "Give the calendar from the anchor on, or choose a later anchor."
        )
    ordinal = np.arange(len(sessions)) - int(sessions.searchsorted(anchor))
    return (ordinal >= 0) & (ordinal % schedule.sessions == schedule.phase)


def decides_on(calendar: SessionRange, session: pd.Timestamp, schedule: Schedule) -> bool:
    """Return whether the schedule decides at the close of one session, as the daily loop asks.

    Parameters
    ----------
    calendar
        Trading calendar that reaches from the anchor (if there is one) to a week after `session`.
    session
        The session.
    schedule
        The schedule.
    """
    anchor = session if schedule.anchor is None else min(session, pd.Timestamp(schedule.anchor))
    sessions = calendar.between(anchor - _ONE_WEEK, session + _ONE_WEEK)
    return bool(decision_flags(sessions, schedule)[sessions.get_loc(session)])


def _weekly_flags(sessions: pd.DatetimeIndex, weekday: int) -> npt.NDArray[np.bool_]:
    weekdays = sessions.weekday.to_numpy()
    week = (sessions - pd.to_timedelta(weekdays, unit="D")).to_numpy()
    last_of_week = np.append(week[1:] != week[:-1], False)
    reached = weekdays >= weekday
    reached_before = np.append(False, reached[:-1] & (week[1:] == week[:-1]))
    return (reached & ~reached_before) | (last_of_week & ~reached)
