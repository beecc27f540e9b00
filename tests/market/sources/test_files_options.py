"""Options of the source ``files``, and the rules for dates, numbers, names and rows, by literal values."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files
from quant_pipeline.market.sources.files.instrument_names import PACKED_ENDINGS, fault_of, instrument_of, tidy_name
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.testing.market_to_write import random_market, without_actions


@pytest.fixture
def bars():
    return without_actions(random_market(3))


def write(folder, bars, **columns):
    for instrument, rows in bars.groupby("instrument"):
        table = rows[["date", "open", "high", "low", "close", "volume"]].assign(**columns)
        table.to_csv(folder / f"{instrument}.csv", index=False)


def seen(folder, **options):
    return observe(folder, FilesMarketParameters(**options))


def test_a_file_of_summer_time_is_read_and_a_format_that_cannot_be_is_a_problem_of_each_file(tmp_path, bars):
    zones = np.where(bars["date"] < "2024-02-01", " -0500", " -0400")
    write(tmp_path, bars.assign(date=bars["date"].dt.strftime("%Y-%m-%d") + zones))
    read = seen(tmp_path, date_format="%Y-%m-%d %z")
    assert read.problems == []
    pd.testing.assert_frame_equal(read.rows[bars.columns], bars, check_dtype=False)
    problems = {str(problem).split(" in format")[0] for problem in seen(tmp_path, date_format="%Y-%Q").problems}
    assert problems == {f"{name}.csv: is damaged: 'Q' is a bad directive" for name in ("AAA", "BBB", "CCC")}


LATIN = b"caf\xe9"


@pytest.mark.parametrize("ending", [b".csv", b".parquet", b".feather"])
@pytest.mark.parametrize("keeps", [False, True])
def test_a_file_whose_name_is_no_utf8_is_named_and_stops_no_other(tmp_path, bars, ending, keeps):
    folder = tmp_path / "market"
    folder.mkdir()
    write(folder, bars)
    named = bars[bars["instrument"] == bars["instrument"].iloc[0]].drop(columns="instrument")
    made = tmp_path / f"made{ending.decode()}"
    {b".csv": named.to_csv, b".parquet": named.to_parquet, b".feather": named.to_feather}[ending](made)
    made.rename(folder / os.fsdecode(LATIN + ending))
    options = FilesMarketParameters(calendar="XNYS", on_problem="leave_out")
    for _ in range(2):
        seen = observe(folder, options, tmp_path / "cache" if keeps else None)
        (problem,) = seen.problems
        assert problem.file == f"caf\\xe9{ending.decode()}"
        assert "holds a sign that names of files cannot have; rename it" in problem.message
        assert set(seen.rows["instrument"]) == set(bars["instrument"])


def test_names_that_are_no_utf8_or_hold_ends_of_lines_are_noted_in_one_line(tmp_path, bars):
    write(tmp_path, bars)
    for name in (LATIN + b".json", b"._" + LATIN + b".csv", b"a\nb\x1b.json"):
        (tmp_path / os.fsdecode(name)).write_text("x")
    (tmp_path / os.fsdecode(b"in=" + LATIN)).mkdir()
    inner = bars[bars["instrument"] == bars["instrument"].iloc[0]].assign(instrument="INNER")
    inner.to_csv(tmp_path / os.fsdecode(b"in=" + LATIN) / "inner.csv", index=False)
    seen = observe(tmp_path, FilesMarketParameters(calendar="XNYS"))
    assert "INNER" in set(seen.rows["instrument"])
    noted = seen.findings[seen.findings["check"].isin(["litter", "file_left_out"])]
    assert sorted(text.partition(":")[0] for text in noted["detail"]) == [
        "._caf\\xe9.csv",
        "a\\nb\\x1b.json",
        "caf\\xe9.json",
    ]


@pytest.mark.parametrize("separator", ["||", "", "\n", '"', "\\t"])
def test_a_separator_is_one_sign_that_separates(separator):
    with pytest.raises(ValueError, match="separates no cells; name one sign"):
        FilesMarketParameters(separator=separator)


@pytest.mark.parametrize("separator", ["\t", " ", "^", "¦"])
def test_any_other_sign_may_separate_cells(tmp_path, bars, separator):
    write(tmp_path, bars)
    expected = observe(tmp_path, FilesMarketParameters(calendar="XNYS"))
    for file in tmp_path.iterdir():
        file.write_text(file.read_text().replace(",", separator), encoding="utf-8")
    seen = observe(tmp_path, FilesMarketParameters(calendar="XNYS", separator=separator))
    pd.testing.assert_frame_equal(seen.rows, expected.rows, check_exact=True)


def test_days_that_could_be_months_are_refused_and_settled_by_an_option(tmp_path, bars):
    early = bars[bars["date"] < "2024-01-13"]
    write(tmp_path, early)
    for file in tmp_path.iterdir():
        table = pd.read_csv(file, parse_dates=["date"])
        table.assign(date=table["date"].dt.strftime("%d.%m.%Y")).to_csv(file, index=False)
    refused = seen(tmp_path)
    assert refused.is_refused
    assert "set `day_first: true` or `day_first: false`" in refused.problems[0].message
    assert seen(tmp_path, day_first=True).rows["date"].max() == pd.Timestamp("2024-01-12")
    assert seen(tmp_path, date_format="%d.%m.%Y").rows["date"].max() == pd.Timestamp("2024-01-12")


@pytest.mark.parametrize(
    ("file", "instrument"),
    [
        ("AAPL.csv", "AAPL"), ("aaa.us.txt", "AAA.US"), ("AAPL_2020-2024.csv", "AAPL"), ("MSFT (1).csv", "MSFT"),
        ("AAA Historical Data.csv", "AAA"), ("BTCUSDT-1d-2024.csv", "BTCUSDT"), ("AAL_data.csv", "AAL"),
        ("daily_adjusted_IBM.csv", "IBM"), ("BRK.B.csv", "BRK.B"), ("BF-B.csv", "BF-B"), ("EURUSD=X.csv", "EURUSD=X"),
        ("^GSPC.csv", "^GSPC"), ("000001.SZ.csv.gz", "000001.SZ"),
    ],
)  # fmt: skip
def test_the_name_of_a_file_names_its_instrument(tmp_path, file, instrument):
    assert instrument_of(tmp_path.relative_to(tmp_path) / file, None) == instrument


def pack(file, content):
    """Pack a file by its ending: zstd as Arrow writes it, all others as pandas does."""
    if file.suffix == ".zst":
        with pa.CompressedOutputStream(str(file), "zstd") as packed:
            packed.write(content)
    else:
        with pd.io.common.get_handle(file, "wb", is_text=False, compression="infer") as packed:
            packed.handle.write(content)


def rows_of(found):
    assert not found.is_refused
    return found.rows[["date", "instrument", "close", "volume"]]


@pytest.mark.parametrize("ending", PACKED_ENDINGS)
@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_a_packed_file_is_read_as_the_file_in_it(tmp_path, bars, kind, ending):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.mkdir()
    packed.mkdir()
    one = bars.loc[bars["instrument"] == "AAA", ["date", "open", "high", "low", "close", "volume"]]
    file = plain / f"AAA.{kind}"
    getattr(one.reset_index(drop=True), f"to_{kind}")(file, **{"index": False} if kind == "csv" else {})
    pack(packed / f"{file.name}{ending}", file.read_bytes())
    pd.testing.assert_frame_equal(rows_of(seen(packed)), rows_of(seen(plain)))


@pytest.mark.parametrize("ending", PACKED_ENDINGS)
def test_a_packed_file_that_was_cut_off_is_refused(tmp_path, bars, ending):
    file = tmp_path / f"AAA.csv{ending}"
    pack(file, bars.drop(columns=["instrument", "dividend", "split"]).to_csv(index=False).encode())
    file.write_bytes(file.read_bytes()[:-40])
    assert seen(tmp_path).is_refused


def test_a_pattern_says_where_the_instrument_stands(tmp_path, bars):
    for instrument, rows in bars.groupby("instrument"):
        rows.drop(columns=["instrument", "dividend", "split"]).to_csv(tmp_path / f"px_{instrument}_v2.csv", index=False)
    assert set(seen(tmp_path, bars="px_{symbol}_v2.csv").rows["instrument"]) == {"AAA", "BBB", "CCC"}


@pytest.mark.parametrize("name", ["../x", "a\\b", ".", "..", "", "x\0y", "/etc/passwd", "a" * 101])
def test_a_name_that_is_a_path_is_no_instrument(name):
    assert fault_of(tidy_name(name)) is not None


def test_files_that_overlap_are_taken_once(tmp_path, bars):
    one = bars[bars["instrument"] == "AAA"].drop(columns=["instrument", "dividend", "split"])
    one.iloc[:25].to_csv(tmp_path / "AAA_2024-01-02_2024-02-06.csv", index=False)
    one.iloc[20:].to_csv(tmp_path / "AAA (1).csv", index=False)
    found = seen(tmp_path)
    assert len(found.rows) == 40
    assert found.findings["check"].tolist() == ["duplicate_row"] * 5


def test_a_column_of_splits_that_nothing_uses_is_an_error(tmp_path, bars):
    write(tmp_path, bars, split_info="1:1")
    assert "has 'split_info', which may hold splits" in str(seen(tmp_path).problems[0])
    assert not seen(tmp_path, ignored_columns=["split_info"]).is_refused


def test_two_layouts_that_fit_name_the_option(tmp_path, bars):
    write(tmp_path, bars, **{"divCash": 0.0, "splitFactor": 1.0, "ex-dividend": 0.0, "split_ratio": 1.0})
    assert "fits tiingo and quandl_wiki, which read it differently; name one with `layout`" in str(
        seen(tmp_path).problems[0]
    )
    assert not seen(tmp_path, layout="tiingo", ignored_columns=["ex-dividend", "split_ratio"]).is_refused


def test_exclusions_take_rows_out_before_they_are_checked(tmp_path, bars):
    bars.loc[5, "close"] = 3000.0
    write(tmp_path, bars)
    assert seen(tmp_path).is_refused
    day = f"{bars.loc[5, 'date']:%Y-%m-%d}"
    read = seen(tmp_path, exclude=[{"instrument": "AAA", "from": day, "to": day}])
    assert not read.is_refused
    assert (len(read.rows), read.findings["check"].tolist()) == (119, ["excluded"])


def test_a_price_of_another_unit_is_refused(tmp_path, bars):
    bars.loc[10:39, ["open", "high", "low", "close"]] *= 100.0
    write(tmp_path, bars)
    refused = seen(tmp_path)
    assert "another unit of prices, or a split that is not noted" in str(refused.problems[0])
    left = seen(tmp_path, on_problem="leave_out")
    assert set(left.rows["instrument"]) == {"BBB", "CCC"}


def test_a_stated_delisting_becomes_cash(tmp_path, bars):
    write(tmp_path, bars[(bars["instrument"] != "AAA") | (bars["date"] < "2024-02-01")])
    (tmp_path / "delistings.csv").write_text("symbol,date,value\nAAA,2024-01-31,1.25\n")
    market = read_market_files(tmp_path, FilesMarketParameters(), "latest")
    (row,) = market.corporate_actions.to_dict("records")
    assert row == {"date": pd.Timestamp("2024-02-01"), "instrument": "AAA", "kind": "delisting", "value": 1.25}
    assert market.instruments.set_index("instrument").loc["AAA", "delisted"] == pd.Timestamp("2024-01-31")


def test_a_delisting_without_a_value_is_refused(tmp_path, bars):
    write(tmp_path, bars)
    (tmp_path / "delistings.csv").write_text("symbol,date,value\nAAA,2024-12-31,\n")
    with pytest.raises(MarketDataError, match="what a share then brought, 0 when nothing"):
        seen(tmp_path)


def test_a_benchmark_that_ends_before_the_bars_is_refused(tmp_path, bars):
    write(tmp_path, bars[(bars["instrument"] != "CCC") | (bars["date"] < "2024-02-01")])
    with pytest.raises(MarketDataError, match=r"the benchmark ends on 2024-01-31, before the bars"):
        read_market_files(tmp_path, FilesMarketParameters(benchmark="CCC"), "latest")


def test_many_bars_off_the_calendar_name_one_that_fits(tmp_path, bars):
    bars["date"] = np.tile(pd.date_range("2024-01-01", periods=40).as_unit("ns"), 3)
    write(tmp_path, bars)
    assert seen(tmp_path).calendar == "24/7"
    refused = seen(tmp_path, calendar="XNYS")
    assert "are no sessions of XNYS; `calendar: 24/7` fits them" in str(refused.problems[0])


def test_an_as_of_before_the_bars_is_refused(tmp_path, bars):
    write(tmp_path, bars)
    with pytest.raises(MarketDataError, match="the bars begin on 2024-01-02, after as_of=2020-06-30"):
        read_market_files(tmp_path, FilesMarketParameters(), "2020-06-30")


def test_former_names_are_joined(tmp_path, bars):
    old = bars["instrument"].eq("AAA") & (bars["date"] < "2024-02-01")
    bars.loc[old, "instrument"] = "OLD"
    write(tmp_path, bars)
    assert seen(tmp_path, rename={"OLD": "AAA"}).rows["instrument"].value_counts().to_dict() == {
        "AAA": 40, "BBB": 40, "CCC": 40,
    }  # fmt: skip


def test_lots_and_pence_are_units(tmp_path, bars):
    write(tmp_path, bars)
    read = seen(tmp_path, volume_unit=100, price_unit=0.01).rows
    assert read["volume"].iloc[0] == bars["volume"].iloc[0] * 100
    assert read["close"].iloc[0] == bars["close"].iloc[0] * 0.01


def test_midnights_of_shanghai_stored_in_utc_are_sessions_of_shanghai(tmp_path):
    bars = without_actions(random_market(5, "XSHG", 80))
    utc = bars["date"].dt.tz_localize("Asia/Shanghai").dt.tz_convert("UTC")
    bars.assign(date=utc).drop(columns=["dividend", "split"]).to_parquet(tmp_path / "bars.parquet")
    read = seen(tmp_path)
    assert read.calendar == "XSHG"
    assert read.rows["date"].tolist() == bars["date"].tolist()


def test_a_file_per_field_is_one_market(tmp_path, bars):
    for field in ("open", "high", "low", "close", "volume"):
        bars.pivot(index="date", columns="instrument", values=field).to_csv(tmp_path / f"{field}.csv")
    pd.testing.assert_frame_equal(seen(tmp_path).rows[bars.columns], bars, check_dtype=False)


def test_what_is_wrong_in_a_file_of_one_field_is_named(tmp_path, bars):
    day = f"{bars['date'].min():%Y-%m-%d}"
    more = {"low": f"{day},1,2,3,,4\n", "high": f"{day},1,2,3\n"}
    for field in ("open", "high", "low", "close", "volume"):
        text = bars.pivot(index="date", columns="instrument", values=field).to_csv().replace("\n", ",\n")
        (tmp_path / f"{field}.csv").write_text(text + more.get(field, ""))
    assert {str(problem) for problem in seen(tmp_path).problems} == {
        f"close.csv, row 42: high.csv: states {day} again, with other values",
        f"close.csv, row 42: low.csv: more cells than the header has columns: '{day},1,2,3,,4'",
    }
    pd.testing.assert_frame_equal(seen(tmp_path).rows[bars.columns], bars, check_dtype=False)


def test_a_column_without_a_name_in_a_file_of_one_field_is_no_instrument(tmp_path, bars):
    for field in ("open", "high", "low", "close", "volume"):
        text = bars.pivot(index="date", columns="instrument", values=field).to_csv().replace("\n", ",,\n")
        (tmp_path / f"{field}.csv").write_text(text)
    assert seen(tmp_path).problems == []
    assert seen(tmp_path).findings.empty
    lines = (tmp_path / "high.csv").read_text().split("\n")
    lines[3] = f"{lines[3][:-1]}5"
    (tmp_path / "high.csv").write_text("\n".join(lines))
    assert [problem.message for problem in seen(tmp_path).problems] == [
        "high.csv: a column without a name holds something"
    ]


def test_a_file_per_field_may_be_a_sheet_that_says_adjusted(tmp_path, bars):
    for field in ("open", "high", "low", "close", "volume"):
        wide = bars.pivot(index="date", columns="instrument", values=field).reset_index()
        wide.to_excel(tmp_path / f"{field}.xlsx", sheet_name="hfq", index=False)
    assert seen(tmp_path).adjusted == {"close.xlsx": "splits_and_dividends"}


def test_one_price_alone_is_no_bar(tmp_path, bars):
    bars.pivot(index="date", columns="instrument", values="close").to_csv(tmp_path / "prices.csv")
    assert "has one column per instrument and one price" in str(seen(tmp_path).problems[0])


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (5, "high", 3370.0, "are not prices of one session"),
        (39, "date", pd.Timestamp("2199-01-04"), "lies in the future"),
        (0, "date", pd.Timestamp("1970-01-01"), "is what a missing number becomes"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(tmp_path, bars, row, column, value, words):
    bars.loc[row, column] = value
    write(tmp_path, bars)
    refused = seen(tmp_path)
    assert refused.is_refused
    assert words in str(refused.problems[0])


def test_columns_that_are_mixed_up_are_refused(tmp_path, bars):
    write(tmp_path, bars.rename(columns={"low": "high", "high": "low"}))
    assert "the columns are mixed up" in str(seen(tmp_path).problems[0])
