from typing import get_args

import pandas as pd
import pytest

from quant_pipeline.exceptions import StrategyError
from quant_pipeline.strategy.rebalance import rebalance
from quant_pipeline.strategy.rules import CostRules, MarketRules, Method, StrategyRules, Weighting
from quant_pipeline.strategy.terms import BY_PREFERENCE, BY_SCORE, METHODS, WEIGHTINGS, strategy_terms

TARGETS = StrategyRules(method="target_weights", topk=2)


def test_every_method_and_every_weighting_has_a_number():
    assert set(METHODS) == set(get_args(Method))
    assert set(WEIGHTINGS) == set(get_args(Weighting))


@pytest.mark.parametrize(
    ("weighting", "number"), [("equal", BY_PREFERENCE), ("score", BY_SCORE), ("inverse_volatility", BY_PREFERENCE)]
)
def test_weighting_becomes_the_number_of_the_kernels(weighting, number):
    assert strategy_terms(TARGETS.model_copy(update={"weighting": weighting}), MarketRules()).weighting == number


@pytest.mark.parametrize("unknown", [{"weighting": "min_variance"}, {"method": "minimum_variance"}])
def test_unknown_weighting_or_method_is_refused_and_never_equal_weights(unknown):
    """`model_copy` does not validate, as a new literal without a kernel would not be."""
    rules = TARGETS.model_copy(update=unknown)
    scores, prices = pd.Series({"A": 0.2, "B": 0.9}), pd.Series({"A": 10.0, "B": 20.0})
    nothing = pd.DataFrame({"quantity": [], "sessions_held": []}, index=pd.Index([], dtype=str))
    with pytest.raises(StrategyError, match=f"Unknown strategy.{next(iter(unknown))} .*Use one of"):
        rebalance(scores, nothing, prices, prices > 0, 1000, rules, MarketRules(), CostRules())
