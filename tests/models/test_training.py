"""Training of a bundle: members only, the remedy where nothing can be learned, and continuation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models import scoring as scoring_module
from quant_pipeline.models import training as training_module
from quant_pipeline.models.algorithms import SHIPPED, find_algorithm
from quant_pipeline.models.fingerprint import VERSIONS
from quant_pipeline.models.networks.scoring import FittedNetwork
from quant_pipeline.models.panel_rows import is_member
from quant_pipeline.models.panels import MemoryPanel, rows_of_windows
from quant_pipeline.models.training import continue_or_keep, train_bundle, train_or_keep
from tests.helpers.representatives import representatives


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


def test_one_instrument_has_nothing_to_be_ordered_against(make_facts, features, labels, members, segments):
    alone = members[members["instrument"] == "I10"]
    with pytest.raises(
        ModelError, match=r"no session of segment 'train' has two instruments \(1 in all, such as I10\)"
    ):
        train_bundle(make_facts("ridge"), features, labels, alone, segments)


LINEAR = {"ridge", "elastic_net"}
BOOSTERS = {"lightgbm", "xgboost", "catboost"}
CONTINUED = sorted(name for name in SHIPPED if find_algorithm(name).continue_from is not None and name not in LINEAR)
"""Linear models have tests of their own, which know the coefficients."""


def test_the_algorithms_that_continue_are_those_that_the_guide_names():
    refuse = {name for name in SHIPPED if find_algorithm(name).continue_from is None}
    assert refuse == {"double_ensemble", "qlib", "signal"}


def parameters_of(model):
    """Return what a network has learned; nothing of other models."""
    return list(model.network.parameters()) if isinstance(model, FittedNetwork) else []


def keeps_means(model):
    """Whether a network normalises by running means of its batches."""
    return isinstance(model, FittedNetwork) and any("running_mean" in name for name, _ in model.network.named_buffers())


@pytest.mark.parametrize("algorithm", representatives(CONTINUED, {"lightgbm", "gru"}))
def test_a_continued_model_starts_from_what_the_first_one_knew(
    algorithm, make_facts, features, labels, members, segments
):
    first = train_bundle(make_facts(algorithm), features, labels, members, segments)
    facts = make_facts(algorithm, learning_rate=1e-6, **({"rounds": 5} if algorithm in BOOSTERS else {"epochs": 1}))
    later = {"train": segments["train"][60:], "valid": segments["valid"]}
    continued = train_bundle(facts, features, labels, members, later, previous=first)
    both = pd.concat([each.predict(features) for each in (first, continued)], axis=1).dropna()
    # Means of batches follow the later window at their own pace, whatever the learning rate.
    assert both.corr().iloc[0, 1] > (0.99 if keeps_means(first.model) else 0.9999)
    for before, after in zip(parameters_of(first.model), parameters_of(continued.model), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=1e-4)
    assert continued.identity != first.identity
    for before, after in zip(first.processor_states, continued.processor_states, strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_model_that_cannot_continue_says_so(make_facts, features, labels, members, segments):
    ridge = train_bundle(make_facts("ridge"), features, labels, members, segments)
    with pytest.raises(ModelError, match="another algorithm or other factors"):
        train_bundle(make_facts("gru"), features, labels, members, segments, previous=ridge)
    other = replace(make_facts("ridge"), label="Ref($open, -6)/Ref($open, -1)-1")
    with pytest.raises(ModelError, match="another label"):
        train_bundle(other, features, labels, members, segments, previous=ridge)
    ensemble = replace(ridge, facts=make_facts("double_ensemble"), processor_states=[])
    with pytest.raises(ModelError, match="cannot continue"):
        train_bundle(make_facts("double_ensemble"), features, labels, members, segments, previous=ensemble)


class TestContinuing:
    """From the champion in a later window."""

    @pytest.fixture(scope="class")
    def windows(self, days):
        """Windows that move by 15 sessions."""
        first = {"train": days[20:80], "valid": days[82:100]}
        return first, {"train": days[35:81], "valid": days[84:115]}

    @staticmethod
    def facts(make_facts, window):
        return replace(
            make_facts("ridge"),
            window={part: [str(days[at].date()) for at in (0, -1)] for part, days in window.items()},
        )

    def test_the_bundle_names_its_origin_and_a_second_run_keeps_it(
        self, windows, make_facts, features, labels, members
    ):
        earlier, later = ((self.facts(make_facts, window), features, labels, members, window) for window in windows)
        champion = train_or_keep(*earlier, None)
        continued = continue_or_keep(*later, champion, champion)
        assert continued.facts.inputs["continued_from"] == champion.identity
        assert continue_or_keep(*later, continued, champion) is continued
        assert continue_or_keep(*later, continued, continued) is continued
        trained = train_or_keep(*later, continued)
        assert trained.identity != continued.identity
        assert "continued_from" not in trained.facts.inputs

    def test_a_champion_that_another_version_continued_is_kept_and_a_candidate_is_continued_again(
        self, windows, make_facts, features, labels, members, caplog
    ):
        earlier, later = ((self.facts(make_facts, window), features, labels, members, window) for window in windows)
        champion = train_or_keep(*earlier, None)
        continued = continue_or_keep(*later, champion, champion)
        said = {part: text for part, text in continued.facts.inputs.items() if part not in VERSIONS}
        former = replace(continued, facts=replace(continued.facts, inputs={**said, "features": "hashed otherwise"}))
        assert continue_or_keep(*later, former, former) is former
        assert "kept, though the arithmetic of its algorithm changed and how its inputs are hashed" in caplog.text
        assert continue_or_keep(*later, former, champion).identity == continued.identity
        corrected = replace(former, facts=replace(former.facts, inputs={**said, "source": "corrected"}))
        with pytest.raises(ModelError, match="there is nothing newer"):
            continue_or_keep(*later, corrected, corrected)

    def test_a_window_without_anything_newer_is_refused(self, windows, make_facts, features, labels, members):
        for window in windows:
            arguments = (self.facts(make_facts, window), features, labels, members, window)
            champion = train_or_keep(*arguments, None)
            with pytest.raises(ModelError, match=r"has learned up to .* there is nothing newer"):
                continue_or_keep(*arguments, champion, champion)

    def test_validation_on_sessions_that_the_champion_was_trained_on_is_refused(
        self, windows, days, make_facts, features, labels, members
    ):
        longer = {"train": days[20:90], "valid": days[92:100]}
        champion = train_or_keep(self.facts(make_facts, longer), features, labels, members, longer, None)
        with pytest.raises(ModelError, match="would measure what it has learned"):
            continue_or_keep(self.facts(make_facts, windows[1]), features, labels, members, windows[1], None, champion)


@pytest.mark.parametrize("algorithm", ["ridge", "gru"])
def test_sessions_that_a_model_does_not_read_change_no_bit_of_it(
    make_facts, features, labels, members, segments, days, monkeypatch, algorithm
):
    """The old way transformed the whole panel, whatever was learned from and scored."""
    facts, later = make_facts(algorithm), {**segments, "train": days[40:100]}
    rows = np.flatnonzero(features.index.get_level_values("datetime").isin(days[135:140]))
    bundle = train_bundle(facts, features, labels, members, later)
    scores = bundle.predict(features, rows)
    for module in (training_module, scoring_module):
        monkeypatch.setattr(module, "rows_of_windows", lambda panel, *_: slice(0, len(panel.index)))
    assert train_bundle(facts, features, labels, members, later).identity == bundle.identity
    pd.testing.assert_series_equal(bundle.predict(features, rows), scores, check_exact=True)
    assert scores.notna().all()


def test_only_the_sessions_of_a_window_are_transformed(make_facts, features, labels, members, segments, days):
    bundle = train_bundle(make_facts("gru"), features, labels, members, segments)
    rows = np.flatnonzero(features.index.get_level_values("datetime") == days[-1])
    samples = bundle.samples(features, rows)
    assert list(samples.features.index.unique("datetime")) == list(days[-bundle.facts.spec.window :])
    assert samples.features.index[samples.rows].equals(features.index[rows])


@pytest.mark.parametrize(
    ("rows", "sessions", "needed"),
    [([3], 1, (2, 4)), ([3], 2, (0, 4)), ([2, 5], 1, (2, 6)), ([4], 9, (0, 6)), ([], 1, (0, 6))],
)
def test_the_stretch_that_rows_depend_on_is_made_of_whole_sessions(rows, sessions, needed):
    days = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-05"])
    index = pd.MultiIndex.from_product([days, ["AAA", "BBB"]], names=["datetime", "instrument"])
    panel = MemoryPanel(pd.DataFrame(index=index))
    assert rows_of_windows(panel, np.array(rows, dtype=np.int64), sessions) == slice(*needed)
    unsorted = MemoryPanel(pd.DataFrame(index=index[[4, 5, 0, 1, 2, 3]]))
    assert rows_of_windows(unsorted, np.array(rows, dtype=np.int64), sessions) == slice(0, 6)
