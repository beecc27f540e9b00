"""The exchange of a market whose files do not name one: recognised by holidays and times of day, or said to be open."""

import pandas as pd
import pytest

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.sources.files.calendars import choose_calendar


def chosen(days, kind="date", names=("AAA",), layouts=()):
    values = pd.DataFrame({"date": pd.DatetimeIndex(days).as_unit("ns"), "kind": kind})
    return choose_calendar(values, pd.Index(names), set(layouts))


def sessions(name, count, start="2024-01-02"):
    return TradingCalendar.of(name, start, "2024-12-30").sessions[:count]


@pytest.mark.parametrize("count", [3, 8, 15, 40])
def test_opens_of_london_in_utc_are_not_taken_for_new_york(count):
    found = chosen(sessions("XLON", count) + pd.Timedelta(hours=8), "instant")
    assert found.name == "XLON"


def test_opens_of_new_york_in_utc_are_new_yorks():
    assert chosen(sessions("XNYS", 8) + pd.Timedelta(hours=14.5), "instant").name == "XNYS"


def test_dates_that_fit_several_exchanges_are_said_to():
    found = chosen(sessions("XNYS", 8))
    assert found.name == "XNYS"
    assert {"XLON", "XETR"} <= set(found.others)
    assert "XTKS" not in found.others


def test_forty_days_of_london_have_two_sessions_that_new_york_has_not():
    assert chosen(sessions("XLON", 40)).name == "XLON"
    found = chosen(sessions("XNYS", 40))
    assert (found.name, found.others) == ("XNYS", ())


def test_a_bar_on_one_holiday_of_new_york_moves_no_market_to_london():
    days = sessions("XNYS", 20).append(pd.DatetimeIndex(["2024-01-15"])).sort_values()
    found = chosen(days)
    assert found.name == "XNYS"
    assert "XLON" in found.others


@pytest.mark.parametrize(
    ("names", "layouts", "calendar"),
    [(["VOD.L", "BP.L"], (), "XLON"), (["600000", "000001"], (), "XSHG"), (["AAA"], ["tushare"], "XSHG")],
)
def test_what_names_or_layouts_say_needs_no_comparison(names, layouts, calendar):
    found = chosen(sessions(calendar, 8), names=names, layouts=layouts)
    assert (found.name, found.others) == (calendar, ())
