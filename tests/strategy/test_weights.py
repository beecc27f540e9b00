import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.strategy.weights import cap_weights


def capped(weights, largest):
    array = np.array(weights, dtype=np.float64)
    cap_weights(array, len(array), largest)
    return array


def test_weights_are_scaled_to_one():
    assert capped([2, 1, 1], 1.0).tolist() == [0.5, 0.25, 0.25]


def test_what_the_cap_cuts_goes_to_the_others_in_proportion():
    np.testing.assert_allclose(capped([6, 3, 1], 0.5), [0.5, 0.375, 0.125])


def test_a_weight_that_the_cut_lifts_over_the_cap_is_cut_too():
    # 0.6, 0.3, 0.1 capped at 0.4: the first loses 0.2, which would lift the second to 0.45; 0.2 is left for the third.
    np.testing.assert_allclose(capped([6, 3, 1], 0.4), [0.4, 0.4, 0.2])


def test_with_everything_at_the_cap_the_rest_stays_cash():
    assert capped([1, 1, 1], 0.25).tolist() == [0.25, 0.25, 0.25]


def test_no_preference_is_no_weight():
    assert capped([0, 0], 0.5).tolist() == [0, 0]


@given(
    st.lists(st.floats(0.001, 1000), min_size=1, max_size=30),
    st.floats(0.01, 1.0),
)
def test_capped_weights_sum_to_one_or_are_all_at_the_cap_and_keep_their_order(weights, largest):
    result = capped(weights, largest)
    assert result.max() <= largest * (1 + 1e-12)
    assert result.sum() == pytest.approx(min(1.0, largest * len(weights)))
    order = np.argsort(weights, kind="stable")
    assert (np.diff(result[order]) >= -1e-12).all()
