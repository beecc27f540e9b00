"""What the page draws, on literal values."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.reports import wording
from quant_pipeline.service.page.drawing import Line, bar, chart, instant, span, state
from quant_pipeline.service.page.panes.now import age_of_market


@pytest.mark.parametrize(
    ("clock", "value", "as_of", "tone"),
    [
        # Friday's close is 21:00 UTC; until Monday's nothing newer has closed.
        ("2025-01-03 20:59", "up to 2025-01-02", "the newest session that has closed", "good"),
        ("2025-01-03 21:00", "stale since 2025-01-02", "1 session behind; 2025-01-03 has closed", "bad"),
        ("2025-01-06 20:00", "stale since 2025-01-02", "1 session behind; 2025-01-03 has closed", "bad"),
        # 9 January 2025 was a day of mourning.
        ("2025-01-10 12:00", "stale since 2025-01-02", "4 sessions behind; 2025-01-08 has closed", "bad"),
    ],
)
def test_market_data_are_stale_from_the_close_on_that_they_do_not_have(clock, value, as_of, tone):
    found = age_of_market(pd.Timestamp("2025-01-02"), "XNYS", pd.Timestamp(clock, tz="UTC"))
    assert found == ("Market data", value, as_of, tone)


def test_a_state_has_a_word_and_a_sign_beside_its_colour():
    assert state("halted") == '<span class="state bad"><b aria-hidden="true">■</b> halted</span>'
    assert "◐</b> partially filled<" in state("partially_filled")
    assert "✓</b> approved for 30<" in state("approved for 30")
    assert "run_me</span>" in state("unknown run_me")
    assert "<script>" not in state("<script>")


def test_a_limit_that_is_exceeded_says_so_in_words():
    assert "over" not in bar(0.10, 0.10, "10.0%")
    assert bar(0.101, 0.10, "10.1%").endswith("10.1% over")
    assert 'width="50.0"' in bar(0.05, 0.10, "5.0%")
    assert bar(np.nan, 0.10, "") == wording.MISSING


def test_lines_of_a_chart_differ_by_colour_and_dash_and_are_named_with_their_last_value():
    days = pd.date_range("2025-01-01", periods=3)
    drawn = chart("c", "Growth", [Line("a", pd.Series([1, 2, 3], days)), Line("b", pd.Series([2.0], days[1:2]))], str)
    assert 'aria-label="Growth: a 3.0, b 2.0 on 2025-01-02"' in drawn
    assert '<polyline class="line n0"' in drawn
    assert '<circle class="dot n1"' in drawn
    assert chart("c", "Growth", [Line("a", pd.Series([], dtype=float))], str) == ""


def test_times_are_written_in_utc_and_spans_in_two_units():
    assert instant("2025-03-04T16:00:00+01:00") == "2025-03-04 15:00:00 UTC"
    assert [span(seconds) for seconds in (30, 90, 7_260, 90_000)] == [
        "less than a minute",
        "1 min",
        "2 h 1 min",
        "1 d 1 h",
    ]
