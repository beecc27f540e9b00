"""Combinations as the configuration states them."""

import pytest
from pydantic import ValidationError

from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"default": "b", "combinations": {"a": {"models": ["m"]}}}, "default combination 'b'"),
        ({"default": "a", "combinations": {"a": {"models": ["m"], "enabled": False}}}, "default combination 'a'"),
        ({"default": "a", "combinations": {"a": {"models": ["m"], "member_weights": "manual"}}}, "manual weights"),
        (
            {
                "default": "a",
                "combinations": {"a": {"models": ["m"], "member_weights": "manual", "manual": {"m": -1.0}}},
            },
            "must not be negative",
        ),
    ],
)
def test_combinations_that_contradict_themselves_are_refused(block, words):
    with pytest.raises(ValueError, match=words):
        EnsembleParameters.model_validate(block)


def test_a_combination_is_picked_by_naming_its_members():
    block = {"default": "a", "combinations": {"a": {"models": ["m", "n"]}}, "models": ["n", "o"]}
    parameters = EnsembleParameters.model_validate(block)
    assert parameters.default == "picked"
    assert parameters.enabled["picked"].models == ["n", "o"]
    assert parameters.enabled["picked"].member_weights == "equal"
    assert parameters.members == ["m", "n", "o"]
    with pytest.raises(ValidationError, match="models"):
        EnsembleParameters.model_validate(block | {"models": []})


def test_disabled_combinations_are_kept_and_ignored():
    block = {
        "default": "a",
        "combinations": {"a": {"models": ["m", "n"]}, "b": {"models": ["old"], "enabled": False}},
    }
    parameters = EnsembleParameters.model_validate(block)
    assert list(parameters.enabled) == ["a"]
    assert parameters.members == ["m", "n"]
