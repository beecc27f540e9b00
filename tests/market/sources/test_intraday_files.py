"""Bars shorter than a session become sessions of the exchange's hours; what lies outside of them is counted."""

import pandas as pd
import pytest

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files.checking import check_folder
from quant_pipeline.market.sources.files.options import FilesMarketParameters

# Friday the 29th closes at 13:00 in New York.
DAYS = TradingCalendar.of("XNYS", "2024-11-25", "2024-12-03").sessions
NONE, BEFORE, AFTER = pd.Timedelta(0), pd.Timedelta(hours=5), pd.Timedelta(hours=3)
STEP = pd.Timedelta(minutes=30)


def written(folder, form="%Y-%m-%dT%H:%M:%SZ", zone="UTC", shift=NONE, before=BEFORE, after=AFTER, **more):
    """Write half-hour bars: 100 and then 101 within the hours, 150 outside; 10 shares inside and 1 outside."""
    rows = []
    for day in DAYS:
        opens, closes = TradingCalendar.of("XNYS", day, day).hours(day)
        for moment in pd.date_range(opens - before, closes + after, freq=STEP):
            inside = opens <= moment < closes
            price = (100.0 if moment == opens else 101.0) if inside else 150.0
            shown = (moment + shift).tz_convert(zone).strftime(form)
            rows.append((shown, price, price + 1, price - 1, price, 10 if inside else 1))
    table = pd.DataFrame(rows, columns=["time", "open", "high", "low", "close", "volume"]).assign(**more)
    table.to_csv(folder / "AAA.csv", index=False)
    return table


def check(folder, **options):
    return check_folder(folder, FilesMarketParameters(intraday="resample", **options), QualityParameters())


def test_bars_before_the_open_and_after_the_close_are_no_part_of_the_session(tmp_path):
    written(tmp_path)
    checked = check(tmp_path)
    assert checked.ok
    rows = checked.seen.rows
    assert rows["date"].tolist() == DAYS.tolist()
    assert rows[["open", "high", "low", "close"]].to_numpy().tolist() == [[100.0, 102.0, 99.0, 101.0]] * 6
    assert rows["volume"].tolist() == [130.0, 130.0, 130.0, 70.0, 130.0, 130.0]
    found = checked.seen.findings
    assert found[found["check"] == "outside_hours"]["value"].tolist() == [17.0] * 6


def test_a_close_at_noon_ends_the_session(tmp_path):
    written(tmp_path)
    row = check(tmp_path).seen.rows.set_index("date").loc["2024-11-29"]
    assert (row["close"], row["volume"]) == (101.0, 70.0)


def test_bars_that_carry_the_time_of_their_end_are_those_up_to_the_close(tmp_path):
    written(tmp_path, shift=STEP, before=NONE, after=-STEP)
    checked = check(tmp_path)
    assert checked.seen.rows["volume"].tolist() == [130.0, 130.0, 130.0, 70.0, 130.0, 130.0]
    assert "outside_hours" not in checked.summary["findings"]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_hours_of_another_zone_without_its_name_are_refused(tmp_path, zone):
    written(tmp_path, "%Y-%m-%d %H:%M", zone, before=NONE, after=-STEP)
    refused = check(tmp_path, calendar="XNYS")
    assert not refused.ok
    assert "time_zone" in refused.summary["problems"][0]
    read = check(tmp_path, time_zone=zone, calendar="XNYS")
    assert read.seen.rows["volume"].tolist() == [130.0, 130.0, 130.0, 70.0, 130.0, 130.0]


def test_clock_times_of_new_york_need_no_option(tmp_path):
    written(tmp_path, "%Y-%m-%d %H:%M:%S", "America/New_York")
    checked = check(tmp_path)
    assert checked.ok, checked.summary["problems"]
    assert checked.seen.rows["close"].tolist() == [101.0] * 6


def test_a_bar_of_a_minute_in_two_files_counts_once(tmp_path):
    table = written(tmp_path)
    table.iloc[:40].to_csv(tmp_path / "AAA (1).csv", index=False)
    checked = check(tmp_path)
    assert checked.summary["findings"]["duplicate_row"] == 40
    assert checked.seen.rows["volume"].tolist() == [130.0, 130.0, 130.0, 70.0, 130.0, 130.0]
    table.iloc[:40].assign(close=101.5).to_csv(tmp_path / "AAA (1).csv", index=False)
    assert "stands twice" in check(tmp_path).summary["problems"][0]


def test_a_dividend_outside_of_the_hours_is_paid_once_and_amounts_are_summed(tmp_path):
    table = written(tmp_path, dividends=0.0, amount=1000.0)
    # The first bar of the second day, long before its open.
    place = int(table["time"].str.startswith("2024-11-26T09").argmax())
    table.loc[place, "dividends"] = 0.5
    table["amount"] = table["volume"] * table["close"]
    table.to_csv(tmp_path / "AAA.csv", index=False)
    checked = check(tmp_path)
    assert checked.summary["problems"] == []
    assert checked.seen.rows["dividend"].tolist() == [0.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert checked.seen.rows["amount"].iloc[0] == 10 * 100 + 120 * 101


SHANGHAI = TradingCalendar.of("XSHG", "2024-01-02", "2024-01-12").sessions
CLOCKS = ["09:35", "10:30", "11:30", "13:05", "15:00"]
HEADERS = {
    "baostock": ("date,time,code,open,high,low,close,volume", "{d:%Y-%m-%d},{d:%Y%m%d}{c}00000,sh.600000,"),
    "tushare": ("trade_time,ts_code,open,high,low,close,volume", "{d:%Y-%m-%d} {h}:00,600000.SH,"),
    "akshare": ("时间,股票代码,开盘,最高,最低,收盘,成交量", "{d:%Y-%m-%d} {h}:00,600000,"),
}


@pytest.mark.parametrize("vendor", HEADERS)
def test_minutes_of_chinese_vendors_carry_the_time_of_their_end(tmp_path, vendor):
    header, start = HEADERS[vendor]
    lines = [
        start.format(d=day, h=clock, c=clock.replace(":", "")) + f"10,{10 + place},9,{10 + place / 10},100"
        for day in SHANGHAI
        for place, clock in enumerate(CLOCKS)
    ]
    (tmp_path / "minutes.csv").write_text("\n".join([header, *lines]) + "\n")
    checked = check(tmp_path)
    assert checked.ok, checked.summary["problems"]
    assert checked.seen.calendar == "XSHG"
    assert checked.seen.rows["date"].tolist() == SHANGHAI.tolist()
    assert set(checked.seen.rows["close"]) == {10.4}
    assert set(checked.seen.rows["volume"]) == {500.0}
    assert "outside_hours" not in checked.summary["findings"]
