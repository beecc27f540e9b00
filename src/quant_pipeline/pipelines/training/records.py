"""What every node that trains is given, and how a model is trained on some sessions and judged on others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.feature_sets import TRADED, FeatureSet
from quant_pipeline.factors.labels import expression_of
from quant_pipeline.models.bundle import BundleFacts, ModelBundle
from quant_pipeline.models.digests import KnownTables
from quant_pipeline.models.panel_rows import in_sessions, is_member
from quant_pipeline.models.panels import Features, PanelView, as_panel
from quant_pipeline.models.shared_folds import SharedFolds
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.training import train_bundle
from quant_pipeline.pipelines.features.nodes import LabelParameters


@dataclass(frozen=True)
class TrainingData:
    """What a model learns from.

    Attributes
    ----------
    features
        Panel ``(datetime, instrument) × factor`` of the model's feature set, as a table or read when it is needed.
    labels
        Panel with column ``label``; NaN where it is not realised.
    universe_members
        ``date``, ``instrument``: the universe of every session.
    sessions
        ``date`` of every session.
    """

    features: Features
    labels: pd.DataFrame
    universe_members: pd.DataFrame
    sessions: pd.DataFrame

    @property
    def days(self) -> pd.DatetimeIndex:
        """All sessions."""
        return pd.DatetimeIndex(self.sessions["date"])

    def read_by(self, setting: ModelSetting) -> TrainingData:
        """Return the same with those columns of the features alone that a model reads: no others go to a cluster."""
        panel, factors = as_panel(self.features), setting.factors
        wanted = [name for name in panel.columns if name in factors or name == TRADED]
        return replace(self, features=PanelView(panel, columns=wanted))

    def members_in(self, sessions: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
        """Return the rows of the features that belong to the universe of one of the sessions."""
        return np.flatnonzero(self._is_member & in_sessions(self.features.index, sessions))

    @cached_property
    def known(self) -> KnownTables:
        """What is known of the digests of these tables: models and windows that learn from them share it."""
        return KnownTables()

    @cached_property
    def _is_member(self) -> npt.NDArray[np.bool_]:
        return is_member(self.features.index, self.universe_members)


@dataclass(frozen=True)
class ModelSetting:
    """What is trained: the model, the factors it may use, and what it is to predict."""

    spec: ModelSpec
    feature_set: FeatureSet
    label: LabelParameters
    market_rules: MarketRules

    def labels_of(self, data: TrainingData) -> pd.Series:
        """Return the labels to learn.

        Raises
        ------
        ConfigurationError
            When they were computed for another execution price or horizon.
        """
        wanted = expression_of(self.label, self.market_rules.deal_price)
        # Tables that were written before they said it are taken as they are.
        stated = data.labels.attrs.get("expression", wanted)
        if stated != wanted:
            raise ConfigurationError(
                f"the labels are {stated}, but {self.spec.title} is to learn {wanted} (market_rules.deal_price, "
                "label.horizon). Compute them again: kedro run --pipelines features,training"
            )
        labels: pd.Series = data.labels["label"]
        return labels

    @property
    def factors(self) -> dict[str, str]:
        """Factor to expression, in the order of the columns.

        Raises
        ------
        ConfigurationError
            When the model names a factor that its feature set does not have.
        """
        spec, available = self.spec, self.feature_set.all_expressions()
        factors = list(available) if spec.factors is None else spec.factors
        unknown = sorted(set(factors) - set(available))
        if unknown:
            raise ConfigurationError(
                f"{spec.title}: feature set '{spec.features}' has no factors {first_of(unknown)} "
                "(parameters_models.yml)"
            )
        return {factor: available[factor] for factor in factors}

    def describe(self, segments: dict[str, pd.DatetimeIndex]) -> BundleFacts:
        """Put together what a bundle of this model is to say about itself, but for the fingerprint of its inputs.

        Raises
        ------
        ConfigurationError
            When the model names a factor that its feature set does not have.
        """
        return BundleFacts(
            spec=self.spec,
            expressions=self.factors,
            label=expression_of(self.label, self.market_rules.deal_price),
            window={part: [f"{segments[part][end]:%Y-%m-%d}" for end in (0, -1)] for part in ("train", "valid")},
            calendar=self.market_rules.calendar,
        )


@dataclass(frozen=True)
class TrialData:
    """What trials of one model learn from, and what they share of it."""

    data: TrainingData
    folds: SharedFolds


Learner = Callable[..., ModelBundle]
"""A function that trains as `train_or_keep` does."""


def learn(
    data: TrainingData, task: tuple[Learner, ModelSetting, dict[str, pd.DatetimeIndex], ModelBundle | None]
) -> ModelBundle:
    """Let a model learn on some segments; a task for `run_tasks`.

    Parameters
    ----------
    data
        What it learns from.
    task
        What trains, what is trained, the segments, and the bundle that an earlier run left.
    """
    train, setting, segments, found = task
    facts, labels = setting.describe(segments), setting.labels_of(data)
    return train(facts, data.features, labels, data.universe_members, segments, found, known=data.known)


def judge_on_test(data: TrainingData, task: tuple[ModelSetting, dict[str, pd.DatetimeIndex]]) -> pd.DataFrame:
    """Train a model on training and validation sessions and judge it on the test sessions; nothing is kept.

    Parameters
    ----------
    data
        What it learns from.
    task
        What is trained, and the segments; a task for `run_tasks`.

    Returns
    -------
    pandas.DataFrame
        ``ic`` and ``rank_ic`` of the sessions of segment ``test``, see `information_coefficients`.
    """
    return _judge(train_bundle, data, *task)


def judge_trial(trial: TrialData, task: tuple[ModelSetting, dict[str, pd.DatetimeIndex]]) -> pd.DataFrame:
    """Judge as `judge_on_test` does, with the same bits; what trials on the same segments share is made once."""
    return _judge(trial.folds.train, trial.data, *task)


def _judge(
    train: Learner, data: TrainingData, setting: ModelSetting, segments: dict[str, pd.DatetimeIndex]
) -> pd.DataFrame:
    labels = setting.labels_of(data)
    bundle = train(setting.describe(segments), data.features, labels, data.universe_members, segments)
    return information_coefficients(bundle.predict(data.features, data.members_in(segments["test"])), labels)
