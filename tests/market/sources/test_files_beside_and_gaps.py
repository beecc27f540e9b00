"""What lies beside bars, and what bars lack: counted as it was, or named, never lost without a word."""

import os

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files.checking import check_folder
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.reading import say_left_out

DAYS = pd.bdate_range("2024-01-02", periods=9).as_unit("ns")
CLOSES = [100.0, 101.0, 102.0, 101.0, 103.0, 104.0, 103.0, 105.0, 106.0]


def bars(**columns):
    closes = np.array(columns.pop("closes", CLOSES))
    usual = {"Date": DAYS.strftime("%Y-%m-%d"), "Open": closes - 1, "High": closes + 2, "Low": closes - 2}
    return pd.DataFrame(usual | {"Close": closes, "Volume": 1000.0} | columns)


def write(folder, name, table):
    (folder / name).parent.mkdir(exist_ok=True)
    table.to_csv(folder / name, index=False)


def check(folder, **options):
    return check_folder(folder, FilesMarketParameters(**options), QualityParameters())


def named(checked):
    return " ".join([*checked.summary["problems"], *checked.seen.findings["detail"]])


@pytest.fixture
def two(tmp_path):
    for name in ("AAA.csv", "BBB.csv"):
        write(tmp_path, name, bars())
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dividends.csv", "ex_date,symbol,amount\n2024-01-05,AAA,0.5\n"),
        ("splits.csv", "date,ticker,ratio\n2024-01-05,AAA,2\n"),
        ("events.csv", "date,symbol,split\n2024-01-05,AAA,2\n"),
        ("adj_factors.csv", "date,symbol,value\n2024-01-05,AAA,0.5\n"),
    ],
)
def test_actions_in_a_file_of_their_own_are_not_lost(two, name, text):
    (two / name).write_text(text)
    checked = check(two)
    assert not checked.ok
    assert checked.summary["problems"][0].startswith(f"{name}: may hold splits, dividends or factors")
    assert check(two, bars="?" * 3 + ".csv").ok


def test_a_table_of_something_else_is_left_out_by_name(two):
    (two / "transactions.csv").write_text("day,symbol,shares\n2024-01-05,AAA,2\n")
    checked = check(two)
    assert checked.ok
    assert "transactions.csv: has no column" in named(checked)


@pytest.mark.parametrize(
    "column", ["factor", "cum_factor", "ajexdi", "cfacpr", "trfd", "Payout", "distribution", "raw_close"]
)
def test_a_factor_of_adjustment_that_nothing_uses_is_an_error(tmp_path, column):
    write(tmp_path, "AAA.csv", bars(**{column: 0.5}))
    assert f"has '{column}', which may hold" in check(tmp_path).summary["problems"][0]


def test_prices_of_two_currencies_are_refused_with_their_names(tmp_path):
    write(tmp_path, "AAA.csv", bars(Currency=["USD"] * 5 + ["GBp"] * 4))
    checked = check(tmp_path)
    assert "prices in GBp, USD in its column 'Currency'" in checked.summary["problems"][0]
    assert check(tmp_path, ignored_columns=["Currency"]).ok


def test_files_of_two_currencies_are_refused_read_again_or_not(tmp_path):
    write(tmp_path, "AAA.csv", bars(Currency="USD"))
    write(tmp_path, "BBB.csv", bars(Currency="EUR"))
    for _ in range(2):
        seen = observe(tmp_path, FilesMarketParameters(), tmp_path / ".cache")
        assert seen.is_refused
        assert "prices in EUR, USD in its column 'Currency'" in str(seen.problems[0])


def test_one_currency_is_no_matter(tmp_path):
    write(tmp_path, "AAA.csv", bars(Currency="EUR"))
    assert check(tmp_path).ok


def test_files_that_are_not_read_are_named(two):
    write(two, "etf/CCC.csv", bars())
    for name in ("DDD.json", "EEE.pkl", "FFF.tar.gz"):
        (two / name).write_text("{}")
    os.symlink(two / "nothing.csv", two / "GGG.csv")
    checked = check(two)
    assert checked.ok
    assert checked.summary["findings"]["file_left_out"] == 5
    for words in ("etf/CCC.csv: lies in a folder", "DDD.json: is of a format", "EEE.pkl: is", "FFF.tar.gz: is",
                  "GGG.csv: is a link to a file that does not exist"):  # fmt: skip
        assert words in named(checked)
    assert check(two, bars="**/*.csv").summary["instruments"] == 3


@pytest.mark.parametrize("name", ["AAA\u200b", "\ufeffAAA", "AAA\u00a0"])
def test_signs_that_cannot_be_seen_make_no_second_instrument(tmp_path, name):
    write(tmp_path, "all.csv", bars(Symbol=["AAA", name] * 4 + ["AAA"]))
    assert set(check(tmp_path).seen.rows["instrument"]) == {"AAA"}


def test_composed_and_decomposed_letters_are_one_name(tmp_path):
    write(tmp_path, "all.csv", bars(Symbol=["CAF\u00c9", "CAFE\u0301"] * 4 + ["CAF\u00c9"]))
    assert set(check(tmp_path).seen.rows["instrument"]) == {"CAF\u00c9"}


@pytest.mark.parametrize(("column", "value", "neutral"), [("dividend", 0.5, 0.0), ("split", 2.0, 1.0)])
def test_an_action_of_a_row_that_is_left_out_counts_on_the_next_bar(tmp_path, column, value, neutral):
    closes = np.array(CLOSES) / (np.where(np.arange(9) >= 4, 2.0, 1.0) if column == "split" else 1.0)
    table = bars(closes=closes, **{column: [neutral] * 4 + [value] + [neutral] * 4}).astype({"Close": object})
    table.loc[4, "Close"] = "#VALUE!"
    write(tmp_path, "AAA.csv", table)
    checked = check(tmp_path, on_problem="leave_out")
    assert checked.summary["findings"]["moved_action"] == 1
    rows = checked.seen.rows
    assert list(rows["date"]) == [*DAYS[:4], *DAYS[5:]]
    assert rows[column].tolist() == [neutral] * 4 + [value] + [neutral] * 3


def adjusted_for_a_dividend():
    """Return Yahoo's classic table; a share pays 2 on the fifth session, after a close of 101."""
    return bars(**{"Adj Close": np.array(CLOSES) * np.where(np.arange(9) >= 4, 1.0, 1 - 2 / 101)})


@pytest.mark.parametrize(("missing", "paid"), [(3, 4), (4, 5)])
def test_a_gap_in_the_adjusted_close_hides_no_dividend(tmp_path, missing, paid):
    table = adjusted_for_a_dividend()
    table.loc[missing, "Adj Close"] = np.nan
    write(tmp_path, "AAA.csv", table)
    checked = check(tmp_path)
    assert checked.summary["findings"]["no_adjusted_close"] == 1
    dividends = checked.seen.rows["dividend"]
    assert dividends[dividends > 0].index.tolist() == [paid]
    assert dividends[paid] == pytest.approx(CLOSES[paid - 1] * 2 / 101, rel=1e-12)


@pytest.mark.parametrize("missing", [range(9), range(6), range(3, 9)])
def test_bars_without_the_adjusted_close_of_their_layout_are_refused(tmp_path, missing):
    table = adjusted_for_a_dividend()
    table.loc[list(missing), "Adj Close"] = np.nan
    write(tmp_path, "AAA.csv", table)
    write(tmp_path, "BBB.csv", adjusted_for_a_dividend())
    assert "has no adjusted close" in check(tmp_path).summary["problems"][0]
    left = check(tmp_path, on_problem="leave_out")
    assert left.ok
    assert set(left.seen.rows["instrument"]) == {"BBB"}


def yahoo(closes, splits):
    return bars(closes=closes, **{"Adj Close": closes, "Dividends": 0.0, "Stock Splits": splits})


def test_downloads_before_and_after_a_split_are_not_joined(tmp_path):
    splits = np.where(np.arange(9) == 6, 2.0, 0.0)
    write(tmp_path, "old/AAA.csv", yahoo(np.array(CLOSES) * 2, 0.0).head(4))
    write(tmp_path, "new/AAA.csv", yahoo(np.array(CLOSES), splits).tail(5))
    assert "the files were not exported together" in check(tmp_path).summary["problems"][0]


def test_one_download_in_two_files_is_joined(tmp_path):
    splits = np.where(np.arange(9) == 6, 2.0, 0.0)
    write(tmp_path, "old/AAA.csv", yahoo(np.array(CLOSES), splits).head(4))
    write(tmp_path, "new/AAA.csv", yahoo(np.array(CLOSES), splits).tail(5))
    checked = check(tmp_path)
    assert checked.ok
    factors = np.where(np.arange(9) < 6, 2.0, 1.0)
    assert checked.seen.rows["close"].tolist() == (np.array(CLOSES) * factors).tolist()


def test_a_slip_in_a_delisting_does_not_save_a_worthless_share(two):
    (two / "delistings.csv").write_text("symbol,date,value\naaa,2024-01-12,0\n")
    checked = check(two)
    assert not checked.ok
    assert "aaa: is no instrument of the bars, in which AAA is" in checked.summary["problems"][0]


def test_rules_that_mean_no_bar_are_named(two):
    (two / "renames.csv").write_text("old,new\nXXX,YYY\n")
    checked = check(two, exclude=[{"instrument": "AAPL"}, {"instrument": "AAA", "from": "2030-01-01"}])
    assert checked.summary["findings"]["unlisted"] == 3
    assert "no bar is of AAPL" in named(checked)
    assert "no bar is of AAA from 2030-01-01" in named(checked)
    assert "XXX is no instrument of the bars" in named(checked)


def test_each_of_many_instruments_that_a_list_lacks_is_a_finding_of_its_own(tmp_path):
    names = [f"N{number:03d}" for number in range(300)]
    for name in names:
        write(tmp_path, f"{name}.csv", bars())
    (tmp_path / "securities.csv").write_text("symbol,name,sector\nN000,First,Energy\n")
    found = observe(tmp_path, FilesMarketParameters(calendar="XNYS")).findings
    assert found.loc[found["check"] == "unlisted", "instrument"].tolist() == names[1:]


def test_thousands_of_problems_that_are_left_out_are_ten_lines_of_a_run_the_largest_first(caplog):
    problems = [SourceProblem("bars.csv", 2 + number, None, "has no close", 1 + number) for number in range(3000)]
    say_left_out(problems)
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "left out: bars.csv, row 3001: has no close"
    assert said[9:] == ["left out: bars.csv, row 2992: has no close", "left out: and 2,990 more"]


def test_a_rule_for_a_renamed_instrument_means_it(two):
    checked = check(two, rename={"AAA": "ZZZ"}, exclude=[{"instrument": "ZZZ"}])
    assert "unlisted" not in checked.summary["findings"]
    assert checked.summary["instruments"] == 1


def test_a_span_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValidationError, match="means no date"):
        FilesMarketParameters(exclude=[{"instrument": "AAA", "from": "2024-03-01", "to": "2024-01-05"}])


def test_a_sheet_a_year_is_one_instrument(tmp_path):
    with pd.ExcelWriter(tmp_path / "AAA.xlsx") as book:
        bars().to_excel(book, sheet_name="2024", index=False)
        bars().assign(Date=pd.bdate_range("2023-01-03", periods=9).strftime("%Y-%m-%d")).to_excel(
            book, sheet_name="2023", index=False
        )
    rows = check(tmp_path).seen.rows
    assert set(rows["instrument"]) == {"AAA"}
    assert len(rows) == 18


WIDE = pd.DataFrame({"Date": ["2024-01-02", "2024-01-03"], "AAA": [10.0, 11.0], "BBB": [20.0, 21.0]})


@pytest.mark.parametrize(
    "names",
    [
        ["open", "high", "low", "close", "volume"],
        ["PX_OPEN", "PX_HIGH", "PX_LOW", "PX_LAST", "PX_VOLUME"],
        ["us-open", "us-high", "us-low", "us-close", "us-volume"],
    ],
    ids=["fields", "Bloomberg", "last word"],
)
def test_a_file_for_each_field_is_known_by_what_vendors_call_the_field(tmp_path, names):
    for name in names:
        WIDE.to_csv(tmp_path / f"{name}.csv", index=False)
    checked = check_folder(tmp_path, FilesMarketParameters(), QualityParameters())
    assert checked.ok, checked.summary["problems"]
    assert (checked.summary["instruments"], checked.summary["rows"]) == (2, 4)


def test_instruments_whose_names_end_like_fields_are_no_files_of_fields(tmp_path):
    names = ["a_open", "b_open", "a_high", "a_low", "a_close", "a_volume"]
    for name in names:
        pd.DataFrame(
            {"date": ["2024-01-02", "2024-01-03"], "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
        ).to_csv(tmp_path / f"{name}.csv", index=False)
    checked = check_folder(tmp_path, FilesMarketParameters(), QualityParameters())
    assert checked.summary["instruments"] == 6
