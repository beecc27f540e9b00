"""Weightings of the user's own, by dotted path."""

import sys
from types import ModuleType

import pandas as pd
import pytest
from pydantic import ValidationError

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.pipelines.ensemble.parameters import Combination
from quant_pipeline.pipelines.ensemble.weighting_formulas import dynamic_weights, rank_coefficients
from quant_pipeline.pipelines.ensemble.weighting_registry import MemberWeighting, weigh_members
from tests.helpers.two_members import DAYS, DYNAMIC, LONG, informed

REALISED = pd.DataFrame({"a": [0.1, 0.1, 0.1, 0.9], "b": [0.2, 0.2, 0.2, -0.1]}, index=DAYS[:4])


def favour_the_newest(coefficients, combination):
    newest = coefficients.iloc[-combination.options.sessions :].mean().clip(lower=0.0)
    return newest / newest.sum()


class NewestOptions(Parameters):
    sessions: int = 1


seen = []


def watch(coefficients, combination):
    seen.append((coefficients.index.min(), coefficients.index.max()))
    return pd.Series(0.5, index=coefficients.columns)


WATCHED = MemberWeighting(watch, sees="latest")
OWN = MemberWeighting(favour_the_newest, sees="latest", options=NewestOptions)
NEGATIVE = MemberWeighting(lambda coefficients, _: pd.Series({"a": 1.5, "b": -0.5}), sees="latest")
INCOMPLETE = MemberWeighting(lambda coefficients, _: pd.Series({"a": 1.0}), sees="latest")


@pytest.fixture
def own_weightings(monkeypatch):
    module = ModuleType("own_weightings")
    vars(module).update(OWN=OWN, WATCHED=WATCHED, NEGATIVE=NEGATIVE, INCOMPLETE=INCOMPLETE)
    monkeypatch.setitem(sys.modules, "own_weightings", module)


def own(name="OWN", **more):
    return Combination(models=["a", "b"], member_weights=f"own_weightings.{name}", **more)


@pytest.mark.usefixtures("own_weightings")
def test_a_weighting_from_outside_has_options_and_is_shrunk():
    assert weigh_members(REALISED, own()).to_dict() == {"a": 1.0, "b": 0.0}
    assert weigh_members(REALISED, own(shrinkage=1.0)).to_dict() == {"a": 0.5, "b": 0.5}
    whole = weigh_members(REALISED, own(options={"sessions": 3}))
    assert whole.to_dict() == pytest.approx({"a": 11 / 14, "b": 3 / 14})


@pytest.mark.usefixtures("own_weightings")
def test_a_weighting_from_outside_sees_the_realised_sessions_of_the_window_only():
    seen.clear()
    labels, members = informed(LONG, 0.5, seed=1)
    combination = DYNAMIC.model_copy(update={"member_weights": "own_weightings.WATCHED"})
    dynamic_weights(rank_coefficients(members, labels), LONG, LONG[60:], 2, combination)
    assert seen == [(LONG[first - 41], LONG[first - 2]) for first in range(60, 200, 10)]


@pytest.mark.usefixtures("own_weightings")
@pytest.mark.parametrize(("name", "words"), [("NEGATIVE", "not negative, with a sum of one"), ("INCOMPLETE", "'b'")])
def test_weights_that_cannot_be_used_are_refused(name, words):
    with pytest.raises(ModelError, match=words):
        weigh_members(REALISED, own(name))


@pytest.mark.usefixtures("own_weightings")
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"member_weights": "icri"}, "Did you mean 'icir'"),
        ({"member_weights": "own_weightings.OWN", "options": {"session": 3}}, r"options\.session"),
        ({"member_weights": "equal", "options": {"sessions": 3}}, r"options\.sessions"),
        ({"weights": "icir"}, "'weights' is called 'member_weights' now"),
    ],
)
def test_a_weighting_that_cannot_be_read_names_its_key(entry, words):
    with pytest.raises(ValidationError, match=words):
        Combination.model_validate({"models": ["a", "b"], **entry})
