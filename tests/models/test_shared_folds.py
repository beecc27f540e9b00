"""Trainings that share folds give the bits of those that do not, and learn and process a fold once."""

import pickle
from dataclasses import replace

import lightgbm
import pytest

from quant_pipeline.factors.processors import ProcessorChain
from quant_pipeline.models import processed
from quant_pipeline.models.shared_folds import SharedFolds
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.training import train_bundle


@pytest.fixture
def trials(make_facts):
    """Facts of trials of an algorithm."""

    def make(algorithm, *hyper):
        facts = make_facts(algorithm)
        entry = facts.spec.model_dump()
        return [
            replace(facts, spec=ModelSpec.model_validate({**entry, "hyper": {**entry["hyper"], **each}}))
            for each in hyper
        ]

    return make


@pytest.fixture
def inputs(features, labels, members):
    return features, labels, members


@pytest.fixture
def counted(monkeypatch):
    """How often processors learned, how often a panel was processed, and how many data sets were binned."""
    counts = {"learned": 0, "processed": 0, "binned": 0}

    def count(owner, name, what):
        original = getattr(owner, name)

        def counting(*arguments, **named):
            counts[what] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counting)

    count(ProcessorChain, "fit", "learned")
    count(processed.ProcessedPanel, "_process", "processed")
    count(lightgbm.Dataset, "__init__", "binned")
    return counts


LEAVES = [{"num_leaves": 7, "rounds": 5}, {"num_leaves": 15, "rounds": 8}, {"min_data_in_leaf": 80, "rounds": 5}]
ALPHAS = [{"alpha": 0.1}, {"alpha": 1.0}, {"alpha": 0.1}]


@pytest.mark.parametrize(
    ("algorithm", "hyper", "kept_share", "expected"),
    [
        ("lightgbm", LEAVES, 1.0, {"learned": 2, "processed": 0, "binned": 4}),
        ("lightgbm", LEAVES, 0.0, {"learned": 2, "processed": 0, "binned": 12}),
        ("ridge", ALPHAS, 1.0, {"learned": 2, "processed": 2, "binned": 0}),
    ],
    ids=["trees", "trees_without_room", "ridge"],
)
def test_trials_of_the_same_folds_are_those_that_are_trained_alone(
    algorithm, hyper, kept_share, expected, trials, inputs, segments, monkeypatch, counted
):
    folds = [segments, {**segments, "train": segments["train"][5:]}]
    facts = trials(algorithm, *hyper)
    alone = [train_bundle(each, *inputs, fold).identity for each in facts for fold in folds]
    monkeypatch.setattr(processed, "KEPT_SHARE", kept_share)
    counted.update(dict.fromkeys(counted, 0))
    shared = SharedFolds()
    together = [shared.train(each, *inputs, fold).identity for each in facts for fold in folds]
    assert together == alone
    assert counted == expected


def test_folds_travel_empty(trials, inputs, segments):
    shared = SharedFolds()
    (facts,) = trials("ridge", {"alpha": 0.1})
    bundle = shared.train(facts, *inputs, segments)
    again = pickle.loads(pickle.dumps(shared))
    assert len(pickle.dumps(shared)) < 200
    assert again.train(facts, *inputs, segments).identity == bundle.identity
