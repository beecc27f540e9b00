"""Numbers as they are meant, and cells that no spreadsheet runs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quant_pipeline.reports.spreadsheet import as_it_was, csv_text, rounded, safe


def test_amounts_are_in_cents_prices_in_hundredths_of_a_cent_and_shares_whole():
    table = pd.DataFrame(
        {
            "instrument": ["A", "B"],
            "quantity": [10.0, 3.0],
            "price": [12.345678, 1 / 3],
            "cash": [-31572.000000000004, 0.1 + 0.2],
            "score": [0.3868616744894616, np.nan],
            "ratio": [1.0000000000000002, 123456.789012345],
        }
    )
    assert csv_text(table) == (
        "instrument,quantity,price,cash,score,ratio\nA,10,12.3457,-31572.0,0.386862,1.0\nB,3,0.3333,0.3,,123456.789\n"
    )


def test_a_small_price_is_not_rounded_away():
    assert csv_text(pd.DataFrame({"close": [0.00002345, 0.0371501, 0.5]})) == "close\n2.345e-05\n0.0371501\n0.5\n"


def test_fractions_of_shares_stay():
    assert rounded(pd.DataFrame({"quantity": [1.5, 2.0]}))["quantity"].tolist() == [1.5, 2.0]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20))
@example([1.7976931345000002e308])
def test_an_unnamed_number_keeps_ten_digits(numbers):
    values = np.array(numbers, dtype="float64")
    found = rounded(pd.DataFrame({"anything": values}))["anything"].to_numpy()
    np.testing.assert_allclose(found, values, rtol=6e-10, atol=1e-290)


@given(st.lists(st.text(max_size=8), max_size=10))
def test_texts_come_back_as_they_were(texts):
    table = pd.DataFrame({"message": pd.Series(texts, dtype="str")})
    assert as_it_was(safe(table))["message"].tolist() == texts


@pytest.mark.parametrize("kind", ["str", "string", "object", "category"])
def test_texts_that_repeat_are_all_made_safe_and_missing_ones_stay_missing(kind):
    texts = pd.Series(["AAPL", "=1+1", None, "-5", "=1+1", "AAPL"], dtype=kind)
    made = safe(pd.DataFrame({"instrument": texts}))["instrument"]
    assert made.astype("object").where(made.notna(), None).tolist() == ["AAPL", "'=1+1", None, "-5", "'=1+1", "AAPL"]
