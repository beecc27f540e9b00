"""Training of a bundle: members only, the remedy where nothing can be learned, and continuation."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.training import is_member, train_bundle


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
    algorithm, make_facts, features, labels, members, segments
):
    first = train_bundle(make_facts(algorithm), features, labels, members, segments)
    facts = make_facts(algorithm, learning_rate=1e-6, **({"rounds": 5} if algorithm == "lightgbm" else {"epochs": 1}))
    later = {"train": segments["train"][60:], "valid": segments["valid"]}
    continued = train_bundle(facts, features, labels, members, later, previous=first)
    both = pd.concat([each.predict(features) for each in (first, continued)], axis=1).dropna()
    assert both.corr().iloc[0, 1] > 0.9999
    assert continued.identity != first.identity
    for before, after in zip(first.processor_states, continued.processor_states, strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_model_that_cannot_continue_says_so(make_facts, features, labels, members, segments):
    ridge = train_bundle(make_facts("ridge"), features, labels, members, segments)
    with pytest.raises(ModelError, match="cannot continue"):
        train_bundle(make_facts("ridge"), features, labels, members, segments, previous=ridge)
    with pytest.raises(ModelError, match="another algorithm or other factors"):
        train_bundle(make_facts("gru"), features, labels, members, segments, previous=ridge)
