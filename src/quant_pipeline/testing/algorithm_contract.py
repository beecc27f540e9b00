"""The contract of algorithms, as tests to inherit; every shipped algorithm passes them.

    class TestMine(AlgorithmContract):
        algorithm = "my_models.huber.HUBER"
        hyper = {"alpha": 0.1}

pytest finds the inherited tests. They train on `planted_panel`, 160 sessions of 20 instruments, so hyper-parameters for
a small panel make them fast. An algorithm that passes can be used wherever a shipped one can: training by content,
walk forward, tuning, promotion, daily prediction.
"""

from __future__ import annotations

import json
import random
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.models.algorithms import find_algorithm
from quant_pipeline.models.bundle import MANIFEST, ModelBundle, read_bundle, write_bundle
from quant_pipeline.models.fitting import load_model
from quant_pipeline.models.libraries import versions_of
from quant_pipeline.models.training import train_bundle
from quant_pipeline.testing.planted_panel import FACTORS, planted_facts, planted_panel


class TrainedAgain(NamedTuple):
    """A second training, and the generators of the process that it or loading its result has moved."""

    bundle: ModelBundle
    moved: list[str]


class AlgorithmContract:
    """What every algorithm must do.

    Attributes
    ----------
    algorithm
        Short name or dotted path of the algorithm.
    hyper
        Hyper-parameters that suit a small panel.
    least_rank_ic
        Mean rank IC of the test sessions from which on the planted relation counts as learned; a perfect score has
        about 0.85.
    """

    algorithm: ClassVar[str]
    hyper: ClassVar[dict[str, Any]] = {}
    least_rank_ic: ClassVar[float] = 0.6

    @property
    def bundle(self) -> ModelBundle:
        """The algorithm trained on the panel; trained once."""
        return _trained(self.algorithm, json.dumps(self.hyper, sort_keys=True))

    @property
    def trained_again(self) -> TrainedAgain:
        """The algorithm trained again after others have drawn random numbers; trained once."""
        return _trained_again(self.algorithm, json.dumps(self.hyper, sort_keys=True))

    def test_a_planted_relation_is_learned(self) -> None:
        """Score the test sessions in an order that is close to that of their labels."""
        assert _rank_ic(self.bundle, planted_panel().labels).mean() > self.least_rank_ic

    def test_nothing_is_found_in_shuffled_labels(self) -> None:
        """Find no relation where there is none: it would come from the test sessions themselves."""
        panel = planted_panel()
        shuffled = pd.Series(np.random.default_rng(5).permutation(panel.labels.to_numpy()), index=panel.labels.index)
        rank_ic = _rank_ic(_train(self.algorithm, self.hyper, labels=shuffled), shuffled)
        assert abs(rank_ic.mean()) < 3 * rank_ic.std() / np.sqrt(len(rank_ic))

    def test_the_same_seed_gives_the_same_bundle(self) -> None:
        """Train twice with the same result to the last bit, whatever else has drawn random numbers in between."""
        assert self.trained_again.bundle.identity == self.bundle.identity

    def test_training_and_loading_leave_the_generators_of_the_process_alone(self) -> None:
        """Draw random numbers from generators of its own, or restore those of the process."""
        assert self.trained_again.moved == []

    def test_save_load_predict_is_identical_to_the_last_bit(self, tmp_path: Path) -> None:
        """Make the model again from its files."""
        features = planted_panel().features
        write_bundle(self.bundle, tmp_path / "bundle")
        loaded = read_bundle(tmp_path / "bundle")
        pd.testing.assert_series_equal(loaded.predict(features), self.bundle.predict(features), check_exact=True)
        assert loaded.identity == self.bundle.identity
        assert loaded.facts == self.bundle.facts

    def test_writing_twice_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Write no time, no path and no random name."""
        for name in ("first", "second"):
            write_bundle(self.bundle, tmp_path / name)
        for file in (tmp_path / "first").iterdir():
            assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes(), file.name

    def test_the_bundle_records_installed_versions_of_its_libraries(self, tmp_path: Path) -> None:
        """Name the libraries that fit the model by the names that are imported."""
        write_bundle(self.bundle, tmp_path / "bundle")
        recorded = json.loads((tmp_path / "bundle" / MANIFEST).read_text())["libraries"]
        named = find_algorithm(self.algorithm).packages(self.bundle.facts.spec.hyper)
        assert recorded == versions_of(named) == {name: version(name) for name in recorded}

    def test_noise_after_the_validation_segment_changes_nothing(self) -> None:
        """Use nothing that is not known when training ends."""
        panel = planted_panel()
        later = panel.features.index.get_level_values("datetime") > panel.segments["valid"][-1]
        poisoned = panel.features.copy()
        poisoned[later] = np.float32(1e3)
        bundle = _train(self.algorithm, self.hyper, features=poisoned, labels=panel.labels.mask(later, -1.0))
        assert bundle.identity == self.bundle.identity

    def test_the_newest_session_alone_scores_as_in_the_whole_history(self) -> None:
        """Score a row from its own window, so that the daily run gives what research gives."""
        panel, newest = planted_panel(), planted_panel().sessions[-1]
        whole = self.bundle.predict(panel.features).xs(newest, level="datetime")
        days = panel.features.index.get_level_values("datetime")
        recent = panel.features[days >= panel.sessions[-self.bundle.facts.spec.window]]
        rows = np.flatnonzero(recent.index.get_level_values("datetime") == newest)
        alone = self.bundle.predict(recent, rows).droplevel("datetime")
        assert whole.notna().all()
        pd.testing.assert_series_equal(alone, whole, check_exact=True)

    def test_a_row_without_its_whole_window_has_no_score(self) -> None:
        """Return NaN rather than a score from half a window."""
        scores, before = self.bundle.predict(planted_panel().features), self.bundle.facts.spec.window - 1
        known = scores.index.get_level_values("datetime").isin(planted_panel().sessions[before:])
        assert scores[known].notna().all()
        assert scores[~known].isna().all()

    def test_importance_when_there_is_any_ranks_the_planted_factor_first(self) -> None:
        """Report importance by factor, or none."""
        importance = self.bundle.importance
        assert importance["factor"].tolist()[:1] in ([], ["signal"])
        assert set(importance["factor"]) <= set(FACTORS)

    def test_a_misspelt_hyper_parameter_is_refused_by_its_key(self) -> None:
        """Declare hyper-parameters as typed fields."""
        refused: list[tuple[int | str, ...]] = []
        try:
            planted_facts(self.algorithm, **self.hyper, a_misspelt_key=1)
        except ValidationError as error:
            refused = [fault["loc"] for fault in error.errors()]
        assert refused == [("hyper", "a_misspelt_key")]

    def test_training_continues_as_the_record_says_or_is_refused(self, tmp_path: Path) -> None:
        """Go on from a model when the record has `continue_from`, at hand and stored alike, and refuse otherwise."""
        if find_algorithm(self.algorithm).continue_from is not None:
            continued = _train(self.algorithm, self.hyper, previous=self.bundle)
            assert _rank_ic(continued, planted_panel().labels).mean() > self.least_rank_ic
            write_bundle(self.bundle, tmp_path / "bundle")
            stored = read_bundle(tmp_path / "bundle")
            assert _train(self.algorithm, self.hyper, previous=stored).identity == continued.identity
            return
        refusal = ""
        try:
            _train(self.algorithm, self.hyper, previous=self.bundle)
        except ModelError as error:
            refusal = error.message
        assert "cannot continue" in refusal


@cache
def _trained(algorithm: str, hyper: str) -> ModelBundle:
    return _train(algorithm, json.loads(hyper))


@cache
def _trained_again(algorithm: str, hyper: str) -> TrainedAgain:
    _trained(algorithm, hyper)  # Importing a library may draw a number too, once.
    for draw in (random.random, np.random.random, lambda: torch.rand(1)):
        draw()
    before = generator_states()
    bundle = _train(algorithm, json.loads(hyper))
    moved = [f"{name} while training" for name, state in generator_states().items() if state != before[name]]
    before = generator_states()
    load_model(bundle.facts.spec, bundle.model.weights(), list(bundle.facts.expressions))
    bundle.predict(planted_panel().features)
    moved += [f"{name} while loading" for name, state in generator_states().items() if state != before[name]]
    return TrainedAgain(bundle, moved)


def generator_states() -> dict[str, bytes]:
    """Return the states of the generators that all modules of a process share."""
    numbers = np.random.get_state()
    return {
        "random": repr(random.getstate()).encode(),
        "numpy": repr([part.tobytes() if isinstance(part, np.ndarray) else part for part in numbers]).encode(),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def _train(
    algorithm: str,
    hyper: dict[str, Any],
    features: pd.DataFrame | None = None,
    labels: pd.Series | None = None,
    previous: ModelBundle | None = None,
) -> ModelBundle:
    panel = planted_panel()
    return train_bundle(
        planted_facts(algorithm, **hyper),
        panel.features if features is None else features,
        panel.labels if labels is None else labels,
        panel.members,
        panel.segments,
        previous,
    )


def _rank_ic(bundle: ModelBundle, labels: pd.Series) -> pd.Series:
    """Rank IC of every test session."""
    panel = planted_panel()
    scores = bundle.predict(panel.features)[panel.is_in("test").to_numpy()]
    return information_coefficients(scores, labels)["rank_ic"].dropna()
