"""The registry refuses what it does not know."""

import pytest

from quant_pipeline.common.parameters import as_configured
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
    ("algorithm", "block"),
    [("ridge", {}), ("lightgbm", {}), ("gru", {"hyper": {"layers": 2}}), ("tcn", {"hyper": {"levels": 2}})],
)
def test_what_follows_from_the_algorithm_was_not_configured(algorithm, block):
    entry = {"algorithm": algorithm, "features": "alpha158", "tags": ["one"], **block}
    assert as_configured(ModelSpec.model_validate(entry)) == entry


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"algorithm": "lightgbm", "features": "alpha158", "hyper": {"learning_rat": 0.1}}, "learning_rat"),
        ({"algorithm": "lightgmb", "features": "alpha158"}, "Did you mean 'lightgbm'"),
        ({"algorithm": "oracle", "features": "alpha158"}, "There are lightgbm, .*One of your own is named by its path"),
        ({"algorithm": "my_models.nowhere.MINE", "features": "alpha158"}, "put it into src/ of the project"),
        ({"algorithm": "ridge", "features": "alpha158", "hyper": {"alpha": "large"}}, r"hyper\.alpha"),
        ({"algorithm": "ridge", "features": "alpha158", "hyper": 3}, "hyper"),
        ({"algorithm": "ridge", "features": "alpha158", "colour": "red"}, "colour"),
        ({"algorithm": "gru", "features": "alpha158", "hyper": {"window": 0}}, "window"),
    ],
)
def test_unknown_keys_and_values_are_named(entry, words):
    with pytest.raises(ValueError, match=words):
        ModelSpec.model_validate(entry)


def test_a_specification_survives_its_own_dump_with_the_hyper_parameters_of_its_algorithm():
    entry = {"algorithm": "tcn", "features": "alpha158", "hyper": {"levels": 1}}
    spec = ModelSpec.model_validate(entry)
    assert spec.model_dump(mode="json")["hyper"]["window"] == 5
    assert spec.model_dump(mode="json")["hyper"]["algorithm"] == "tcn"
    assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_the_short_name_of_an_algorithm_and_its_path_are_the_same_algorithm():
    path = "quant_pipeline.models.algorithms.linear.RIDGE"
    assert type(ModelSpec.model_validate({"algorithm": path, "features": "alpha158"}).hyper).__name__ == "RidgeHyper"
