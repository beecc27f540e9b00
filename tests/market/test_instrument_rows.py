"""Rows of a long table, by instrument."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.market import instrument_rows
from quant_pipeline.market.instrument_rows import (
    are_sorted_and_different,
    begins,
    begins_of_names,
    change_from_row_before,
    different_dates,
    first_dates,
    first_rows,
    first_rows_since,
    last_dates,
    number_instruments,
    repeated_names,
    sorted_by_instrument,
    take_names,
)

TABLE = pd.DataFrame({"instrument": pd.array(["BBB", "BBB", "AAA", "CCC", "CCC"], dtype="str")})


def test_rows_know_their_instrument_and_which_are_its_first():
    codes, names = number_instruments(TABLE)
    assert (codes.tolist(), names.tolist()) == ([0, 0, 1, 2, 2], ["BBB", "AAA", "CCC"])
    assert begins(codes).tolist() == [True, False, True, True, False]
    found = [first_rows(begins(codes), count) for count in (-1, 0, 1, 2, 9)]
    assert [each.row.tolist() for each in found] == [[], [], [0, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert [each.place.tolist() for each in found[2:]] == [[0, 0, 0], [0, 1, 0, 0, 1], [0, 1, 0, 0, 1]]


@pytest.mark.parametrize("kind", ["str", "object", "string", "category"])
def test_names_that_lie_apart_have_one_number_whatever_their_type(kind):
    names = pd.Series(["BBB", "AAA", "AAA", "BBB", "CCC"]).astype(kind)
    codes, found = number_instruments(pd.DataFrame({"instrument": names}))
    assert (codes.tolist(), list(found)) == ([0, 1, 1, 0, 2], ["BBB", "AAA", "CCC"])


@pytest.mark.parametrize("kind", ["str", "object", "string"])
@pytest.mark.parametrize(
    ("names", "begun"),
    [
        ([], []),
        (["A"], [True]),
        (["A", "A", "B", "A"], [True, False, True, True]),
        (["A", None, None, "A"], [True, True, True, True]),
    ],
)
def test_a_name_begins_where_the_row_before_has_another_or_none(kind, names, begun):
    assert begins_of_names(pd.Series(names, dtype=object).astype(kind)).tolist() == begun
    halves = [pd.Series(half, dtype=object).astype(kind) for half in (names[:2], names[2:])]
    assert begins_of_names(pd.concat(halves, ignore_index=True)).tolist() == begun


def test_names_from_several_tables_are_numbered_as_those_of_one():
    parts = [pd.DataFrame({"instrument": pd.array(names, dtype="str")}) for names in (["A", "A"], ["A", "B"], ["C"])]
    codes, names = number_instruments(pd.concat(parts, ignore_index=True))
    assert (codes.tolist(), names.tolist(), names.name) == ([0, 0, 0, 1, 2], ["A", "B", "C"], None)


def test_a_column_is_looked_through_once_until_it_changes():
    table = pd.DataFrame({"instrument": pd.array(["AAA", "AAA", "BBB"], dtype="str")})
    codes, _ = number_instruments(table)
    assert number_instruments(table.copy(deep=False).assign(close=1.0))[0] is codes
    with pytest.raises(ValueError, match="read-only"):
        codes[0] = 1
    other = table.copy(deep=False)
    other.loc[1, "instrument"] = "BBB"
    assert number_instruments(other)[0].tolist() == [0, 1, 1]
    assert number_instruments(table.iloc[1:])[0].tolist() == [0, 1]
    assert number_instruments(table)[0] is codes


def test_numbers_of_columns_that_are_gone_are_not_kept():
    kept = len(instrument_rows._numbered)
    table = pd.DataFrame({"instrument": pd.array(["AAA", "BBB"], dtype="str")})
    number_instruments(table)
    assert len(instrument_rows._numbered) == kept + 1
    del table
    assert len(instrument_rows._numbered) == kept


@pytest.mark.parametrize(
    "names",
    [
        ["BBB", "AAA", "BBB", None, "CCC", "AAA"],
        ["BBB", "BBB", "AAA", "CCC", "CCC", "CCC"],
        ["BBB", "BBB", None, None, "CCC", "CCC"],
        ["BBB", "BBB", "AAA", "AAA", "BBB", "BBB"],
    ],
)
def test_first_and_last_dates_are_those_of_groups_by_name(names):
    days = pd.to_datetime([f"2024-01-0{day}" for day in (5, 2, 3, 9, 4, 8)])
    table = pd.DataFrame({"instrument": pd.array(names, dtype="str"), "date": days})
    grouped = table.groupby("instrument", sort=True)["date"]
    pd.testing.assert_series_equal(first_dates(table), grouped.min())
    pd.testing.assert_series_equal(last_dates(table), grouped.max())
    counted = np.array([False, True, False, True, True, False])
    some = table["date"].where(counted).groupby(table["instrument"], sort=True).max()
    pd.testing.assert_series_equal(last_dates(table, counted), some)


def test_the_first_row_at_or_after_a_date_is_looked_for_among_those_of_its_instrument():
    days = np.array(["2024-01-02", "2024-01-05", "2024-01-05", "2024-01-03", "2024-01-08"], dtype="datetime64[ns]")
    since = np.array(["2024-01-05", "2024-01-06", "2024-01-01", "2024-01-09", "2024-01-05"], dtype="datetime64[ns]")
    begin, end = np.array([0, 0, 3, 3, 3]), np.array([3, 3, 5, 5, 3])
    assert first_rows_since(days, begin, end, since).tolist() == [1, 3, 3, 5, 3]


@pytest.mark.parametrize("kind", ["str", "object", "string", "category"])
def test_names_that_are_taken_by_their_numbers_are_numbered_as_any_others(kind):
    names = pd.Index(pd.Series(["AAA", "BBB", "CCC"]).astype(kind))
    taken = pd.DataFrame({"instrument": take_names(names, np.array([2, 0, 2, 0]))}, copy=False)
    assert (taken.dtypes["instrument"], list(taken["instrument"])) == (names.dtype, ["CCC", "AAA", "CCC", "AAA"])
    codes, found = number_instruments(taken)
    assert (codes.tolist(), list(found)) == ([0, 1, 0, 1], ["CCC", "AAA"])
    assert len(take_names(names, np.array([], dtype=np.int64))) == 0


def test_rows_are_in_order_where_names_and_then_dates_rise():
    days = pd.to_datetime(["2024-01-03", "2024-01-04", "2024-01-03"])
    rows = pd.DataFrame({"instrument": pd.array(["AAA", "AAA", "BBB"], dtype="str"), "date": days})
    assert are_sorted_and_different(rows)
    assert are_sorted_and_different(rows.head(0))
    for other in (rows.iloc[[1, 0, 2]], rows.iloc[[0, 0, 2]], rows.iloc[[2, 0, 1]], rows.iloc[[0, 2, 1]]):
        assert not are_sorted_and_different(other)


def test_a_change_never_reaches_over_to_another_instrument():
    change = change_from_row_before(np.array([2.0, 3.0, 9.0, 4.0, 1.0]), begins(number_instruments(TABLE)[0]))
    np.testing.assert_array_equal(change, [np.nan, 0.5, np.nan, np.nan, -0.75])


def test_a_table_without_rows_has_none_anywhere():
    codes, names = number_instruments(TABLE.head(0))
    assert [len(each) for each in (codes, names, begins(codes), first_rows(begins(codes), 2).row)] == [0, 0, 0, 0]
    dated = TABLE.head(0).assign(date=pd.to_datetime([]))
    assert [len(find(dated)) for find in (first_dates, last_dates, sorted_by_instrument)] == [0, 0, 0]
    assert len(change_from_row_before(np.empty(0), begins(codes))) == 0


def test_a_column_of_repeated_names_is_numbered_as_any_other():
    names, counts = ["BBB", "AAA", "BBB", "Ä"], np.array([2, 1, 2, 3])
    column = repeated_names(names, counts)
    pd.testing.assert_series_equal(column, pd.Series(np.repeat(names, counts), dtype="str"))
    codes, found = number_instruments(pd.DataFrame({"instrument": column}))
    expected, different = number_instruments(pd.DataFrame({"instrument": pd.Series(column.to_list(), dtype="str")}))
    assert codes.tolist() == expected.tolist()
    pd.testing.assert_index_equal(found, different)


@pytest.mark.parametrize(
    "dates",
    [
        pd.date_range("2024-01-01", periods=9),
        pd.date_range("1700-01-01", "1701-01-01"),
        pd.date_range("2024-01-01 09:30", periods=9),
        pd.date_range("2024-01-01", periods=9, freq="min"),
        pd.DatetimeIndex([]),
        pd.DatetimeIndex(["2024-01-01", None, "2024-01-03"]),
        pd.DatetimeIndex(["1677-09-22", "2262-04-11"]),
    ],
)
def test_each_date_stands_once_and_in_order(dates):
    drawn = np.random.default_rng(5).permutation(np.tile(dates.to_numpy(), 3))
    for unit in ("ns", "us"):
        rows = pd.DataFrame({"date": drawn.astype(f"datetime64[{unit}]")})
        assert np.array_equal(different_dates(rows), np.unique(drawn), equal_nan=True)
