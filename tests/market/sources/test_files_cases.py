"""Folders as vendors and users write them, each with the reading that is right: literal values, by the check.

The inputs in ``cases/`` are rebuilt from public reports of bugs and from vendors' record formats; names and numbers are
invented, but for the rows of ``90_real_rows``.
"""

from pathlib import Path

import pytest

from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.checking import check_folder

CASES = Path(__file__).parent / "cases"
FIRST, LAST = "2024-01-02", "2024-05-24"

# Case: layouts, instruments, rows, actions, findings.
READ = {
    "02_yf_multiindex_single": ("yahoo_download", 5, 505, {}, {}),
    "03_yf_multiindex_wide": ("yahoo_download", 5, 505, {}, {}),
    "03b_yf_wide_parquet": ("yahoo_download", 5, 505, {}, {}),
    "04_yf_history_tz": ("yahoo_history_adjusted", 5, 505, {}, {}),
    "05_yf_auto_adjusted_dividends": ("yahoo_history_adjusted", 5, 505, {"cash_dividend": 5}, {}),
    "05b_yf_not_adjusted": ("yahoo_history", 5, 505, {"cash_dividend": 5}, {}),
    "07_live_last_row": ("plain", 5, 505, {}, {"intraday_row": 1}),
    "08_dividend_only_row": (
        "plain yahoo_history_adjusted", 5, 504, {"cash_dividend": 1},
        {"no_price": 1, "moved_action": 1, "gap": 1, "no_actions": 4},
    ),
    "09_null_rows": ("plain", 5, 500, {}, {"no_price": 5, "gap": 1}),
    "10_unnamed_date": ("plain", 5, 505, {}, {}),
    "11_parquet_index_date": ("plain", 5, 505, {}, {}),
    "11b_parquet_multiindex": ("plain", 5, 505, {}, {}),
    "12_kaggle_5yr": ("kaggle_all_stocks_5yr", 5, 505, {}, {}),
    "13_sp500_stocks": ("yahoo", 5, 464, {}, {"no_price": 41}),
    "14_wiki_split": ("quandl_wiki", 5, 505, {"cash_dividend": 5, "split": 1}, {"vendor_adjustment": 5}),
    "17_av_numbered": ("alpha_vantage_numbered", 5, 505, {}, {}),
    "20_investing_com": ("investing", 5, 505, {}, {}),
    "21_day_first": ("plain", 5, 505, {}, {}),
    "22_semicolon_comma": ("plain", 5, 505, {}, {}),
    "23_utf16": ("plain", 5, 505, {}, {}),
    "24_tushare": ("tushare", 5, 465, {}, {}),
    "25_akshare": ("akshare", 3, 279, {}, {}),
    "25b_akshare_gbk": ("akshare", 3, 279, {}, {}),
    "27_partitioned": ("plain", 5, 505, {}, {}),
    "30_one_empty_file": ("plain", 5, 505, {}, {"file_left_out": 1}),
    "30c_securities_beside": ("plain", 5, 505, {}, {}),
    "31_holiday_bar": ("plain", 5, 505, {}, {"no_session": 1}),
    "33_epoch_seconds": ("plain", 5, 505, {}, {}),
    "33b_epoch_ms_parquet": ("plain", 5, 505, {}, {}),
    "34_us_txt": ("kaggle_huge_stock_market", 5, 505, {}, {}),
    "36_xlsx": ("plain", 2, 202, {}, {}),
    "37_suspension_zero_prices": ("plain", 5, 499, {}, {"suspended": 6, "gap": 1}),
    "39_split_text": ("plain yahoo_history_adjusted", 5, 505, {"split": 1}, {"no_actions": 4}),
    "40_volume_commas": ("plain", 5, 505, {}, {}),
    "50_only_NA": ("plain", 2, 202, {}, {}),
    "52b_duckdb_hive": ("plain", 5, 505, {}, {}),
    "53_dividend_text": (
        "plain yahoo_history_adjusted", 2, 202, {"cash_dividend": 1, "split": 1}, {"no_actions": 2},
    ),
    "58_exact_duplicate_rows": ("plain", 5, 505, {}, {"duplicate_row": 1}),
    "63_iso_with_time_close": ("plain", 5, 505, {}, {}),
    "70_sec_NA": ("plain", 3, 303, {}, {"same_bars": 2}),
    "72_delisted_stops": ("plain", 5, 464, {}, {"ended": 1}),
}  # fmt: skip

# Case: what the problems say.
REFUSED = {
    "06_yf_split_not_applied": "AAA.csv, row 62, AAA: the split 0.005263 of 2024-03-28 is noted, but the prices before",
    "26_tickers": "BRK.B in bars.csv and brk.b in bars.csv differ by capital letters only",
    "26b_tickers_files": "brk.b.csv, row 2, BRK.B: date '2024-01-02' stands twice for the instrument with different "
    "values, "
    "first in BRK.B.csv",
    "26d_path_ticker": "../../../ESCAPED: the name '../../../ESCAPED' holds a sign that names of files cannot have",
    "28_weekly": "these bars are weekly, and daily ones are needed",
    "29_minutes": "these bars are intraday, about 5 a session, and daily ones are needed; set `intraday: resample`",
    "32_100x": "AAA.csv, row 72, AAA: close 3269.31 is 100 times the one before, and back in the next session",
    "41_inf_price": "AAA.csv, row 46, AAA: high 'inf' is no positive price",
}


def check(case, folder=CASES, **options):
    return check_folder(folder / case, FilesMarketParameters(**options), QualityParameters())


def rows_of(case, instrument, **options):
    rows = check(case, **options).seen.rows
    return rows[rows["instrument"] == instrument].set_index("date")


@pytest.mark.parametrize("case", READ)
def test_a_folder_of_a_vendor_is_read_without_an_option(case):
    layouts, instruments, rows, actions, findings = READ[case]
    checked = check(case).summary
    assert checked["ok"], checked["problems"]
    assert set(checked["layouts"].values()) == set(layouts.split())
    assert (checked["instruments"], checked["rows"]) == (instruments, rows)
    assert (checked["first"], checked["last"]) == (FIRST, LAST)
    assert checked["actions"] == actions
    assert checked["findings"] == findings


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_would_be_read_wrong_is_refused_with_the_reason(case):
    checked = check(case).summary
    assert not checked["ok"]
    assert any(REFUSED[case] in problem for problem in checked["problems"]), checked["problems"]


def test_every_folder_has_its_right_outcome():
    others = {
        "18_binance_noheader",
        "18c_crypto_iso_slash",
        "30e_benchmark_beside",
        "55_epoch_day_files",
        "90_real_rows",
    }
    assert {path.name for path in CASES.iterdir()} == {*READ, *REFUSED, *others}


@pytest.mark.parametrize("case", ["18_binance_noheader", "18c_crypto_iso_slash"])
def test_a_market_that_never_closes_is_read_on_its_calendar(case):
    checked = check(case)
    assert checked.ok
    assert checked.seen.calendar == "24/7"
    assert (checked.summary["instruments"], checked.summary["rows"]) == (3, 435)
    assert checked.summary["first"] == "2024-01-01"


def test_a_pair_with_a_slash_becomes_a_name_that_is_no_path():
    checked = check("18c_crypto_iso_slash")
    assert sorted(checked.seen.rows["instrument"].unique()) == ["BTC-USDT", "ETH-USDT", "SHIB-USDT"]
    assert checked.summary["findings"]["renamed"] == 3


def test_one_file_a_day_is_one_market():
    checked = check("55_epoch_day_files").summary
    assert (checked["ok"], checked["rows"], checked["first"], checked["last"]) == (True, 30, FIRST, "2024-01-09")


def test_a_benchmark_beside_the_bars_is_no_instrument():
    assert check("30e_benchmark_beside", benchmark="SPY.csv").summary["instruments"] == 5
    assert check("30e_benchmark_beside", benchmark="SPY").summary["instruments"] == 5
    assert check("30e_benchmark_beside").summary["instruments"] == 6


def test_a_bar_of_the_day_of_hurricane_gloria_is_left_out():
    checked = check("90_real_rows").summary
    assert checked["ok"]
    assert (checked["instruments"], checked["rows"]) == (2, 15)
    assert checked["findings"]["no_session"] == 1
    assert checked["findings"]["no_price"] == 7


def test_securities_named_by_the_user_list_the_instrument_na():
    checked = check("70_sec_NA", securities="sec.txt")
    assert checked.ok
    assert checked.seen.securities["instrument"].tolist() == ["NA", "TRUE", "BBB"]


def test_total_return_of_adjusted_closes_with_dividends_counts_them_once():
    adjusted, plain = (
        rows_of(case, "AAA") for case in ("05_yf_auto_adjusted_dividends", "05b_yf_not_adjusted")
    )  # fmt: skip
    assert adjusted["close"].to_numpy() == pytest.approx(plain["close"].to_numpy(), rel=2e-6)
    total = (plain["close"].iloc[-1] / plain["close"].iloc[0]) * (1 + 1.3219 / 31.8961) - 1
    assert round(100 * total, 2) == 13.55


def test_a_split_of_seven_for_one_leaves_no_return():
    rows = rows_of("14_wiki_split", "AAA")
    day = rows.index.get_loc("2024-03-14")
    assert rows["split"].iloc[day] == 7.0
    assert abs(rows["close"].iloc[day] * 7 / rows["close"].iloc[day - 1] - 1) < 0.02


def test_texts_of_splits_and_dividends_are_numbers():
    assert rows_of("39_split_text", "AAA").loc["2024-03-14", "split"] == 2.0
    rows = rows_of("53_dividend_text", "AAA")
    assert rows.loc["2024-03-28", "split"] == 4.0
    # Yahoo states it per share of today: four of them were one share then.
    assert rows.loc["2024-02-29", "dividend"] == 1.0


def test_lots_of_a_hundred_shares_are_shares():
    assert rows_of("24_tushare", "000001.SZ").loc["2024-01-02", "volume"] == pytest.approx(2_633_284.0)
    assert rows_of("24_tushare", "000001.SZ").loc["2024-01-02", "amount"] == pytest.approx(26_716_509.4788)
    assert rows_of("25_akshare", "000001").loc["2024-01-02", "volume"] == 3_393_500.0


def test_volume_in_millions_and_prices_with_thousands_are_numbers():
    rows = rows_of("20_investing_com", "AAA")
    assert rows.loc["2024-05-24", ["open", "close", "volume"]].tolist() == [1361.30, 1365.48, 3_050_000.0]


def test_a_dividend_without_a_bar_counts_on_the_next_session():
    assert rows_of("08_dividend_only_row", "BBB").loc["2024-03-01", "dividend"] == 0.3


def test_names_that_look_like_nothing_stay_names():
    names = set(check("26_tickers").seen.rows["instrument"])
    assert {"NA", "NAN", "NULL", "TRUE", "000001", "1E5", "inf", "None", "GOOG", "Ünï"} <= names
    assert check("26_tickers", exclude=[{"instrument": "brk.b"}]).ok


@pytest.mark.parametrize("case", ["26d_path_ticker", "32_100x", "41_inf_price", "06_yf_split_not_applied"])
def test_what_is_wrong_is_left_out_where_the_user_wants_that(case):
    checked = check(case, on_problem="leave_out").summary
    assert checked["ok"]
    assert checked["problems"]
    assert {"row_left_out", "instrument_left_out"} & set(checked["findings"])


def test_minute_bars_become_sessions_where_the_user_wants_that():
    checked = check("29_minutes", intraday="resample")
    assert checked.ok
    first = checked.seen.rows.set_index(["instrument", "date"]).loc[("AAA", FIRST)]
    assert first[["open", "high", "low"]].tolist() == [51.9896, 52.2711, 49.0546]
