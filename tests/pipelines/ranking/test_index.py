"""The index of a ranking: literal values, and what holds for every cross-section."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.pipelines.ranking.index import minmax_index, rank_index

SCORES = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40).map(
    lambda values: pd.Series(values, dtype="float64")
)


def test_four_scores_with_a_tie_by_hand():
    scores = pd.Series({"A": 0.3, "B": 0.1, "C": 0.1, "D": -2.0, "E": np.nan})
    assert rank_index(scores).dropna().to_dict() == {"A": 75.0, "B": 0.0, "C": 0.0, "D": -75.0}
    assert minmax_index(scores).dropna().to_dict() == pytest.approx(
        {"A": 100.0, "B": 82.608696, "C": 82.608696, "D": -100.0}
    )


def test_one_name_and_equal_scores_are_in_the_middle_and_missing_ones_have_no_index():
    for index in (rank_index, minmax_index):
        assert index(pd.Series([3.0])).tolist() == [0.0]
        assert index(pd.Series([2.0, 2.0, 2.0])).tolist() == [0.0] * 3
        assert index(pd.Series([np.nan, np.nan])).isna().all()


@given(SCORES)
def test_the_index_of_ranks_is_monotone_antisymmetric_and_sums_to_zero(scores):
    index = rank_index(scores)
    assert index.isna().equals(scores.isna())
    assert index.sum() == pytest.approx(0.0, abs=1e-9)
    assert index.abs().max() < 100.0 or index.isna().all()
    pd.testing.assert_series_equal(rank_index(-scores), -index)
    ordered = index[scores.sort_values().dropna().index]
    assert (ordered.diff().dropna() >= 0).all()


@given(SCORES)
def test_an_increasing_transform_changes_nothing(scores):
    # Ranks have no two values that rounding could make equal, as `exp` of the scores would.
    pd.testing.assert_series_equal(rank_index(scores.rank() ** 3), rank_index(scores))


def test_minmax_survives_the_largest_numbers():
    assert minmax_index(pd.Series([-1.7e308, 0.0, 1.7e308])).tolist() == [-100.0, 0.0, 100.0]
