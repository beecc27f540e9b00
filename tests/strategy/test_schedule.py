import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.strategy.schedule import Schedule, decides_on, decision_flags

# Good Friday 2024-03-29 and Easter week: Thursday 28 March is the last session of its week.
SESSIONS = pd.bdate_range("2024-03-25", "2024-04-08").drop(pd.Timestamp("2024-03-29"))


class ListedCalendar:
    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
        return SESSIONS[(start <= SESSIONS) & (end >= SESSIONS)]


def decided(schedule: Schedule, sessions: pd.DatetimeIndex = SESSIONS) -> list[str]:
    return [str(day.date()) for day in sessions[decision_flags(sessions, schedule)]]


def test_daily_decides_on_every_session():
    assert decided(Schedule()) == [str(day.date()) for day in SESSIONS]


def test_weekly_on_friday_falls_back_to_the_last_session_of_a_short_week():
    assert decided(Schedule(frequency="weekly", phase=4)) == ["2024-03-28", "2024-04-05"]


def test_weekly_on_monday_waits_for_the_first_session_of_a_week_that_starts_late():
    late_start = SESSIONS.drop(pd.Timestamp("2024-04-01"))
    assert decided(Schedule(frequency="weekly", phase=0), late_start) == ["2024-03-25", "2024-04-02", "2024-04-08"]


def test_unfinished_week_does_not_decide_early():
    assert decided(Schedule(frequency="weekly", phase=4), SESSIONS[:8]) == ["2024-03-28"]


def test_every_three_sessions_counts_from_the_anchor():
    schedule = Schedule(frequency="every_n_sessions", sessions=3, phase=1, anchor=datetime.date(2024, 3, 26))
    assert decided(schedule) == ["2024-03-27", "2024-04-02", "2024-04-05"]


def test_anchor_before_the_calendar_is_an_error_because_the_count_would_shift():
    schedule = Schedule(frequency="every_n_sessions", sessions=3, anchor=datetime.date(2024, 3, 1))
    with pytest.raises(ConfigurationError, match="2024-03-25"):
        decision_flags(SESSIONS, schedule)


@given(st.integers(min_value=0, max_value=4))
def test_every_finished_week_decides_exactly_once(phase):
    sessions = pd.bdate_range("2023-01-02", "2024-12-27").delete([7, 8, 40, 133, 134, 135, 300])
    flags = pd.Series(decision_flags(sessions, Schedule(frequency="weekly", phase=phase)), index=sessions)
    weeks = flags.groupby(sessions - pd.to_timedelta(sessions.weekday, unit="D")).sum()
    assert (weeks == 1).all()


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(),
        Schedule(frequency="weekly", phase=4),
        Schedule(frequency="weekly", phase=1),
    ],
)
def test_daily_loop_asks_for_one_session_and_gets_the_backtest_answer(schedule):
    flags = decision_flags(SESSIONS, schedule)
    asked = [decides_on(ListedCalendar(), session, schedule) for session in SESSIONS[:9]]
    np.testing.assert_array_equal(asked, flags[:9])


@pytest.mark.parametrize(
    "fields",
    [
        {"frequency": "daily", "phase": 1},
        {"frequency": "weekly", "phase": 5},
        {"frequency": "every_n_sessions", "sessions": 3, "phase": 3, "anchor": "2024-01-02"},
        {"frequency": "every_n_sessions", "sessions": 3},
    ],
)
def test_meaningless_phase_is_refused(fields):
    with pytest.raises(ValidationError):
        Schedule(**fields)


def test_an_unknown_frequency_is_an_error_and_never_another_schedule():
    """`model_copy` does not validate, as a new literal without a rule of its own would not be."""
    unknown = Schedule().model_copy(update={"frequency": "monthly"})
    with pytest.raises(AssertionError, match="monthly"):
        decision_flags(pd.DatetimeIndex(["2024-01-02", "2024-01-03"]), unknown)
