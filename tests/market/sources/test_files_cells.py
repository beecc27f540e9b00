"""Cells of market files as numbers, splits and dates, by literal values."""

import datetime

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.market.sources.files.dates import read_dates
from quant_pipeline.market.sources.files.numbers import decimal_mark, read_numbers, read_splits


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1361.3", 1361.3), ("$1,361.30", 1361.3), ("2.33M", 2_330_000.0), ("0.25 USD", 0.25),
        ("3,491,602", 3_491_602.0), ("1.5K", 1500.0), ("€ 12.5", 12.5), ("(1.5)", -1.5), ("1e5", 100_000.0),
        ("1.2万", 12_000.0), ("3 491 602", 3_491_602.0),
    ],
)  # fmt: skip
def test_a_number_is_read_as_vendors_write_it(text, number):
    read = read_numbers(pd.Series([text]))
    assert (read.values[0], read.unreadable[0]) == (number, False)


@pytest.mark.parametrize("text", ["abc", "inf", "1e400", "--5", "12.3.4", "1,2,3", "0x1F", "5%", "1 2", "true"])
def test_what_is_no_number_is_marked(text):
    read = read_numbers(pd.Series([text]))
    assert read.unreadable[0]
    assert np.isnan(read.values[0])


@pytest.mark.parametrize("text", ["", "NaN", "null", "-", "N/A", "None"])
def test_what_is_missing_is_no_fault_of_a_number(text):
    assert not read_numbers(pd.Series([text])).unreadable[0]


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("2:1", 2.0), ("4/1", 4.0), ("3-for-2", 1.5), ("1:190", 1 / 190), ("7.0", 7.0), ("0", 1.0), ("", 1.0)],
)
def test_a_split_is_read_as_vendors_write_it(text, ratio):
    assert read_splits(pd.Series([text])).values[0] == ratio


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["30.2057", "1,234"], "."), (["1,361.30"], "."), (["30,2057"], ","), (["1.361,30"], ","), (["1234"], "."),
        (["1,361"], None), (["30,2057", "30.2057"], None),
    ],
)  # fmt: skip
def test_the_decimal_mark_is_decided_over_all_numbers(texts, mark):
    assert decimal_mark([pd.Series(texts)]) == mark


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-02", "2024-03-28"], ["20240102", "20240328"], ["02/01/2024", "28/03/2024"],
        ["01/02/2024", "03/28/2024"], ["02.01.2024", "28.03.2024"],
        ["Jan 2, 2024", "Mar 28, 2024"], ["02-Jan-24", "28-Mar-24"],
        ["2024/1/2", "2024/3/28"],
        ["2024年1月2日", "2024年3月28日"], ["2024-01-02T00:00:00.000Z", "2024-03-28T00:00:00.000Z"],
        ["2024-01-02 00:00:00-05:00", "2024-03-28 00:00:00-04:00"], ["1704153600", "1711584000"],
        ["1704153600000", "1711584000000"], [1704153600000000, 1711584000000000], [19724, 19810], [45293, 45379],
        [20240102.0, 20240328.0], pd.to_datetime(["2024-01-02", "2024-03-28"]),
    ],
)  # fmt: skip
def test_a_column_of_dates_is_read_whatever_its_kind(texts):
    dates = read_dates(pd.Series(texts))
    assert dates.kind == "date"
    assert dates.values.astype("datetime64[D]").astype(str).tolist() == ["2024-01-02", "2024-03-28"]


@pytest.mark.parametrize(
    ("texts", "date_format"),
    [
        (["2024-01-02 -0500", "2024-07-02 -0400"], "%Y-%m-%d %z"),
        (["02.01.2024 00:00 -05:00", "02.07.2024 00:00 -04:00"], "%d.%m.%Y %H:%M %z"),
        (["2024-01-02 Z", "2024-07-02 +01:00"], "%Y-%m-%d %z"),
        (["2024-01-02 00:00:00Z", "2024-07-02 00:00:00Z"], "%Y-%m-%d %H:%M:%S%z"),
    ],
)
def test_days_of_a_zone_with_summer_time_are_those_that_are_written(texts, date_format):
    dates = read_dates(pd.Series([*texts, "soon", texts[0]]), date_format)
    assert dates.kind == "date"
    assert dates.unreadable.tolist() == [False, False, True, False]
    found = dates.values.astype("datetime64[D]").astype(str).tolist()
    assert found == ["2024-01-02", "2024-07-02", "NaT", "2024-01-02"]


@pytest.mark.parametrize("date_format", [None, "%Y-%m-%d %H:%M:%S%z"])
def test_moments_of_a_zone_are_instants_with_a_format_as_without(date_format):
    texts = ["2024-01-02 09:30:00-0500", "2024-07-02 09:30:00-0400", "2024-07-02 13:31:00+0000"]
    dates = read_dates(pd.Series(texts), date_format)
    assert dates.kind == "instant"
    found = dates.values.astype("datetime64[m]").astype(str).tolist()
    assert found == ["2024-01-02T14:30", "2024-07-02T13:30", "2024-07-02T13:31"]


FAR = datetime.datetime(9999, 12, 31)
NEAR = datetime.datetime(2024, 1, 2)


@pytest.mark.parametrize(
    ("cells", "date_format"),
    [
        (["9999-03-05", "2024-01-02", "2024-01-02"], None),
        (["2600-01-02", "2024-01-02", "2024-01-02"], None),
        (["1600-01-01", "2024-01-02", "2024-01-02"], None),
        (["0000-03-05", "2024-01-02", "2024-01-02"], None),
        (["99990305", "20240102", "20240102"], None),
        ([99990305, 20240102, 20240102], None),
        (["9999999999999999999", "20240102", "20240102"], None),
        (["05.03.9999", "02.01.2024", "02.01.2024"], "%d.%m.%Y"),
        ([FAR.date(), NEAR.date(), NEAR.date()], None),
        (pd.Series([FAR, NEAR, NEAR], dtype=object), None),
        (pd.Series([FAR, NEAR, NEAR], dtype="datetime64[us]"), None),
        (pd.Series([FAR, NEAR, NEAR], dtype="datetime64[us]").dt.tz_localize("UTC"), None),
        (pd.Series([FAR.date(), NEAR.date(), NEAR.date()], dtype="date32[pyarrow]"), None),
    ],
)
def test_a_date_beyond_the_reach_of_nanoseconds_is_no_date_and_becomes_no_other_one(cells, date_format):
    dates = read_dates(pd.Series(cells), date_format)
    assert dates.kind == "date"
    assert dates.unreadable.tolist() == [True, False, False]
    assert dates.values.astype("datetime64[D]").astype(str).tolist() == ["NaT", "2024-01-02", "2024-01-02"]


@pytest.mark.parametrize(
    "cells",
    [
        pd.Series(["2024-01-02", None, "2024-03-28"], dtype="str"),
        pd.Series(["2024-01-02", None, "2024-03-28"], dtype="category"),
        pd.Series(["02.01.2024", np.nan, "28.03.2024"], dtype=object),
        pd.Series(["20240102", None, "20240328"], dtype="str"),
        pd.Series([NEAR.date(), None, datetime.date(2024, 3, 28)], dtype=object),
        pd.Series([NEAR, pd.NaT, datetime.datetime(2024, 3, 28)]),
        pd.Series([20240102.0, np.inf, 20240328.0]),
        pd.Series([20240102.0, np.nan, 20240328.0]),
    ],
)
def test_a_missing_date_is_none_and_not_that_of_another_row(cells):
    dates = read_dates(cells)
    assert dates.unreadable.tolist() == [False, True, False]
    assert dates.values.astype("datetime64[D]").astype(str).tolist() == ["2024-01-02", "NaT", "2024-03-28"]
    assert read_dates(cells.iloc[[1, 1]]).unreadable.all()
