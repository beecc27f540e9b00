"""Nodes of the hyper-parameter search; each runs once per registered model that has a space."""

import logging

import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState

from quant_pipeline.common.exceptions import ConfigurationError, ModelError
from quant_pipeline.common.progress import track
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.feature_sets import FeatureSet
from quant_pipeline.models.cross_validation import SplitParameters
from quant_pipeline.models.rolling import RollingWindow
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.training import is_member, train_bundle
from quant_pipeline.models.tuning import (
    TuningParameters,
    close_killed_trials,
    ended_trials,
    sampler_of,
    suggest_spec,
    trials_table,
    tuning_folds,
)
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.training.nodes import describe_model

logger = logging.getLogger(__name__)


def search_hyper_parameters(
    features: pd.DataFrame,
    labels: pd.DataFrame,
    universe_members: pd.DataFrame,
    sessions: pd.DataFrame,
    spec: ModelSpec,
    feature_set: FeatureSet,
    label: LabelParameters,
    market_rules: MarketRules,
    split: SplitParameters,
    tuning: TuningParameters,
    study: optuna.Study,
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Run the trials that a study still lacks; a trial is worth the mean rank IC of the stretches it scores.

    The study carries the name of the model.

    Returns
    -------
    tuple
        The table of trials, and what to write into the registry: ``hyper`` of the best trial, its ``rank_ic``, and
        the ``rank_ic_as_registered`` of the trial that uses the registered values, None where it has none.

    Raises
    ------
    ModelError
        When no trial has a rank IC.
    """
    name = study.study_name
    folds = tuning_folds(pd.DatetimeIndex(sessions["date"]), split, tuning, label.horizon)
    last = folds[-1].segments["test"][-1]
    features = features[features.index.get_level_values("datetime") <= last]
    member = is_member(features.index, universe_members)

    def rank_ic(candidate: ModelSpec, fold: RollingWindow) -> float:
        facts = describe_model(candidate, feature_set, label, market_rules, fold.segments)
        bundle = train_bundle(facts, features, labels["label"], universe_members, fold.segments)
        scored = member & features.index.get_level_values("datetime").isin(fold.segments["test"])
        scores = bundle.predict(features, np.flatnonzero(scored))
        return float(information_coefficients(scores, labels["label"])["rank_ic"].mean())

    def objective(trial: optuna.Trial) -> float:
        candidate = suggest_spec(spec, tuning.spaces[name], trial)
        values = []
        for step, fold in enumerate(folds):
            values.append(rank_ic(candidate, fold))
            trial.report(float(np.mean(values)), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(values))

    killed = close_killed_trials(study)
    if killed:
        logger.warning("%s: %d trials of a killed run are closed and repeated", name, len(killed))
    _enqueue_registered(study, spec, tuning)
    for _ in track(range(_missing(study, tuning)), f"tuning {name}"):
        study.sampler = sampler_of(study, tuning.seed)
        study.optimize(objective, n_trials=1)
    return trials_table(study), _verdict(study)


def _missing(study: optuna.Study, tuning: TuningParameters) -> int:
    ended = len(ended_trials(study))
    if ended >= tuning.trials:
        logger.info("%s has its %d trials; raise `tuning.trials` to search on", study.study_name, ended)
    return max(tuning.trials - ended, 0)


def _enqueue_registered(study: optuna.Study, spec: ModelSpec, tuning: TuningParameters) -> None:
    """Let the first trial be what the registry has, so that a search never ends below it."""
    name = study.study_name
    hyper = spec.hyper.model_dump()
    unknown = sorted(set(tuning.spaces[name]) - set(hyper))
    if unknown:
        raise ConfigurationError(f"`tuning.spaces.{name}`: {spec.algorithm} has no hyper-parameters {unknown}")
    if not ended_trials(study) and not study.get_trials(states=(TrialState.WAITING,)):
        study.enqueue_trial({dimension: hyper[dimension] for dimension in tuning.spaces[name]})


def _verdict(study: optuna.Study) -> dict[str, object]:
    ended = ended_trials(study)
    if not any(trial.state == TrialState.COMPLETE for trial in ended):
        raise ModelError(
            f"{study.study_name}: none of its trials has a rank IC, because some stretch has no session in which "
            "scores and labels vary; check the labels and `universe`, or use fewer or longer stretches "
            "(`tuning.folds`, `tuning.fold_sessions`)"
        )
    best = study.best_trial
    # The enqueued trial has the registered values; the first that ended is another one where it has no rank IC.
    registered = next((trial.value for trial in ended if "fixed_params" in trial.system_attrs), None)
    known = "without one" if registered is None else f"{registered:.4f}"
    logger.info("%s: rank IC %.4f with %s, %s as registered", study.study_name, best.value, best.params, known)
    return {
        "hyper": best.params,
        "rank_ic": best.value,
        "rank_ic_as_registered": registered,
        "trial": [trial.number for trial in ended].index(best.number),
    }
