"""A model is trained again when something it was trained from has changed, and only then."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.models.digests import KnownTables
from quant_pipeline.models.fingerprint import CONTINUED, PARTS, VERSIONS, changes, fingerprint


@pytest.fixture
def inputs(make_facts, features, labels, members, segments):
    def make(**changed):
        given = {"facts": make_facts("ridge"), "features": features, "labels": labels, "members": members}
        return fingerprint(**{**given, "segments": segments, **changed})

    return make


def test_equal_inputs_have_equal_fingerprints(inputs, features):
    assert changes(inputs(), inputs(features=features.copy())) == []
    # Only a continued model says what it was continued from.
    assert set(inputs()) == set(PARTS) - {CONTINUED}


def test_a_model_without_a_bundle_is_trained(inputs):
    assert changes(None, inputs()) == ["bundle"]


def test_each_change_is_named(inputs, make_facts, features, labels, members, segments, days):
    value = features.copy()
    value.iloc[5, 0] += 1e-6
    invented = features.copy()
    invented.attrs["source"] = "alpaca at http://127.0.0.1:8765"
    label = labels.copy()
    label.iloc[7] = np.nan
    shorter = {**segments, "train": days[:99]}
    assert changes(inputs(), inputs(facts=make_facts("ridge", alpha=2.0))) == ["specification"]
    assert changes(inputs(), inputs(features=value)) == ["features"]
    assert changes(inputs(), inputs(labels=label)) == ["labels"]
    assert changes(inputs(), inputs(features=invented)) == ["source"]
    assert changes(inputs(), inputs(members=members.iloc[1:])) == ["universe"]
    assert changes(inputs(), inputs(segments=shorter)) == ["segments"]


def test_other_versions_of_the_project_are_told_apart(inputs, make_facts):
    """A bundle of the time before versions does not say them; its hashes of values say nothing any more."""
    others = dict.fromkeys(("features", "labels", "universe"), "0123456789abcdef")
    for algorithm, differing in {"xgboost": ["hashing"], "ridge": ["arithmetic", "hashing"]}.items():
        wanted = inputs(facts=make_facts(algorithm))
        former = {part: text for part, text in wanted.items() if part not in VERSIONS} | others
        assert changes(former, wanted) == differing
        assert changes({**former, "label": "another"}, wanted) == ["label", *differing]
        assert changes({**wanted, "arithmetic": "3"}, wanted) == ["arithmetic"]


@pytest.mark.parametrize(
    ("algorithm", "hyper", "version"),
    [
        ("ridge", {}, "2"),
        ("elastic_net", {}, "2"),
        ("lightgbm", {}, "2"),
        ("xgboost", {}, "1"),
        ("gru", {"threads": 1}, "1"),
        ("gru", {}, "2"),
        ("gats", {"threads": 1}, "1"),
        ("gats", {}, "3"),
        ("tra", {}, "3"),
        ("tabnet", {}, "3"),
    ],
)
def test_the_arithmetic_of_an_algorithm_is_part_of_its_fingerprint(inputs, make_facts, algorithm, hyper, version):
    assert inputs(facts=make_facts(algorithm, **hyper))["arithmetic"] == version


def test_what_comes_after_validation_does_not_count(inputs, features, labels, members, segments):
    last = segments["valid"][-1]
    later = features.index.get_level_values("datetime") > last
    changed = {
        "features": features.mask(np.broadcast_to(later[:, None], features.shape), 7.0),
        "labels": labels.where(~later, 7.0),
        "members": members[members["date"] <= last],
    }
    assert later.any()
    assert changes(inputs(), inputs(**changed)) == []


def test_every_missing_value_is_the_same(inputs, features):
    one, other = features.copy(), features.copy()
    one.iloc[3, 1] = np.nan
    other.iloc[3, 1] = np.array([0xFFC00001], dtype=np.uint32).view(np.float32)[0]
    assert changes(inputs(features=one), inputs(features=other)) == []


def test_shared_hashes_change_no_fingerprint(inputs, make_facts, features, members, segments, days):
    known = KnownTables()
    other = features.copy()
    other.iloc[5, 0] += 1e-6
    earlier = {**segments, "valid": segments["valid"][:-5]}
    for changed in ({}, {"features": other}, {"members": members.iloc[1:]}, {"segments": earlier}, {}):
        assert inputs(**changed, known=known) == inputs(**changed)


def test_a_sorted_panel_is_hashed_without_a_copy(inputs, make_facts, features):
    columns = [f"{name}_{n}" for n in range(60) for name in features.columns]
    values = np.tile(features.to_numpy(dtype="float32").T, (60, 1))
    wide = pd.DataFrame(values.T, features.index, columns, copy=False)
    facts = replace(make_facts("ridge"), expressions=dict.fromkeys(columns, "$close"))
    tracemalloc.start()
    hashed = inputs(features=wide, facts=facts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * values.nbytes
    last = wide.sample(frac=1.0, random_state=7)
    assert hashed == inputs(features=last.sort_index(), facts=facts) != inputs(features=last, facts=facts)
