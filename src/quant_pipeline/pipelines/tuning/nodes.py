"""Nodes of the hyper-parameter search; each runs once per registered model that has a space."""

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState

from quant_pipeline.common.exceptions import ConfigurationError, ModelError
from quant_pipeline.common.progress import track
from quant_pipeline.common.tasks import run_tasks
from quant_pipeline.models.date_splits import SplitParameters
from quant_pipeline.models.panel_rows import known_at_close
from quant_pipeline.models.rolling_windows import RollingWindow
from quant_pipeline.models.shared_folds import SharedFolds
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.models.tuning import (
    TuningParameters,
    close_killed_trials,
    ended_trials,
    give_up,
    model_of,
    reasons_without_value,
    sampler_of,
    suggest_spec,
    trials_table,
    tuning_folds,
)
from quant_pipeline.pipelines.training.records import ModelSetting, TrainingData, TrialData, judge_trial
from quant_pipeline.pipelines.wiring import takes_records

logger = logging.getLogger(__name__)


@takes_records(data=TrainingData, setting=ModelSetting)
def search_hyper_parameters(
    data: TrainingData, setting: ModelSetting, split: SplitParameters, tuning: TuningParameters, study: optuna.Study
) -> tuple[pd.DataFrame, dict[str, object]]:
    """Run the trials that a study still lacks; a trial is worth the mean rank IC of the stretches it scores.

    One without a rank IC, because its model cannot be trained or scores all alike, is reported and takes the place of a
    trial in this run; the next run tries others. The study is named after the model.

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
    name = model_of(study)
    folds = tuning_folds(data.days, split, tuning, setting.label.horizon)
    last = folds[-1].segments["test"][-1]
    known = replace(data, features=known_at_close(data.features, last)).read_by(setting)
    killed = close_killed_trials(study)
    if killed:
        logger.warning("%s: %d trials that a run left unfinished are closed and repeated", name, len(killed))
    _enqueue_registered(study, setting.spec, tuning)
    missing = _missing(study, tuning)
    ended = _run_trials(study, tuning, missing, setting, TrialData(known, SharedFolds()), folds)
    for reason in track(ended, f"tuning {name}", missing):
        if reason:
            logger.warning("%s: a trial has no rank IC and is not repeated: %s", name, reason)
    return trials_table(study), _verdict(study)


def _run_trials(
    study: optuna.Study,
    tuning: TuningParameters,
    count: int,
    setting: ModelSetting,
    data: TrialData,
    folds: list[RollingWindow],
) -> Iterator[str | None]:
    """Suggest, judge and store trials; yield after each why it has no value, None where it has one.

    Trials that are suggested together are stored together: what is suggested next depends on all of them, also after a
    run was killed.
    """
    for first in range(0, count, tuning.trials_at_once):
        study.sampler = sampler_of(study, tuning.seed)
        trials = [study.ask() for _ in range(min(tuning.trials_at_once, count - first))]
        space = tuning.spaces[model_of(study)]
        candidates = [replace(setting, spec=suggest_spec(setting.spec, space, trial)) for trial in trials]
        judged = [
            run_tasks(judge_trial, data, [(candidate, fold.segments) for fold in folds]) for candidate in candidates
        ]
        outcomes = [_judge_trial(trial, folds, each) for trial, each in zip(trials, judged, strict=True)]
        for trial, outcome in zip(trials, outcomes, strict=True):
            study.tell(trial, outcome.value, outcome.state)
            yield outcome.reason


class _Outcome(NamedTuple):
    state: TrialState
    value: float | None = None
    reason: str | None = None


def _judge_trial(trial: optuna.Trial, folds: list[RollingWindow], judged: Generator[pd.DataFrame]) -> _Outcome:
    """Take the stretches of a trial in their order, and leave out the rest of a hopeless one."""
    values: list[float] = []
    with closing(judged):
        for step, fold in enumerate(folds):
            try:
                values.append(float(next(judged)["rank_ic"].mean()))
            except ModelError as error:
                return _Outcome(TrialState.FAIL, reason=give_up(trial, str(error)))
            if not np.isfinite(values[-1]):
                reason = f"in no session of the stretch from {fold.name} do scores and labels vary"
                return _Outcome(TrialState.FAIL, reason=give_up(trial, reason))
            trial.report(float(np.mean(values)), step)
            if trial.should_prune():
                return _Outcome(TrialState.PRUNED)
    return _Outcome(TrialState.COMPLETE, float(np.mean(values)))


def _missing(study: optuna.Study, tuning: TuningParameters) -> int:
    ended = len(ended_trials(study))
    if ended >= tuning.trials:
        logger.info("%s has its %d trials; raise `tuning.trials` to search on", model_of(study), ended)
    return max(tuning.trials - ended, 0)


def _enqueue_registered(study: optuna.Study, spec: ModelSpec, tuning: TuningParameters) -> None:
    """Let the first trial be what the registry has, so that a search never ends below it."""
    name = model_of(study)
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
            f"{model_of(study)}: none of its trials has a rank IC, the last one because "
            f"{(reasons_without_value(study) or ['it was interrupted'])[-1]}; check the labels and `universe`, or use "
            "fewer or longer stretches (`tuning.folds`, `tuning.fold_sessions`)"
        )
    best = study.best_trial
    # The enqueued trial has the registered values; the first that ended is another one where it has no rank IC.
    registered = next((trial.value for trial in ended if "fixed_params" in trial.system_attrs), None)
    known = "without one" if registered is None else f"{registered:.4f}"
    logger.info("%s: rank IC %.4f with %s, %s as registered", model_of(study), best.value, best.params, known)
    return {
        "hyper": best.params,
        "rank_ic": best.value,
        "rank_ic_as_registered": registered,
        "trial": [trial.number for trial in ended].index(best.number),
    }
