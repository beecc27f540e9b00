import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.reports import wording


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (wording.percent, 0.1234, "12.3%"),
        (wording.percent, -0.1234, "\N{MINUS SIGN}12.3%"),
        (wording.percent, 31.638, "3,163.8%"),
        (wording.percent_exact, 0.00911, "0.91%"),
        (wording.percent_signed, 0.1, "+10.0%"),
        (wording.coefficient, 0.03312, "+0.0331"),
        (wording.coefficient, -0.03312, "\N{MINUS SIGN}0.0331"),
        (wording.ratio, 1.246, "1.25"),
        (wording.score, 0.974619, "0.9746"),
        (wording.amount, 1_912_475.28, "1,912,475"),
        (wording.amount_signed, 42_160.2, "+42,160"),
        (wording.price, 1_148.9, "1,148.90"),
        (wording.count, 0, "0"),
        (wording.count, 2_204, "2,204"),
        (wording.place, 4, "4"),
        (wording.day, pd.Timestamp("2024-12-31"), "2024-12-31"),
        (wording.long_day, pd.Timestamp("2025-01-02"), "Thursday 2 January 2025"),
    ],
)
def test_values_are_written_as_people_read_them(write, value, expected):
    assert write(value) == expected


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, pd.NaT])
def test_a_value_that_is_not_there_is_a_dash(value):
    for write in (wording.percent, wording.coefficient, wording.ratio, wording.amount, wording.price, wording.place):
        assert write(value) == wording.MISSING


def test_the_rank_of_an_instrument_without_score_is_a_dash():
    assert wording.place(0) == wording.MISSING


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-9, -1e-9])
def test_zero_has_no_sign(value):
    assert wording.percent_signed(value) == "0.0%"
    assert wording.amount_signed(value) == "0"


def test_one_thing_is_singular():
    assert [wording.plural(number, "sale") for number in (0, 1, 1_204)] == ["0 sales", "1 sale", "1,204 sales"]


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_a_written_price_reads_back_to_the_cent(value):
    read = float(wording.price(value).replace(",", "").replace("\N{MINUS SIGN}", "-"))
    assert read == pytest.approx(value, abs=0.005 + 1e-4)
