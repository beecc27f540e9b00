"""Dates of rows by their numbers, as pandas finds them."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common import row_blocks
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.dates import (
    first_date,
    number_dates,
    order_by_date,
    places_in,
    require_calendar,
    whole_days,
)

SESSIONS = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-05"])
ROWS = pd.DatetimeIndex(["2024-01-05", "2024-01-04", "2024-01-02", "1999-12-31", "2024-01-06", "2024-01-02"])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("block", [2, 1 << 16])
def test_every_date_has_its_place_among_the_sessions(unit, block, monkeypatch):
    monkeypatch.setattr(row_blocks, "ROWS", block)
    assert places_in(SESSIONS, ROWS.as_unit(unit).to_numpy()).tolist() == [2, -1, 0, -1, -1, 0]


def test_a_time_of_day_and_a_missing_date_are_no_session():
    rows = pd.DatetimeIndex(["2024-01-05 09:30", "2024-01-05", None])
    assert whole_days(rows.to_numpy()) is None
    assert places_in(SESSIONS, rows.to_numpy()).tolist() == [-1, 2, -1]
    assert places_in(SESSIONS[:0], ROWS.to_numpy()).tolist() == [-1] * 6
    assert places_in(SESSIONS, ROWS[:0].to_numpy()).tolist() == []


def test_dates_of_python_and_no_dates_of_any_type_have_their_places():
    assert places_in(SESSIONS, ROWS.to_numpy().astype(object)).tolist() == [2, -1, 0, -1, -1, 0]
    assert places_in(SESSIONS, ROWS.astype(object).to_numpy()).tolist() == [2, -1, 0, -1, -1, 0]
    assert places_in(SESSIONS, pd.Series([], dtype=object).to_numpy()).tolist() == []


def test_a_missing_date_of_whole_days_is_no_session():
    days = pd.to_datetime(["1970-01-01", "1970-01-05"])
    rows = np.array(["1970-01-05", "NaT", "1969-12-30"], dtype="datetime64[D]")
    assert places_in(days, rows).tolist() == [1, -1, -1]
    assert order_by_date(rows).tolist() == [2, 0, 1]


@pytest.mark.parametrize("hour", [0, 1])
def test_rows_of_one_date_keep_their_order(hour):
    days = pd.to_datetime(["2024-01-05", "2024-01-02", "2024-01-05", "2024-01-02", "1850-01-01"])
    days += pd.to_timedelta([0, hour, 0, 0, 0], unit="h")
    assert order_by_date(days[:4].to_numpy()).tolist() == ([1, 3, 0, 2], [3, 1, 0, 2])[hour]
    # So far apart that the days do not count as small numbers.
    far = days.append(pd.to_datetime(["2150-01-01"])).to_numpy()
    assert order_by_date(far).tolist() == ([4, 1, 3, 0, 2, 5], [4, 3, 1, 0, 2, 5])[hour]
    assert order_by_date(far[:0]).tolist() == []


@pytest.mark.parametrize(
    "dates",
    [
        ROWS,
        ROWS.as_unit("ns"),
        ROWS.as_unit("s") - pd.Timedelta(days=30_000),
        ROWS + pd.Timedelta(hours=9),
        ROWS.tz_localize("Asia/Shanghai"),
        ROWS.insert(1, pd.NaT),
        ROWS[:0],
        ROWS.astype(object),
    ],
    ids=["midnights", "nanoseconds", "before 1970", "times", "zone", "missing", "none", "objects"],
)
def test_dates_are_numbered_and_the_first_one_is_found_as_by_pandas(dates):
    days = pd.Series(dates)
    codes, found = number_dates(days)
    expected_codes, expected = pd.factorize(days, sort=True)
    assert codes.tolist() == expected_codes.tolist()
    pd.testing.assert_index_equal(pd.Index(found), pd.Index(expected))
    assert first_date(days) is pd.NaT if days.empty else first_date(days) == days.min()


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (["2024-01-02", None, "2024-01-05"], "session 2 of the calendar has no date; leave it out"),
        ([None, "2024-01-02", None], "session 1 of the calendar has no date; leave it out"),
        (["2024-01-02", "2024-01-02", "2024-01-05"], "the calendar has 2024-01-02 twice; name it once"),
        (["2024-01-05", "2024-01-03", "2024-01-05"], "the calendar has 2024-01-05 twice; name it once"),
        (
            ["2024-01-05", "2024-01-03", "2024-01-02"],
            "the calendar is not in order, 2024-01-03 follows 2024-01-05; sort it",
        ),
        (
            ["2024-01-02", "2024-01-05", "2024-01-03"],
            "the calendar is not in order, 2024-01-03 follows 2024-01-05; sort it",
        ),
    ],
)
def test_what_is_no_calendar_is_refused_in_one_line(days, told):
    with pytest.raises(MarketDataError) as refused:
        require_calendar(pd.DatetimeIndex(days))
    assert refused.value.message == told


def test_calendars_are_known_days_in_their_order():
    for days in (SESSIONS, SESSIONS[:0], SESSIONS[:1]):
        require_calendar(days)
