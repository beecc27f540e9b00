import numpy as np
import pandas as pd
import pytest

from quant_pipeline.exceptions import ConfigurationError
from quant_pipeline.strategy import clock

SESSIONS = pd.DatetimeIndex(["2024-03-27", "2024-03-28", "2024-04-01", "2024-04-02", "2024-04-03", "2024-04-04"])


class ListedCalendar:
    """Calendar over SESSIONS; 2024-03-29 was Good Friday."""

    def next(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        return SESSIONS[SESSIONS.get_loc(session) + n]

    def previous(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        return SESSIONS[SESSIONS.get_loc(session) - n]


def test_orders_decided_before_a_long_weekend_deal_after_it():
    assert clock.deal_session(ListedCalendar(), pd.Timestamp("2024-03-28")) == pd.Timestamp("2024-04-01")


def test_decision_session_is_the_inverse_of_deal_session():
    assert clock.decision_session(ListedCalendar(), pd.Timestamp("2024-04-01")) == pd.Timestamp("2024-03-28")


def test_label_of_horizon_two_enters_one_session_later_and_leaves_two_after_that():
    label = clock.label_sessions(ListedCalendar(), pd.Timestamp("2024-03-27"), 2)
    assert label == (pd.Timestamp("2024-03-28"), pd.Timestamp("2024-04-02"))


def test_last_labelled_session_is_the_one_whose_exit_was_today():
    session = clock.last_labelled_session(ListedCalendar(), pd.Timestamp("2024-04-04"), 2)
    assert session == pd.Timestamp("2024-04-01")
    assert clock.label_sessions(ListedCalendar(), session, 2).exit == pd.Timestamp("2024-04-04")


def test_realised_returns_pair_the_decision_with_the_deal_prices_after_it():
    prices = pd.DataFrame({"A": [7.0, 10.0, 11.0, 22.0, 1.0]}, index=SESSIONS[:5])
    returns = clock.realised_returns(prices, 1)["A"].to_numpy()
    np.testing.assert_allclose(returns[:3], [0.1, 1.0, 1 / 22 - 1])
    assert np.isnan(returns[3:]).all()


def test_scores_at_deal_arrive_one_session_later():
    scores = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(clock.scores_at_deal(scores), [[np.nan, np.nan], [1.0, 2.0]])


def test_horizon_zero_is_refused_with_a_remedy():
    with pytest.raises(ConfigurationError, match="at least one session"):
        clock.label_lag(0)
