"""Splits and dividends of files: paid once on the right bar, derived, or named as unknown; never lost in silence."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files.checking import check_folder, describe_check
from quant_pipeline.market.sources.files.options import FilesMarketParameters

DAYS = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"])
# As traded: 4 are paid on the third day, two for one on the fifth.
CLOSES = np.array([100.0, 102.0, 99.0, 100.0, 51.0, 52.0])
DIVIDENDS = np.array([0.0, 0.0, 4.0, 0.0, 0.0, 0.0])
SPLITS = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 1.0])
RETURNS = [0.02, 103 / 102 - 1, 100 / 99 - 1, 0.02, 52 / 51 - 1]
LATER = np.array([2.0, 2.0, 2.0, 2.0, 1.0, 1.0])
PAID = np.where(DAYS < "2024-01-04", 1 - 4 / 102, 1.0)
ADJUSTED = CLOSES / LATER * PAID


def bars(closes=CLOSES, days=DAYS, **columns):
    prices = {"Open": closes, "High": closes + 1, "Low": closes - 1, "Close": closes}
    return pd.DataFrame({"Date": days.strftime("%Y-%m-%d")} | prices | {"Volume": 1000.0} | columns)


def check(folder, files, **options):
    for name, table in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / name, index=False)
    return check_folder(folder, FilesMarketParameters(**options), QualityParameters())


def returns(checked):
    """Return what a share brought from bar to bar, with splits and dividends."""
    rows = checked.seen.rows
    gross = (rows["close"] + rows["dividend"]) * rows["split"]
    return (gross / rows["close"].shift() - 1).iloc[1:].tolist()


def excluded(*days):
    return [{"instrument": "AAA", "from": day, "to": day} for day in days]


@pytest.mark.parametrize(
    "table",
    [
        bars(dividend=DIVIDENDS, split=SPLITS),
        bars(**{"Adj Close": ADJUSTED, "split": SPLITS}),
        bars(CLOSES / LATER, **{"Adj Close": ADJUSTED, "Dividends": DIVIDENDS / LATER, "Stock Splits": SPLITS}),
    ],
    ids=["stated", "dividends in the adjusted close", "adjusted for splits"],
)
def test_an_action_of_an_excluded_day_counts_on_the_next_bar(tmp_path, table):
    checked = check(tmp_path, {"AAA.csv": table}, exclude=excluded("2024-01-04", "2024-01-08"))
    assert checked.ok, checked.summary["problems"]
    # (52 · 2 / 100 over two days) and ((100 + 4) / 102 over two days).
    assert returns(checked) == pytest.approx([0.02, 104 / 102 - 1, 0.04])


def test_actions_before_the_first_bar_that_stays_are_none(tmp_path):
    rule = [{"instrument": "AAA", "to": "2024-01-04"}]
    checked = check(tmp_path, {"AAA.csv": bars(dividend=DIVIDENDS, split=SPLITS)}, exclude=rule)
    assert checked.summary["actions"] == {"split": 1}
    assert "moved_action" not in checked.summary["findings"]


def test_a_dividend_in_two_equal_rows_of_an_excluded_day_is_paid_once(tmp_path):
    table = bars(dividend=DIVIDENDS, split=SPLITS)
    checked = check(tmp_path, {"AAA.csv": table, "AAA (1).csv": table.iloc[1:]}, exclude=excluded("2024-01-04"))
    assert returns(checked) == pytest.approx([0.02, 104 / 102 - 1, 0.02, 52 / 51 - 1])


def test_an_action_of_a_row_that_is_left_out_counts_on_the_next_bar(tmp_path):
    table = bars(dividend=DIVIDENDS, split=SPLITS)
    table.loc[2, ["Open", "High", "Low", "Close"]] *= 10.0
    checked = check(tmp_path, {"AAA.csv": table, "BBB.csv": bars(split=SPLITS)}, on_problem="leave_out")
    rows = checked.seen.rows[checked.seen.rows["instrument"] == "AAA"]
    assert rows["dividend"].tolist() == [0.0, 0.0, 4.0, 0.0, 0.0]


def test_rows_of_a_day_with_different_dividends_leave_the_instrument_out(tmp_path):
    table = bars(dividend=DIVIDENDS, split=SPLITS)
    files = {"AAA.csv": table, "AAA (1).csv": table.assign(dividend=2 * DIVIDENDS), "BBB.csv": table}
    assert "stands twice" in check(tmp_path, files).summary["problems"][0]
    left = check(tmp_path, {}, on_problem="leave_out")
    assert set(left.seen.rows["instrument"]) == {"BBB"}


@pytest.mark.parametrize(
    ("table", "actions"),
    [
        (bars(adjusted_close=ADJUSTED, split=SPLITS), {"cash_dividend": 1, "split": 1}),
        (bars(adjusted_close=ADJUSTED, dividend=DIVIDENDS), {"cash_dividend": 1, "split": 1}),
        (bars(adjusted_close=ADJUSTED), {"cash_dividend": 1, "split": 1}),
    ],
    ids=["dividends hidden", "splits hidden", "both hidden"],
)
def test_what_no_column_states_is_derived_from_the_adjusted_close(tmp_path, table, actions):
    checked = check(tmp_path, {"AAA.csv": table})
    assert checked.ok
    assert checked.summary["actions"] == actions
    assert returns(checked) == pytest.approx(RETURNS)


def test_an_adjusted_close_counts_in_every_layout(tmp_path):
    table = bars(CLOSES / LATER, **{"Adj. Close": ADJUSTED}).rename(columns={"Close": "Close/Last"})
    checked = check(tmp_path, {"AAA.csv": table})
    assert set(checked.summary["layouts"].values()) == {"nasdaq"}
    assert returns(checked) == pytest.approx(RETURNS)


def test_dividends_of_closes_adjusted_for_stated_splits_are_in_the_adjusted_close(tmp_path):
    table = bars(CLOSES / LATER, **{"Adj Close": ADJUSTED, "Stock Splits": SPLITS})
    assert "set `adjusted: splits`" in check(tmp_path, {"AAA.csv": table}).summary["problems"][0]
    checked = check(tmp_path, {}, adjusted="splits")
    assert checked.ok
    assert returns(checked) == pytest.approx(RETURNS)


TOTAL = bars(ADJUSTED, OpenInt=0)
JOINED = {
    "total returns": (TOTAL, "both are adjusted for the same dividends"),
    "a dividend is stated after": (
        bars(ADJUSTED, **{"Dividends": DIVIDENDS[::-1] / 2, "Stock Splits": 0.0}), "adjusted for the same dividends",
    ),
    "adjusted closes that end at the close": (
        bars(CLOSES / LATER, **{"Adj Close": [50.0, 51.0, 49.0, 49.5, 51.0, 52.0]}), "end at the close, as if no split",
    ),
    "a move of a split between two exports": (
        bars(CLOSES).assign(Name="AAA").rename(columns=str.lower), "after a split between two exports",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", JOINED)
def test_files_that_may_not_be_of_one_export_are_refused(tmp_path, case):
    table, words = JOINED[case]
    cut = 4 if case.startswith("a move") else 2
    files = {"AAA_2023-2024.csv": table.iloc[:cut], "AAA_2024-2025.csv": table.iloc[cut:]}
    refused = check(tmp_path, files)
    assert not refused.ok
    assert words in refused.summary["problems"][0]


def test_files_of_one_export_need_a_word_or_rows_in_common(tmp_path):
    files = {"AAA_2023-2024.csv": TOTAL.iloc[:3], "AAA_2024-2025.csv": TOTAL.iloc[3:]}
    assert check(tmp_path, files, exported_together=True).ok
    assert check(tmp_path, files | {"AAA_2024-2025.csv": TOTAL.iloc[2:]}).ok


def test_files_of_a_day_whose_adjusted_close_is_the_close_state_nothing(tmp_path):
    table = bars(adjusted_close=CLOSES, symbol="AAA")
    files = {f"{day:%Y%m%d}.csv": table.iloc[[place]] for place, day in enumerate(DAYS[:4])}
    refused = check(tmp_path, files)
    assert "files of one day each, in which the adjusted close is the close" in refused.summary["problems"][0]
    assert check(tmp_path, {}, exported_together=True).ok


def test_a_file_without_the_column_of_dividends_that_others_have_is_named(tmp_path):
    full = bars(dividend=DIVIDENDS, split=SPLITS)
    checked = check(tmp_path, {"AAA.csv": full, "BBB.csv": full.drop(columns="dividend"), "CCC.csv": full})
    (found,) = checked.seen.findings[checked.seen.findings["check"] == "no_actions"].to_dict("records")
    assert found["severity"] == "error"
    assert found["detail"].startswith("BBB.csv: has no column of dividends, and AAA.csv has one")


@pytest.mark.parametrize(
    ("file", "instrument"),
    [
        ("600000_hfq.csv", "600000"), ("sh600000_qfq_daily.csv", "SH600000"), ("600000-前复权.csv", "600000"),
        ("600000(后复权).csv", "600000"), ("600000（后复权）.csv", "600000"), ("600000后复权.csv", "600000"),
        ("[hfq] 600000.csv", "600000"), ("600000,hfq.csv", "600000"), ("qfq/600000.csv", "600000"),
        ("日线（前复权）/600000.csv", "600000"), ("AAPL_full_1day_adjsplitdiv.csv", "AAPL"),
    ],
)  # fmt: skip
def test_prices_that_a_name_calls_adjusted_are_not_taken_as_traded(tmp_path, file, instrument):
    checked = check(tmp_path, {file: bars()})
    assert checked.seen.adjusted == {file: "splits_and_dividends"}
    assert checked.seen.rows["instrument"].unique().tolist() == [instrument]
    assert checked.summary["findings"]["adjusted_by_name"] == 1
    assert check(tmp_path, {}, adjusted="none").seen.adjusted == {file: "none"}


def test_prices_as_traded_and_adjusted_ones_of_an_instrument_contradict(tmp_path):
    refused = check(tmp_path, {"600000.csv": bars(), "600000_hfq.csv": bars(CLOSES * 3)})
    assert "stands twice" in refused.summary["problems"][0]


@pytest.mark.parametrize("word", ["qfq", "hfq", "1", "", "bfq", 3])
def test_a_column_says_row_by_row_what_is_adjusted(tmp_path, word):
    checked = check(tmp_path, {"AAA.csv": bars(ADJUSTED, adjust=word, dividend=DIVIDENDS / LATER, split=SPLITS)})
    if word in ("", "bfq", 3):
        assert "restated for it already" in checked.summary["problems"][0]
    else:
        assert returns(checked) == pytest.approx(RETURNS)


def test_a_mark_of_adjustment_that_is_not_known_is_refused(tmp_path):
    refused = check(tmp_path, {"AAA.csv": bars(adjust="other")})
    assert "'other' is no mark of adjustment" in refused.summary["problems"][0]


@pytest.mark.parametrize(
    "column",
    [
        "nominal_close",
        "reverse",
        "real_close",
        "CloseUnadj",
        "spinoff",
        "share_consolidation",
        "ex_date",
        "cash_amount",
        "ratio",
        "action",
    ],
)
def test_a_column_that_may_be_another_close_or_an_action_is_an_error(tmp_path, column):
    refused = check(tmp_path, {"AAA.csv": bars(**{column: 2.0})})
    assert not refused.ok
    assert f"has '{column}', which may hold splits" in refused.summary["problems"][0]


@pytest.mark.parametrize(
    "column", ["prev_close", "Previous Close", "close_time", "close_change", "close_20_sma", "昨收"]
)
def test_a_column_about_the_close_that_changes_no_return_is_none(tmp_path, column):
    assert check(tmp_path, {"AAA.csv": bars(**{column: 2.0})}).ok


def test_bars_of_unknown_names_with_splits_beside_them_name_the_columns_to_map(tmp_path):
    unknown = {"Date": "Bar End", "Open": "First", "High": "Top", "Low": "Bottom", "Close": "Latest"}
    checked = check(tmp_path, {"dump.csv": bars(split=SPLITS).rename(columns=unknown)})
    (problem,) = checked.summary["problems"]
    assert problem.startswith("dump.csv: has no column for date, open, high, low, close; it has Bar End, First, Top")
    assert describe_check(checked, FilesMarketParameters()) == [
        "no bars", "findings: 1 file_left_out", "problems:", f"  {problem}", "cannot be read",
    ]  # fmt: skip


def test_a_split_that_nothing_states_is_named_by_the_check(tmp_path):
    checked = check(tmp_path, {"AAA.csv": bars(np.where(DAYS < "2024-01-08", CLOSES, CLOSES / 2))})
    assert checked.ok
    lines = describe_check(checked, FilesMarketParameters())
    assert lines[-3:] == [
        "findings that are errors:",
        "  unexplained_move: AAA 2024-01-08 close moved -74.5% and no corporate action explains it",
        "can be read",
    ]
