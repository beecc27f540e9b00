"""The registry refuses what it does not know."""

import pytest

from quant_pipeline.models.spec import SEQUENCE_FACTORS, ModelSpec


def test_defaults_follow_the_algorithm():
    tree = ModelSpec.model_validate({"algorithm": "lightgbm", "features": "alpha158"})
    assert tree.processors == []
    assert tree.factors is None
    assert tree.window == 1
    network = ModelSpec.model_validate({"algorithm": "gru", "features": "alpha158", "hyper": {"window": 7}})
    assert [step.kind for step in network.processors] == ["robust_zscore", "fill"]
    assert network.factors == SEQUENCE_FACTORS
    assert network.window == 7


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"algorithm": "lightgbm", "features": "alpha158", "hyper": {"learning_rat": 0.1}}, "learning_rat"),
        ({"algorithm": "oracle", "features": "alpha158"}, "algorithm"),
        ({"algorithm": "ridge", "features": "alpha158", "colour": "red"}, "colour"),
        ({"algorithm": "gru", "features": "alpha158", "hyper": {"window": 0}}, "window"),
    ],
)
def test_unknown_keys_and_values_are_named(entry, words):
    with pytest.raises(ValueError, match=words):
        ModelSpec.model_validate(entry)
