"""Sessions of the New York exchange, by known dates."""

import exchange_calendars
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.calendar import TradingCalendar


@pytest.fixture
def calendar():
    return TradingCalendar.of("XNYS", "2024-12-20", "2025-01-15")


def day(text):
    return pd.Timestamp(text)


def test_sessions_leave_out_weekends_holidays_and_the_day_of_mourning(calendar):
    expected = ["12-20", "12-23", "12-24", "12-26", "12-27", "12-30", "12-31"]
    expected += ["01-02", "01-03", "01-06", "01-07", "01-08", "01-10", "01-13", "01-14", "01-15"]
    assert [f"{session:%m-%d}" for session in calendar.sessions] == expected


def test_steps_cross_holidays_and_the_bounds(calendar):
    assert calendar.next(day("2024-12-31")) == day("2025-01-02")
    assert calendar.next(day("2025-01-08")) == day("2025-01-10")
    assert calendar.previous(day("2025-01-02"), 2) == day("2024-12-30")
    assert calendar.next(day("2025-01-15"), 3) == day("2025-01-21")


def test_a_date_without_trading_is_no_session(calendar):
    assert not calendar.is_session(day("2024-12-25"))
    assert calendar.latest_on_or_before(day("2024-12-25")) == day("2024-12-24")
    with pytest.raises(MarketDataError, match="2024-12-25 is not a session of XNYS"):
        calendar.next(day("2024-12-25"))


def test_a_session_is_closed_only_after_its_close_even_on_half_days(calendar):
    before = pd.Timestamp("2024-12-24 17:59", tz="UTC")
    after = pd.Timestamp("2024-12-24 18:00", tz="UTC")
    assert calendar.latest_closed(before) == day("2024-12-23")
    assert calendar.latest_closed(after) == day("2024-12-24")


def test_wrong_bounds_and_names_are_errors():
    with pytest.raises(MarketDataError, match="swap them"):
        TradingCalendar.of("XNYS", "2025-01-02", "2024-01-02")
    with pytest.raises(MarketDataError, match="unknown exchange calendar 'NOPE'"):
        TradingCalendar.of("NOPE", "2024-01-02", "2025-01-02")
    with pytest.raises(MarketDataError, match="XNYS knows nothing of the years 0 to 9"):
        TradingCalendar.of("XNYS", "0001-01-01", "0001-01-01")


def test_a_step_far_outside_the_bounds_names_the_remedy(calendar):
    with pytest.raises(MarketDataError, match="wider bounds"):
        calendar.next(day("2025-01-15"), 1000)


def test_the_day_after_thanksgiving_closes_at_one_in_new_york():
    calendar = TradingCalendar.of("XNYS", "2024-11-01", "2024-12-31")
    opens, closes = calendar.hours(pd.Timestamp("2024-11-29"))
    assert str(opens) == "2024-11-29 14:30:00+00:00"
    assert str(closes) == "2024-11-29 18:00:00+00:00"
    with pytest.raises(MarketDataError, match="2024-11-28 is not a session"):
        calendar.hours(pd.Timestamp("2024-11-28"))


@pytest.mark.parametrize(
    ("name", "first", "closed", "zone"),
    [
        # Spring Festival, Republic Day, the first days of January, a bank holiday, Orthodox Easter Monday.
        ("XSHG", "1990-12-19", "2024-02-12", "Asia/Shanghai"),
        ("XBOM", "1997-01-01", "2024-01-26", "Asia/Kolkata"),
        ("XTKS", "1997-01-06", "2024-01-02", "Asia/Tokyo"),
        ("XHKG", "1986-04-02", "2024-02-12", "Asia/Hong_Kong"),
        ("XLON", "1984-01-03", "2024-08-26", "Europe/London"),
        ("ASEX", "1990-01-02", "2024-05-06", "Europe/Athens"),
        ("24/7", "2009-01-03", None, "UTC"),
    ],
)
def test_a_calendar_is_known_from_its_first_bar_to_today(name, first, closed, zone):
    today = pd.Timestamp.now("UTC").tz_localize(None).normalize()
    calendar = TradingCalendar.within_bounds(name, pd.Timestamp(first), today)
    assert calendar.is_session(pd.Timestamp(first))
    assert closed is None or not calendar.is_session(pd.Timestamp(closed))
    assert calendar.time_zone == zone
    known = TradingCalendar.of(name, first, "2026-11-27")
    assert known.sessions[-1] == pd.Timestamp("2026-11-27")
    assert known.next(known.sessions[-1]) == pd.Timestamp("2026-11-28" if name == "24/7" else "2026-11-30")
    # Between 240 and 262 sessions a year, but for a market that never closes.
    of_2025 = known.between(pd.Timestamp("2025-01-01"), pd.Timestamp("2025-12-31"))
    assert len(of_2025) == 365 if name == "24/7" else 240 <= len(of_2025) <= 262


@pytest.mark.parametrize(
    ("name", "start", "end"), [("XNYS", "2019-07-01", "2021-02-26"), ("XSHG", "2008-01-02", "2011-12-30")]
)
def test_sessions_are_those_of_a_calendar_made_for_these_years_alone(name, start, end):
    alone = exchange_calendars.get_calendar(name, start=start, end=end)
    calendar = TradingCalendar.of(name, start, end)
    assert list(calendar.sessions) == list(alone.sessions)
    assert calendar.hours(calendar.sessions[-1]) == (alone.opens.iloc[-1], alone.closes.iloc[-1])
    with pytest.raises(MarketDataError, match="make it with wider bounds"):
        calendar.offset(calendar.sessions[-1], 500)
