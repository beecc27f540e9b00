"""What the catalog checks of the market tables."""

import pandas as pd
import pytest
from pandera.errors import SchemaError

from quant_pipeline.market.schemas import BARS_SCHEMA

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31", "2025-01-02"]).as_unit("ns")


def bars(dates, names):
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return pd.DataFrame({"date": dates, "instrument": pd.array(names, dtype="str"), **prices})


def test_bars_in_any_order_have_one_row_a_session():
    for rows in (bars(DAYS, ["AAA"] * 3), bars(DAYS[[1, 0, 1]], ["AAA", "BBB", "BBB"]), bars(DAYS[:0], [])):
        pd.testing.assert_frame_equal(BARS_SCHEMA.validate(rows), rows)


@pytest.mark.parametrize("order", [[0, 1, 1], [1, 0, 1]])
def test_a_session_with_two_bars_of_an_instrument_is_refused(order):
    with pytest.raises(SchemaError, match="a session has one bar of an instrument"):
        BARS_SCHEMA.validate(bars(DAYS[order], ["AAA"] * 3))
