"""Every check finds what it is for, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.market.quality import BY_EFFECT, QualityParameters, check_bars, order_by_effect
from quant_pipeline.market.sources.files.layouts import LAYOUTS

SESSIONS = pd.bdate_range("2020-01-06", periods=15, unit="ns")
NO_ACTIONS = pd.DataFrame(
    {
        "date": pd.Series(dtype="datetime64[ns]"),
        "instrument": pd.Series(dtype="str"),
        "kind": pd.Series(dtype="str"),
        "value": pd.Series(dtype=float),
    }
)


@pytest.fixture
def bars():
    close = 10.0 + np.arange(15) * 0.1
    return pd.DataFrame(
        {
            "date": SESSIONS,
            "instrument": pd.array(["AAA"] * 15, dtype="str"),
            "open": close,
            "high": close + 0.05,
            "low": close - 0.05,
            "close": close,
            "volume": 100.0,
        }
    )


def checks(bars, actions=NO_ACTIONS, **parameters):
    table = check_bars(bars, actions, SESSIONS, QualityParameters(**parameters))
    return table[["check", "date"]].to_numpy().tolist(), table


def test_findings_are_ordered_by_what_they_do_to_returns():
    rows = [
        ("AAA", "2024-01-02", "zero_volume", "warning", 0.0), ("BBB", "2024-01-03", "gap", "warning", 4.0),
        ("CCC", "2024-01-04", "unexplained_move", "error", -0.75),
        ("DDD", "2024-01-05", "unexplained_move", "error", 99.0),
        ("", None, "file_left_out", "warning", np.nan),
    ]  # fmt: skip
    columns = ["instrument", "date", "check", "severity", "value"]
    findings = pd.DataFrame(rows, columns=columns).assign(detail="", date=lambda table: pd.to_datetime(table["date"]))
    assert order_by_effect(findings)["instrument"].tolist() == ["DDD", "CCC", "", "BBB", "AAA"]


def test_a_move_of_half_the_price_is_an_error_and_less_a_warning():
    sessions = pd.bdate_range("2024-01-02", periods=3)
    table = {"open": 1.0, "high": 9.0, "low": 0.1, "close": [2.0, 1.0, 0.55], "volume": 5.0}
    bars = pd.DataFrame({"date": sessions, "instrument": "AAA"} | table)
    found = check_bars(bars, NO_ACTIONS, sessions, QualityParameters())
    moves = found[found["check"] == "unexplained_move"]
    assert moves["severity"].tolist() == ["error", "warning"]


def test_sound_bars_give_an_empty_table(bars):
    found, table = checks(bars)
    assert found == []
    assert table.columns.tolist() == ["instrument", "date", "check", "severity", "value", "detail"]


def test_a_close_above_the_high_is_inconsistent(bars):
    bars.loc[3, "high"] = 9.0
    assert checks(bars)[0] == [["bar_consistency", SESSIONS[3]]]


def test_a_gap_is_counted_in_sessions(bars):
    found, table = checks(bars.drop(index=[4, 5]))
    assert found == [["gap", SESSIONS[6]]]
    assert table["value"].tolist() == [2.0]


def test_a_doubled_session_and_a_day_without_trading_are_errors(bars):
    doubled = pd.concat([bars, bars.iloc[[2]]]).sort_values("date", kind="stable", ignore_index=True)
    assert [check for check, _ in checks(doubled)[0]][:1] == ["duplicate"]
    bars.loc[14, "date"] = pd.Timestamp("2020-01-25")
    assert ["no_session", pd.Timestamp("2020-01-25")] in checks(bars)[0]


def test_zero_volume_is_a_warning(bars):
    bars.loc[7, "volume"] = 0.0
    found, table = checks(bars)
    assert found == [["zero_volume", SESSIONS[7]]]
    assert table["severity"].tolist() == ["warning"]


def test_a_jump_is_explained_by_a_split_and_by_nothing_else(bars):
    columns = ["open", "high", "low", "close"]
    bars.loc[8:, columns] /= 4
    assert checks(bars)[0] == [["unexplained_move", SESSIONS[8]]]
    split = pd.DataFrame({"date": [SESSIONS[8]], "instrument": ["AAA"], "kind": ["split"], "value": [4.0]})
    assert checks(bars, split)[0] == []


def test_a_price_that_stands_still_is_stale(bars):
    bars.loc[2:9, "close"] = 10.2
    bars[["open", "high", "low"]] = np.column_stack([bars["close"], bars["close"] + 0.05, bars["close"] - 0.05])
    assert checks(bars, max_constant_sessions=7)[0] == [["constant_price", SESSIONS[2]]]
    assert checks(bars, max_constant_sessions=8)[0] == []


def test_a_vendor_that_forgot_a_dividend_is_named_with_the_day(bars):
    bars["vendor_adjusted_close"] = bars["close"]
    dividend = pd.DataFrame({"date": [SESSIONS[5]], "instrument": ["AAA"], "kind": ["cash_dividend"], "value": [0.5]})
    found, table = checks(bars, dividend)
    assert found == [["vendor_adjustment", SESSIONS[5]]]
    assert "2020-01-13" in table["detail"].iloc[0]


def test_bars_that_stop_are_found_unless_a_delisting_says_why(bars):
    other = bars.assign(instrument="BBB")
    both = pd.concat([bars[bars["date"] <= SESSIONS[4]], other], ignore_index=True)
    silent = len(SESSIONS) - 5
    found, table = checks(both, max_silent_sessions=silent - 1)
    assert found == [["ended", SESSIONS[4]]]
    assert table["instrument"].tolist() == ["AAA"]
    assert table["severity"].tolist() == ["warning"]
    assert checks(both, max_silent_sessions=silent)[0] == []
    delisted = pd.DataFrame({"date": [SESSIONS[5]], "instrument": ["AAA"], "kind": ["delisting"], "value": [4.0]})
    assert checks(both, delisted, max_silent_sessions=1)[0] == []


def test_every_check_and_every_layout_stands_in_its_guide():
    guides = Path(__file__).resolve().parents[2] / "docs" / "guides"
    listed, layouts = ((guides / name).read_text() for name in ("ingestion.md", "your-own-data.md"))
    assert [check for check in BY_EFFECT if f"`{check}`" not in listed] == []
    assert [name for name in LAYOUTS if f"`{name}`" not in layouts and not name.endswith("_numbered")] == []
