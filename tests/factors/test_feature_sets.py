"""Feature sets are a library, own expressions, or both."""

import pytest

from quant_pipeline.exceptions import ConfigurationError
from quant_pipeline.factors.engine import compile_factors
from quant_pipeline.factors.feature_sets import LIBRARIES, FeatureSet


def test_own_factors_join_the_library():
    both = FeatureSet(library="alpha158", expressions={"mine": "$close/$open"})
    assert len(both.all_expressions()) == 159
    assert both.all_expressions()["mine"] == "$close/$open"


def test_a_name_that_the_library_uses_is_refused():
    with pytest.raises(ConfigurationError, match="KMID"):
        FeatureSet(library="alpha158", expressions={"KMID": "$close"}).all_expressions()


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="needs a library, expressions, or both"):
        FeatureSet()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_looks_back_as_far_as_its_longest_factor(library):
    assert FeatureSet(library=library).lookback == compile_factors(LIBRARIES[library]).program.back + 1
    assert FeatureSet(library=library, lookback=300).lookback == 300
