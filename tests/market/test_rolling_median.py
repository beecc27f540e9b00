"""Whether the median of the last bars reaches a bound, as pandas' own median decides it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.market import rolling_median
from quant_pipeline.market.instrument_rows import begins
from quant_pipeline.market.rolling_median import has_median_of

VALUES = st.one_of(st.sampled_from([np.nan, 0.0, 1.0, 2.0, 3.0]), st.floats(0, 4))


def by_pandas(values, codes, window, least):
    medians = pd.Series(values).groupby(codes, sort=False).rolling(window, min_periods=1).median()
    return (medians.droplevel(0).sort_index() >= least).to_numpy()


@given(
    lists=st.lists(st.lists(VALUES, min_size=1, max_size=12), min_size=1, max_size=4),
    window=st.integers(1, 6),
    least=st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0]),
)
def test_medians_of_windows_reach_a_bound_where_those_of_pandas_do(lists, window, least):
    values = np.concatenate(lists)
    codes = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
    found = has_median_of(values, begins(codes), window, least)
    np.testing.assert_array_equal(found, by_pandas(values, codes, window, least))


@pytest.mark.parametrize(("values", "reaches"), [([1.0, 3.0], True), ([1.0, 2.9], False), ([np.nan], False)])
def test_two_middle_values_on_both_sides_of_the_bound_count_by_their_mean(values, reaches, monkeypatch):
    monkeypatch.setattr(rolling_median, "_AT_ONCE", 1)
    doubled = np.array(values * 2)
    codes = np.repeat([0, 1], len(values))
    found = has_median_of(doubled, begins(codes), 2, 2.0)
    assert found[[len(values) - 1, -1]].tolist() == [reaches, reaches]
