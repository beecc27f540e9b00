"""Rows of a market that is being read, looked at by blocks and by instruments."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common import row_blocks
from quant_pipeline.market.sources.files.draft import Draft, all_of, rows_where
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.market.sources.files.options import FilesMarketParameters

CASES = Path(__file__).parent / "cases"
VALUES = np.array([3.0, np.nan, -1.0, 0.0, 5.0, -2.0, 7.0])


@pytest.mark.parametrize("cores", [{0}, {0, 1}])
@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_a_test_holds_of_the_same_rows_in_blocks_of_any_size(monkeypatch, block, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores, raising=False)
    monkeypatch.setattr(row_blocks, "ROWS", block)
    assert rows_where(len(VALUES), lambda part: VALUES[part] > 0).tolist() == [
        True,
        False,
        False,
        False,
        True,
        False,
        True,
    ]
    assert rows_where(0, lambda part: VALUES[part] > 0).tolist() == []


def test_conditions_after_one_that_holds_nowhere_are_not_looked_at():
    asked = []
    conditions = (asked.append(limit) or limit < VALUES for limit in (0.0, 9.0, 1.0))
    assert not all_of(conditions).any()
    assert asked == [0.0, 9.0]


def test_a_row_goes_on_where_the_one_before_is_of_its_instrument():
    draft = Draft(pd.DataFrame({"instrument": pd.array(["AAA", "AAA", "BBB"], dtype="str")}), ["a.csv"])
    assert draft.goes_on().tolist() == [False, True, False]
    draft.drop(np.array([True, False, False]))
    assert draft.goes_on().tolist() == [False, False]


@pytest.mark.parametrize("on_problem", ["refuse", "leave_out"])
@pytest.mark.parametrize(
    "case",
    ["06_yf_split_not_applied", "09_null_rows", "28_weekly", "32_100x", "37_suspension_zero_prices", "41_inf_price"],
)
def test_a_folder_is_cleaned_alike_in_blocks_of_few_rows(monkeypatch, case, on_problem):
    options = FilesMarketParameters(on_problem=on_problem)
    at_once = observe(CASES / case, options)
    monkeypatch.setattr(row_blocks, "ROWS", 7)
    in_blocks = observe(CASES / case, options)
    assert in_blocks.problems == at_once.problems
    assert in_blocks.is_refused == at_once.is_refused
    pd.testing.assert_frame_equal(in_blocks.rows, at_once.rows, check_exact=True)
    pd.testing.assert_frame_equal(in_blocks.findings, at_once.findings, check_exact=True)
