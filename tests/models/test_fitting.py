"""Algorithms from outside: what they may leave out, and what of theirs is refused with the remedy."""

import sys
from types import ModuleType

import numpy as np
import optuna
import pytest
from pydantic import PositiveInt

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.algorithms import Algorithm, HyperParameters, SequenceHyper
from quant_pipeline.models.bundle import read_bundle, write_bundle
from quant_pipeline.models.training import train_bundle
from quant_pipeline.models.tuning import Dimension, suggest_spec
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel


class Column(HyperParameters):
    place: PositiveInt = 1


class OfColumn:
    """Scores are a column; it reports neither a curve nor importance."""

    def __init__(self, place):
        self.place = place

    def predict(self, samples):
        return samples.values[:, self.place - 1]

    def weights(self):
        return {"model.txt": str(self.place).encode()}


class OneScore(OfColumn):
    def predict(self, samples):
        return np.float64(1.0)


class OnReserved(OfColumn):
    def weights(self):
        return {"importance.parquet": b""}


class Outside(OfColumn):
    def weights(self):
        return {"../model.txt": b""}


class Pickled(OfColumn):
    def weights(self):
        return {"model.txt": self}


class WithOddImportance(OfColumn):
    importance = planted_panel().features


def algorithm(kind, **record):
    return Algorithm(
        Column,
        lambda train, valid, hyper, seed: kind(hyper.place),
        lambda weights, factors, hyper: kind(int(weights["model.txt"])),
        processors=(),
        **record,
    )


class Past(SequenceHyper):
    window: PositiveInt = 3


RECORDS = {
    **{kind.__name__: algorithm(kind) for kind in (OneScore, OnReserved, Outside, Pickled, WithOddImportance)},
    "PLAIN": algorithm(OfColumn),
    "MISNAMED": algorithm(OfColumn, libraries=("scikit-learn-is-no-module",)),
    "PAST": Algorithm(Past, lambda train, valid, hyper, seed: OfColumn(1), lambda weights, factors, hyper: OfColumn(1)),
}


@pytest.fixture(autouse=True)
def _outside(monkeypatch):
    module = ModuleType("outside")
    vars(module).update(RECORDS)
    monkeypatch.setitem(sys.modules, "outside", module)


def train(name, **hyper):
    panel = planted_panel()
    facts = planted_facts(f"outside.{name}", **hyper)
    return train_bundle(facts, panel.features, panel.labels, panel.members, panel.segments)


def test_a_model_without_importance_and_curve_is_sealed_with_empty_tables(tmp_path):
    bundle = train("PLAIN", place=2)
    write_bundle(bundle, tmp_path / "bundle")
    loaded = read_bundle(tmp_path / "bundle")
    assert loaded.importance.columns.tolist() == ["factor", "importance"]
    assert loaded.learning_curve.columns.tolist() == ["step", "metric", "value"]
    assert len(loaded.importance) == len(loaded.learning_curve) == 0
    features = planted_panel().features
    np.testing.assert_array_equal(loaded.predict(features), features["noise_a"].astype("float64"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OneScore", r"'outside.OneScore' returned scores of shape \(\) for .* one number per row"),
        ("OnReserved", "returned a file 'importance.parquet' that a bundle cannot keep"),
        ("Outside", r"returned a file '\.\./model.txt'"),
        ("Pickled", "has to return bytes by plain file names"),
        ("WithOddImportance", "`importance` of a fitted model has to be a table with the columns factor, importance"),
        ("MISNAMED", "names the library 'scikit-learn-is-no-module', which is not installed"),
    ],
)
def test_what_a_bundle_cannot_keep_is_refused_with_the_algorithm_and_the_remedy(name, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        write_bundle(train(name), tmp_path / "bundle")


def test_the_block_decides_window_and_processors():
    spec = planted_facts("outside.PAST").spec
    assert spec.window == 3
    assert [step.kind for step in spec.processors] == ["robust_zscore", "fill"]
    assert planted_facts("outside.PLAIN").spec.processors == []


def test_a_trial_suggests_hyper_parameters_of_the_algorithm():
    spec = planted_facts("outside.PLAIN").spec
    suggested = suggest_spec(spec, {"place": Dimension(low=2, high=3)}, optuna.trial.FixedTrial({"place": 3}))
    assert suggested.hyper == Column(algorithm="outside.PLAIN", place=3)


def test_a_bundle_whose_algorithm_is_gone_names_it(tmp_path, monkeypatch):
    write_bundle(train("PLAIN"), tmp_path / "bundle")
    monkeypatch.delitem(sys.modules, "outside")
    with pytest.raises(ModelError, match=r"'outside.PLAIN': there is no module 'outside'.*bring back the algorithm"):
        read_bundle(tmp_path / "bundle")
