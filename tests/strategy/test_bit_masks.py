import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.strategy.bit_masks import bits_of, lowest_bit

both = pytest.mark.parametrize("kind", ["compiled", "plain"])


def of_kind(kernel, kind):
    return kernel if kind == "compiled" else getattr(kernel, "py_func", kernel)


@both
@settings(deadline=None)
@given(flags=st.lists(st.booleans(), min_size=8, max_size=8))
def test_eight_flags_become_eight_bits_the_first_one_lowest(kind, flags):
    word = np.array(flags, dtype=np.uint8).view(np.uint64)[0]
    with np.errstate(over="ignore"):
        assert int(of_kind(bits_of, kind)(word)) == sum(1 << index for index, flag in enumerate(flags) if flag)


@both
@settings(deadline=None)
@given(mask=st.integers(1, 2**64 - 1))
def test_lowest_bit_is_that_of_the_integer(kind, mask):
    with np.errstate(over="ignore"):
        assert of_kind(lowest_bit, kind)(np.uint64(mask)) == (mask & -mask).bit_length() - 1
