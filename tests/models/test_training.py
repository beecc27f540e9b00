"""What every algorithm must do: learn what is there, find nothing where nothing is, and stay the same afterwards."""

import json
from importlib import import_module
from importlib.util import find_spec
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.bundle import read_bundle, write_bundle
from quant_pipeline.models.hyper import Hyper
from quant_pipeline.models.training import is_member, train_bundle

NETWORKS = ["mlp", "gru", "lstm", "alstm", "tcn", "transformer", "localformer", "gats", "tra"]
OPTIONAL = [name for name in ("xgboost", "catboost") if find_spec(name)]
# One that runs along the window, one that convolves it, one that attends to it; the others are as much like them.
IN_EVERY_RUN = {"gru", "tcn", "transformer"}
ALGORITHMS = [
    *("lightgbm", "double_ensemble", *OPTIONAL, "ridge", "elastic_net"),
    *(name if name in IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS),
]


class Trained(dict):
    """Bundles by algorithm, trained when the first test asks for one."""

    def __init__(self, train):
        super().__init__()
        self._train = train

    def __missing__(self, algorithm):
        self[algorithm] = self._train(algorithm)
        return self[algorithm]


LIBRARIES = {name: ["torch"] for name in NETWORKS} | {
    "lightgbm": ["lightgbm"],
    "double_ensemble": ["lightgbm"],
    "xgboost": ["xgboost"],
    "catboost": ["catboost"],
    "ridge": [],
    "elastic_net": [],
}
"""What fits an algorithm beside numpy and pandas, as it is imported."""


@pytest.fixture(scope="module")
def bundles(make_facts, features, labels, members, segments):
    return Trained(lambda name: train_bundle(make_facts(name), features, labels, members, segments))


def rank_ic_of_test(bundle, features, labels, segments):
    scores = bundle.predict(features)
    inside = scores.index.get_level_values("datetime").isin(segments["test"])
    return information_coefficients(scores[inside], labels)["rank_ic"].dropna()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_planted_relation_is_learned(algorithm, bundles, features, labels, segments):
    assert rank_ic_of_test(bundles[algorithm], features, labels, segments).mean() > 0.6


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_is_found_in_shuffled_labels(algorithm, make_facts, features, labels, members, segments):
    shuffled = pd.Series(np.random.default_rng(5).permutation(labels.to_numpy()), index=labels.index)
    bundle = train_bundle(make_facts(algorithm), features, shuffled, members, segments)
    rank_ic = rank_ic_of_test(bundle, features, shuffled, segments)
    assert abs(rank_ic.mean() / rank_ic.std() * np.sqrt(len(rank_ic))) < 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_gives_the_same_bundle(algorithm, bundles, make_facts, features, labels, members, segments):
    again = train_bundle(make_facts(algorithm), features, labels, members, segments)
    assert again.identity == bundles[algorithm].identity


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_save_load_predict_is_identical_to_the_last_bit(algorithm, bundles, features, tmp_path):
    bundle = bundles[algorithm]
    write_bundle(bundle, tmp_path / "bundle")
    loaded = read_bundle(tmp_path / "bundle")
    pd.testing.assert_series_equal(loaded.predict(features), bundle.predict(features), check_exact=True)
    assert loaded.identity == bundle.identity
    assert loaded.facts == bundle.facts


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_bundle_records_the_version_of_every_library_that_made_it_and_of_no_other(algorithm, bundles, tmp_path):
    write_bundle(bundles[algorithm], tmp_path / "bundle")
    recorded = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["libraries"]
    recorded = {name.removesuffix("-cpu"): number for name, number in recorded.items()}
    made_by = [import_module(name) for name in ("numpy", "pandas", *LIBRARIES[algorithm])]
    assert recorded == {library.__name__: library.__version__ for library in made_by}


def test_every_algorithm_but_the_open_one_of_qlib_is_tested_here():
    named = {get_args(hyper.model_fields["algorithm"].annotation)[0] for hyper in get_args(get_args(Hyper)[0])}
    assert named == {*LIBRARIES, "qlib"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_writing_twice_gives_the_same_bytes(algorithm, bundles, tmp_path):
    for name in ("first", "second"):
        write_bundle(bundles[algorithm], tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "first").iterdir())
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_noise_after_the_validation_segment_changes_nothing(
    algorithm, bundles, make_facts, features, labels, members, segments
):
    later = features.index.get_level_values("datetime") > segments["valid"][-1]
    poisoned = features.copy()
    poisoned[later] = np.float32(1e3)
    bundle = train_bundle(make_facts(algorithm), poisoned, labels.mask(later, -1.0), members, segments)
    assert bundle.identity == bundles[algorithm].identity


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_newest_session_alone_scores_as_in_the_whole_history(algorithm, bundles, features, days):
    bundle = bundles[algorithm]
    whole = bundle.predict(features).xs(days[-1], level="datetime")
    recent = features[features.index.get_level_values("datetime") >= days[-8]]
    rows = np.flatnonzero(recent.index.get_level_values("datetime") == days[-1])
    newest = bundle.predict(recent, rows).droplevel("datetime")
    pd.testing.assert_series_equal(newest, whole, check_exact=True)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_learning_curve_is_kept(algorithm, bundles):
    curve = bundles[algorithm].model.curve
    assert curve.columns.tolist() == ["step", "metric", "value"]
    assert len(curve) > 1
    assert np.isfinite(curve["value"]).all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_planted_factor_is_the_most_important(algorithm, bundles):
    assert bundles[algorithm].model.importance["factor"].iloc[0] == "signal"


def test_a_sequence_without_its_whole_window_has_no_score(bundles, features, days):
    scores = bundles["gru"].predict(features)
    assert scores[scores.index.get_level_values("datetime").isin(days[:3])].isna().all()
    assert scores[scores.index.get_level_values("datetime").isin(days[3:])].notna().all()


def test_ridge_equals_the_closed_form_of_scikit_learn(make_facts, features, labels, members, segments):
    from sklearn.linear_model import Ridge

    from quant_pipeline.factors.processors import CrossSectionalRank, ProcessorChain

    facts = make_facts("ridge", alpha=0.05)
    bundle = train_bundle(facts, features, labels, members, segments)
    train = features[features.index.get_level_values("datetime").isin(segments["train"])]
    chain = ProcessorChain(facts.spec.processors)
    values = chain.fit_transform(train).to_numpy(dtype="float64")
    target = ProcessorChain([CrossSectionalRank()]).transform(labels.loc[train.index].to_frame())["label"]
    oracle = Ridge(alpha=0.05 * len(values)).fit(values, target.to_numpy(dtype="float64"))
    expected = oracle.predict(chain.transform(features).to_numpy(dtype="float64"))
    np.testing.assert_allclose(bundle.predict(features), expected, rtol=1e-6, atol=1e-8)


def test_only_members_are_learned_from(make_facts, features, labels, members, segments):
    few = members[members["instrument"] < "I10"]
    noisy = labels.where(is_member(features.index, few), -5.0)
    clean = train_bundle(make_facts("ridge"), features, labels, few, segments)
    dirty = train_bundle(make_facts("ridge"), features, noisy, few, segments)
    assert clean.identity == dirty.identity


def test_a_training_segment_without_labels_names_the_remedy(make_facts, features, labels, members, segments):
    with pytest.raises(ModelError, match="only 0 rows of segment 'train'"):
        train_bundle(make_facts("ridge"), features, labels * np.nan, members, segments)


@pytest.mark.parametrize("algorithm", ["lightgbm", "gru"])
def test_a_continued_model_starts_from_what_the_first_one_knew(
    algorithm, bundles, make_facts, features, labels, members, segments
):
    first = bundles[algorithm]
    facts = make_facts(algorithm, learning_rate=1e-6, **({"rounds": 5} if algorithm == "lightgbm" else {"epochs": 1}))
    later = {"train": segments["train"][60:], "valid": segments["valid"]}
    continued = train_bundle(facts, features, labels, members, later, previous=first)
    both = pd.concat([each.predict(features) for each in (first, continued)], axis=1).dropna()
    assert both.corr().iloc[0, 1] > 0.9999
    assert continued.identity != first.identity
    for before, after in zip(first.processor_states, continued.processor_states, strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_model_that_cannot_continue_says_so(bundles, make_facts, features, labels, members, segments):
    with pytest.raises(ModelError, match="cannot continue"):
        train_bundle(make_facts("ridge"), features, labels, members, segments, previous=bundles["ridge"])
    with pytest.raises(ModelError, match="another algorithm or other factors"):
        train_bundle(make_facts("gru"), features, labels, members, segments, previous=bundles["ridge"])
