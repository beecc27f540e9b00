"""What the catalog checks of the market tables."""

import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.errors import SchemaError, SchemaErrors

from quant_pipeline.market.schemas import BARS_SCHEMA

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31", "2025-01-02"]).as_unit("ns")


def bars(dates, names):
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return pd.DataFrame({"date": dates, "instrument": pd.array(names, dtype="str"), **prices})


def test_bars_in_any_order_have_one_row_a_session():
    for rows in (bars(DAYS, ["AAA"] * 3), bars(DAYS[[1, 0, 1]], ["AAA", "BBB", "BBB"]), bars(DAYS[:0], [])):
        pd.testing.assert_frame_equal(BARS_SCHEMA.validate(rows), rows)


@pytest.mark.parametrize("order", [[0, 1, 1], [1, 0, 1]])
def test_two_bars_of_a_session_are_named_as_two_rows_of_any_table(order):
    rows = bars(DAYS[order], ["AAA"] * 3)
    with pytest.raises(SchemaError, match=r"columns '\('date', 'instrument'\)' not unique") as refused:
        BARS_SCHEMA.validate(rows)
    for place in rows.index[rows["date"] == DAYS[1]]:
        assert f"\n{place} 2024-12-31" in str(refused.value)


ODD_TABLES = {
    "two bars of a session": bars(DAYS[[0, 1, 1]], ["AAA"] * 3),
    "a price below zero": bars(DAYS, ["AAA"] * 3).assign(close=[1.0, -1.0, 1.0]),
    "no dates": bars(DAYS, ["AAA"] * 3).drop(columns="date"),
    "dates as texts": bars(DAYS.astype("str"), ["AAA"] * 3),
    "no date": bars(DAYS[:2].append(pd.DatetimeIndex([None])), ["AAA"] * 3),
    "instruments of two kinds": bars(DAYS, ["AAA"] * 3).assign(instrument=["AAA", 1, None]),
    "another column": bars(DAYS, ["AAA"] * 3).assign(more=1.0),
}


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("table", ODD_TABLES.values(), ids=ODD_TABLES)
def test_a_large_table_is_refused_in_the_words_of_a_small_one(table, is_lazy):
    small = pa.DataFrameSchema(BARS_SCHEMA.columns, strict=True, unique=["date", "instrument"], name="bars")
    said = []
    for schema in (small, BARS_SCHEMA):
        with pytest.raises((SchemaError, SchemaErrors)) as refused:
            schema.validate(table, lazy=is_lazy)
        said.append((type(refused.value), str(refused.value), refused.value.failure_cases))
    assert said[0][:2] == said[1][:2]
    assert repr(said[0][2]) == repr(said[1][2])
