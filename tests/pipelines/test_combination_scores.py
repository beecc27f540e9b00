"""Scores of each combination out of one table of all of them."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.pipelines.backtest import combination_scores
from quant_pipeline.pipelines.backtest.combination_scores import CombinationScores

KEYS = ["datetime", "instrument"]


@pytest.fixture
def fused():
    """Three combinations of four sessions, of which ``c`` lacks a row."""
    random = np.random.default_rng(4)
    days = pd.bdate_range("2024-01-02", periods=4)
    rows = pd.DataFrame([(day, name) for day in days for name in "PQRS"], columns=KEYS).astype({"instrument": "str"})
    parts = [
        rows.iloc[: len(rows) - lacking].assign(combination=name)
        for name, lacking in zip("abc", (0, 0, 1), strict=True)
    ]
    table = pd.concat(parts, ignore_index=True).astype({"combination": "str"})
    return table.assign(score=random.normal(size=len(table)))


@pytest.fixture
def labels(fused):
    index = pd.MultiIndex.from_frame(fused[KEYS].drop_duplicates())
    return pd.Series(np.random.default_rng(5).normal(size=len(index)), index=index)


def rows_of(table, name):
    return table.loc[table["combination"] == name]


@pytest.mark.parametrize("kind", ["str", "object", "category"])
@pytest.mark.parametrize("order", ["by combination", "by session"])
@pytest.mark.parametrize("rows_at_once", [1, 7, 2**16])
def test_each_combination_has_its_own_rows(fused, labels, monkeypatch, kind, order, rows_at_once):
    monkeypatch.setattr(combination_scores, "ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr(combination_scores, "BLOCKS_AT_ONCE", 2)
    table = fused if order == "by combination" else fused.sort_values("datetime", kind="stable")
    table = table.astype({"combination": kind})
    combinations = CombinationScores(table, labels)
    for name in "abc":
        expected = rows_of(table, name)
        pd.testing.assert_frame_equal(combinations.table(name), expected)
        scores = combinations.scores(name)
        pd.testing.assert_series_equal(scores, expected.set_index(KEYS)["score"])
        pd.testing.assert_frame_equal(
            combinations.labelled(scores).coefficients(scores), information_coefficients(scores, labels)
        )
    assert combinations.table("d").empty


def test_combinations_of_the_same_rows_share_an_index(fused, labels):
    combinations = CombinationScores(fused, labels)
    first, second, third = (combinations.scores(name) for name in "abc")
    assert first.index is second.index
    assert combinations.labelled(first) is combinations.labelled(second)
    assert len(third) == len(first) - 1


def test_rows_without_a_date_are_the_same_in_combinations_that_have_no_date_there(fused, labels):
    undated = fused.copy()
    undated.loc[rows_of(fused, "a").index[2], "datetime"] = pd.NaT
    undated.loc[rows_of(fused, "b").index[2], "datetime"] = pd.NaT
    combinations = CombinationScores(undated, labels)
    first, second = (combinations.scores(name) for name in "ab")
    assert first.index is second.index
    assert first.index.codes[0][2] == -1
    pd.testing.assert_series_equal(second, rows_of(undated, "b").set_index(KEYS)["score"])


def test_a_row_of_no_combination_belongs_to_none(fused, labels):
    nameless = fused.copy()
    nameless.loc[[3, 4, 20], "combination"] = None
    combinations = CombinationScores(nameless, labels)
    for name in "abc":
        pd.testing.assert_frame_equal(combinations.table(name), rows_of(nameless, name))


def test_a_table_without_rows_has_no_scores(fused, labels):
    combinations = CombinationScores(fused.iloc[:0], labels)
    combinations.prepare()
    assert combinations.scores("a").empty
