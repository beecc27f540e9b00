"""Feature sets are a library, own expressions, or both."""

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
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
    with pytest.raises(ValueError, match="needs a library, expressions or a file"):
        FeatureSet()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"file": "found"}, "`file` and `file_factors` belong together"),
        ({"library": "alpha158", "file_factors": ["a"]}, "`file` and `file_factors` belong together"),
        ({"file": "../../etc/passwd", "file_factors": ["a"]}, "should match pattern"),
        ({"file": "found", "file_factors": ["a", "a"]}, "names a factor twice"),
    ],
)
def test_a_file_is_a_name_with_the_factors_that_are_taken(entry, message):
    with pytest.raises(ValueError, match=message):
        FeatureSet.model_validate(entry)


@pytest.mark.parametrize("name", ["KMID", "$traded"])
def test_a_factor_of_a_file_takes_no_name_that_is_computed(name):
    with pytest.raises(ConfigurationError, match="have names of computed ones"):
        FeatureSet(library="alpha158", file="found", file_factors=[name]).all_expressions()


@pytest.mark.parametrize(("library", "sessions"), [("alpha101", 252), ("alpha158", 61), ("alpha360", 60)])
def test_the_compiled_library_knows_how_many_sessions_it_depends_on(library, sessions):
    assert compile_factors(LIBRARIES[library]).program.back + 1 == sessions


@pytest.mark.parametrize("entry", [{"library": "alpha158"}, {"expressions": {"mine": "Mean($close, 120)"}}])
def test_a_set_that_still_states_a_lookback_is_refused_with_the_remedy(entry):
    with pytest.raises(ValueError, match="`lookback` is computed from the expressions now; delete the key"):
        FeatureSet.model_validate({**entry, "lookback": 61})
