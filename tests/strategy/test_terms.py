from typing import get_args

import pandas as pd
import pytest
from pydantic import ValidationError

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.position_weights import SHIPPED, find_weighting
from quant_pipeline.strategy.rebalance import rebalance
from quant_pipeline.strategy.rules import Method, StrategyRules
from quant_pipeline.strategy.terms import BY_PREFERENCE, BY_SCORE, METHODS, strategy_terms

TARGETS = StrategyRules(method="target_weights", topk=2)


def test_every_method_has_a_number():
    assert set(METHODS) == set(get_args(Method))


@pytest.mark.parametrize(
    ("weighting", "number"), [("equal", BY_PREFERENCE), ("score", BY_SCORE), ("inverse_volatility", BY_PREFERENCE)]
)
def test_weighting_becomes_the_number_of_the_kernels(weighting, number):
    rules = TARGETS.model_copy(update={"position_weights": weighting})
    assert strategy_terms(rules, MarketRules(), pd.Index([])).weighting == number


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        ({"position_weights": "min_variance"}, "there is no weighting of positions 'min_variance'"),
        ({"method": "minimum_variance"}, "Unknown strategy.method .*Use one of"),
    ],
)
def test_unknown_weighting_or_method_is_refused_and_never_equal_weights(unknown, words):
    """`model_copy` does not validate, as a new literal without a kernel would not be."""
    rules = TARGETS.model_copy(update=unknown)
    scores, prices = pd.Series({"A": 0.2, "B": 0.9}), pd.Series({"A": 10.0, "B": 20.0})
    nothing = pd.DataFrame({"quantity": [], "sessions_held": []}, index=pd.Index([], dtype=str))
    with pytest.raises(QuantPipelineError, match=words):
        rebalance(scores, nothing, prices, prices > 0, 1000, rules, MarketRules(), CostRules())


def test_every_shipped_weighting_of_positions_is_found_and_an_unknown_one_is_named():
    assert {name: find_weighting(name) for name in SHIPPED}["score"].by_score
    with pytest.raises(ValidationError, match="Did you mean 'inverse_volatility'"):
        StrategyRules(position_weights="inverse_volatilty")


@pytest.mark.parametrize(
    ("former", "present"), [("weighting", "position_weights"), ("volatility_sessions", "weight_sessions")]
)
def test_a_former_name_of_a_key_is_refused_with_the_present_one(former, present):
    with pytest.raises(ValidationError, match=f"'{former}' is called '{present}' now"):
        StrategyRules.model_validate({former: 1})
