import pandas as pd
import pytest

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.market.point_in_time import known_at

SESSIONS = pd.DataFrame({"date": pd.to_datetime(["2024-12-30", "2024-12-31", "2025-01-02"])})
BARS = pd.DataFrame({"date": pd.to_datetime(["2024-12-30", "2025-01-02", "2024-12-31"]), "close": [1.0, 9.0, 2.0]})


def test_an_old_day_sees_nothing_that_came_later():
    days, bars = known_at("2024-12-31", SESSIONS, BARS)
    assert list(days) == [pd.Timestamp("2024-12-30"), pd.Timestamp("2024-12-31")]
    assert bars["close"].tolist() == [1.0, 2.0]
    assert bars.index.tolist() == [0, 1]


def test_the_newest_session_sees_everything():
    days, bars = known_at(pd.Timestamp("2025-01-02"), SESSIONS, BARS)
    assert len(days) == 3
    assert bars is BARS


@pytest.mark.parametrize("as_of", ["2025-01-01", "2025-01-03"])
def test_a_session_that_is_not_there_names_the_stage_to_run(as_of):
    message = f"reaches 2025-01-02 and has no session {as_of}.*ingestion --params as_of="
    with pytest.raises(StaleDataError, match=message):
        known_at(as_of, SESSIONS, BARS)


def test_an_empty_market_is_stale():
    with pytest.raises(StaleDataError, match="is empty and has no session 2025-01-02"):
        known_at("2025-01-02", SESSIONS.iloc[:0])
