"""Windows of the walk by literal dates."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.models.rolling_windows import RollingParameters, rolling_windows


@pytest.fixture(scope="module")
def sessions():
    return TradingCalendar.of("XNYS", "2022-01-03", "2024-05-10").sessions


def parameters(**changed):
    given = {"start": "2022-01-03", "first_test": "2024-01-01", "frequency": "monthly", "valid_sessions": 21}
    return RollingParameters.model_validate({**given, "train_sessions": 252, **changed})


def spans(window):
    return {name: (f"{days[0]:%Y-%m-%d}", f"{days[-1]:%Y-%m-%d}") for name, days in window.segments.items()}


def test_an_expanding_walk_by_months(sessions):
    windows = rolling_windows(sessions, parameters(), horizon=1)
    assert [window.name for window in windows] == ["2024-01-02", "2024-02-01", "2024-03-01", "2024-04-01", "2024-05-01"]
    # The label of 12-27 is realised at the open of 12-29; that of 12-28 only at the open of 01-02, in the test.
    assert spans(windows[0]) == {
        "train": ("2022-01-03", "2023-11-22"),
        "valid": ("2023-11-28", "2023-12-27"),
        "test": ("2024-01-02", "2024-01-31"),
    }
    assert spans(windows[4])["test"] == ("2024-05-01", "2024-05-10")
    assert spans(windows[4])["train"][0] == "2022-01-03"


def test_a_rolling_walk_forgets(sessions):
    windows = rolling_windows(sessions, parameters(mode="rolling"), horizon=1)
    assert spans(windows[0])["train"] == ("2022-11-22", "2023-11-22")
    assert spans(windows[1])["train"] == ("2022-12-22", "2023-12-22")
    assert {len(window.segments["train"]) for window in windows} == {252}


def test_an_embargo_and_a_longer_horizon_widen_the_gap(sessions):
    (first, *_) = rolling_windows(sessions, parameters(embargo=3), horizon=5)
    assert spans(first)["train"][1] == "2023-11-02"
    assert spans(first)["valid"] == ("2023-11-16", "2023-12-15")


@pytest.mark.parametrize("frequency", ["weekly", "monthly", "quarterly", "yearly"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_tests_cover_every_session_once_and_no_label_reaches_over(sessions, frequency, horizon):
    windows = rolling_windows(sessions, parameters(frequency=frequency), horizon)
    covered = pd.DatetimeIndex([day for window in windows for day in window.segments["test"]])
    assert covered.equals(sessions[sessions >= "2024-01-01"])
    for window in windows:
        for earlier, later in (("train", "valid"), ("valid", "test")):
            realised = sessions[sessions.get_loc(window.segments[earlier][-1]) + 1 + horizon]
            assert realised < window.segments[later][0]


def test_too_little_history_names_the_keys(sessions):
    with pytest.raises(ConfigurationError, match=r"there are 476 to train on.*rolling\.train_sessions"):
        rolling_windows(sessions, parameters(train_sessions=480), horizon=1)
    with pytest.raises(ConfigurationError, match=r"rolling\.first_test. is 2025-01-01.*end on 2024-05-10"):
        rolling_windows(sessions, parameters(first_test="2025-01-01"), horizon=1)
