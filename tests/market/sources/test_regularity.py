"""Bars that do not fit those beside them: filled days, other lengths, moved days, sessions that are not over."""

import pandas as pd
import pytest

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files import drafting
from quant_pipeline.market.sources.files.checking import check_folder, describe_check
from quant_pipeline.market.sources.files.options import FilesMarketParameters


def bars(calendar="XNYS", first="2024-10-01", last="2025-03-31", level=100.0):
    """Return bars of every session, each one unlike the one before; closes step by 1, 2, …, 7."""
    days = pd.DatetimeIndex(TradingCalendar.of(calendar, first, last).sessions).as_unit("ns")
    close = pd.Series([level + number % 7 for number in range(len(days))])
    volume = [1_000_000 + 1000 * number for number in range(len(days))]
    return pd.DataFrame(
        {"date": days, "open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": volume}
    )


def check(folder, tables, **options):
    for name, content in tables.items():
        text = content if isinstance(content, str) else content.to_csv(index=False)
        (folder / f"{name}.csv").write_text(text)
    return check_folder(folder, FilesMarketParameters(**options), QualityParameters())


@pytest.mark.parametrize("frequency", ["D", "B"])
@pytest.mark.parametrize("has_volume", [True, False])
def test_weekends_and_holidays_that_were_filled_in_are_no_bars(tmp_path, frequency, has_volume):
    real = bars()
    filled = real.set_index("date").asfreq(frequency)
    if not has_volume:
        filled["volume"] = filled["volume"].fillna(0)
    checked = check(tmp_path, {"AAA": filled.ffill().reset_index()})
    assert (checked.summary["problems"], checked.seen.calendar) == ([], "XNYS")
    assert checked.seen.rows["date"].tolist() == real["date"].tolist()
    assert checked.summary["findings"] == {"no_session": len(filled) - len(real)}


def test_weekly_bars_beside_daily_ones_are_refused_by_name(tmp_path):
    daily = bars()
    weekly = daily.groupby(pd.Grouper(key="date", freq="W-FRI")).last().reset_index()
    (problem,) = check(tmp_path, {"AAA": daily, "WWW": weekly}).summary["problems"]
    assert problem.startswith("WWW.csv, row 2, WWW: its bars are weekly, those of the others daily")
    left = check(tmp_path, {}, on_problem="leave_out")
    assert (left.ok, set(left.seen.rows["instrument"])) == (True, {"AAA"})


def test_stocks_beside_coins_are_two_markets(tmp_path):
    (problem,) = check(tmp_path, {"BTC-USD": bars("24/7"), "AAA": bars(level=50.0)}).summary["problems"]
    assert problem.startswith("AAA.csv, row 2, AAA: it has no bar on a weekend, and the others trade every day")


@pytest.mark.parametrize(("days", "side"), [(-1, "before"), (1, "after")])
@pytest.mark.parametrize("on_problem", ["refuse", "leave_out"])
def test_dates_that_another_zone_has_moved_by_a_day_are_refused(tmp_path, days, side, on_problem):
    moved = bars().assign(date=lambda table: table["date"] + pd.Timedelta(days=days))
    checked = check(tmp_path, {"AAA": moved}, on_problem=on_problem)
    assert not checked.ok
    assert f"its dates are those of the days {side} the sessions of XNYS" in checked.summary["problems"][0]


@pytest.mark.parametrize("calendar", ["XKRX", "XSAU"])
def test_names_without_endings_are_read_on_the_calendar_of_their_holidays(tmp_path, calendar):
    real = bars(calendar, "2022-01-03", "2025-03-31")
    checked = check(tmp_path, {"AAA": real})
    assert (checked.seen.calendar, checked.summary["findings"]) == (calendar, {})
    assert checked.seen.rows["date"].tolist() == real["date"].tolist()


def test_a_calendar_with_other_holidays_is_refused_with_the_one_that_fits(tmp_path):
    (problem,) = check(tmp_path, {"AAA": bars("XLON", "2022-01-04", "2025-03-31")}, calendar="XNYS").summary["problems"]
    assert "are no sessions of XNYS; `calendar: XLON` fits them" in problem


@pytest.fixture
def thursday_noon(monkeypatch):
    """Noon of New York on Thursday 2025-03-27."""

    class Timestamp(pd.Timestamp):
        @classmethod
        def now(cls, tz=None):
            return pd.Timestamp("2025-03-27 16:00", tz="UTC")

    monkeypatch.setattr(drafting.pd, "Timestamp", Timestamp)


def test_the_bar_of_a_session_that_is_not_over_is_left_out(tmp_path, thursday_noon):
    checked = check(tmp_path, {"AAA": bars(last="2025-03-27")})
    assert (checked.summary["problems"], checked.summary["last"]) == ([], "2025-03-26")
    assert checked.summary["findings"] == {"unfinished": 1}


def test_a_bar_of_the_next_session_lies_in_the_future(tmp_path, thursday_noon):
    (problem,) = check(tmp_path, {"AAA": bars(last="2025-03-28")}).summary["problems"]
    assert problem == "AAA.csv, row 124, AAA: date '2025-03-28' lies in the future"


def test_a_row_that_is_no_bar_is_counted_after_the_last_bar_too(tmp_path):
    text = bars().to_csv(index=False) + "2025-04-01,,,,104.1,\n"
    checked = check(tmp_path, {"AAA": text})
    assert (checked.summary["last"], checked.summary["findings"]) == ("2025-03-31", {"suspended": 1})


def test_a_header_in_the_middle_of_joined_files_is_no_bar(tmp_path):
    real = bars()
    checked = check(tmp_path, {"AAA": real[:50].to_csv(index=False) + real[50:].to_csv(index=False)})
    assert (checked.summary["problems"], checked.summary["findings"]) == ([], {"footer": 1})
    assert checked.seen.rows["close"].tolist() == real["close"].tolist()


def test_a_dividend_that_is_carried_on_is_refused(tmp_path):
    (problem,) = check(tmp_path, {"AAA": bars().assign(dividend=0.55)}).summary["problems"]
    assert "AAA: has a dividend on most bars: a rate or a sum that is carried on" in problem


def test_a_dividend_of_every_week_is_one(tmp_path):
    paying = bars()
    checked = check(tmp_path, {"AAA": paying.assign(dividend=0.2 * (paying["date"].dt.dayofweek == 3))})
    assert checked.summary["problems"] == []
    assert checked.summary["actions"] == {"cash_dividend": 24}


def test_an_instrument_that_is_adjusted_in_parts_is_refused(tmp_path):
    real = bars("XSHG", "2024-01-02", "2024-03-28").assign(code="sh.600519", adjustflag=[2] * 20 + [3] * 37)
    (problem,) = check(tmp_path, {"k": real}).summary["problems"]
    assert "sh.600519: some of its bars are adjusted and some are not" in problem


def of_weeks(table):
    return table.groupby(pd.Grouper(key="date", freq="W-FRI")).last().reset_index()


AAA = bars("XLON", "2022-01-04", "2023-03-31")
SPLITS = "date,symbol,ratio\n2022-06-01,AAA,2\n"
BLOCKED = {
    "weekly bars": ({"AAA": of_weeks(AAA)}, {}, "these bars are weekly"),
    "the calendar of another exchange": ({"AAA": AAA}, {"calendar": "XNYS"}, "`calendar: XLON` fits them"),
    "splits that nothing uses": ({"AAA": AAA, "splits": SPLITS}, {}, "may hold splits"),
    "a benchmark that is not there": ({"AAA": AAA}, {"benchmark": "SPX"}, "neither a file nor an instrument"),
    "two currencies": (
        {"AAA": AAA.assign(currency="USD"), "BBB": AAA.assign(currency="EUR", close=AAA["close"] + 0.1)}, {}, "EUR",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BLOCKED)
def test_what_no_leaving_out_mends_is_refused_all_the_same(tmp_path, case):
    tables, options, what = BLOCKED[case]
    checked = check(tmp_path, tables, on_problem="leave_out", **options)
    assert (checked.ok, checked.seen.is_blocked) == (False, True)
    assert what in " ".join(checked.summary["problems"])


def test_leaving_out_is_no_advice_where_it_mends_nothing(tmp_path):
    checked = check(tmp_path, {"AAA": of_weeks(AAA)})
    assert not any("on_problem" in line for line in describe_check(checked, FilesMarketParameters()))


def test_a_file_whose_volume_contradicts_its_amount_is_left_out_whole(tmp_path):
    odd = AAA.assign(amount=AAA["close"] * AAA["volume"] * 100)
    checked = check(tmp_path, {"AAA": AAA.assign(close=AAA["close"] + 0.1), "ODD": odd}, on_problem="leave_out")
    assert set(checked.seen.rows["instrument"]) == {"AAA"}
