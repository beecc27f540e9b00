"""Search for hyper-parameters on the past only: every trial walks forward through stretches before the test segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import TrialState
from pydantic import Field, PositiveInt, model_validator

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.clock import label_lag
from quant_pipeline.models.date_splits import SplitParameters
from quant_pipeline.models.rolling_windows import RollingWindow
from quant_pipeline.models.spec import ModelSpec

_REASON = "reason_without_value"


class Dimension(Parameters):
    """One hyper-parameter to search.

    Attributes
    ----------
    low, high
        Bounds, both included; whole numbers search whole numbers.
    log
        Whether steps are ratios.
    choices
        Instead of bounds: the values to choose from.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[Any] | None = None

    @model_validator(mode="after")
    def _bounds_or_choices(self) -> Dimension:
        bounded = self.low is not None and self.high is not None
        if bounded == (self.choices is not None):
            raise ValueError("a dimension needs `low` and `high`, or `choices`")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        return self

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Let a trial choose a value."""
        if self.choices is not None:
            return trial.suggest_categorical(name, self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, float(self.low or 0), float(self.high or 0), log=self.log)


class TuningParameters(Parameters):
    """The ``tuning`` block of the parameters.

    Attributes
    ----------
    trials
        Trials of one study; a study that has them all does nothing more.
    folds
        Stretches that are scored one after the other; after each of them a hopeless trial is pruned.
    fold_sessions
        Length of a stretch.
    valid_sessions
        Length of the stretch before it that stops training early.
    warmup_trials
        Trials that are never pruned, because there is nothing yet to compare with.
    trials_at_once
        Trials that are suggested together, before any of them has ended. More of them use more workers of a cluster,
        and change which values are tried.
    seed
        Seed of the sampler.
    spaces
        Model to hyper-parameter to where to search.
    """

    trials: PositiveInt = 20
    folds: PositiveInt = 3
    fold_sessions: PositiveInt = 126
    valid_sessions: PositiveInt = 126
    warmup_trials: PositiveInt = 5
    trials_at_once: PositiveInt = 1
    seed: int = 7
    spaces: dict[str, dict[str, Dimension]] = Field(default_factory=dict)


def tuning_folds(
    sessions: pd.DatetimeIndex, split: SplitParameters, tuning: TuningParameters, horizon: int
) -> list[RollingWindow]:
    """Cut the sessions before the test segment into expanding training windows and the stretches that follow them.

    Parameters
    ----------
    sessions
        Consecutive sessions of the calendar.
    split
        Its ``train`` and ``valid`` bound what is used; the test segment is never seen.
    tuning
        Number and lengths of the stretches.
    horizon
        Horizon of the label: the gap between all segments, and before the test segment.

    Returns
    -------
    list of RollingWindow
        The last stretch ends where the labels of ``valid`` are realised before the first test session.

    Raises
    ------
    ConfigurationError
        When the history is too short.
    """
    gap = label_lag(horizon)
    bounds = split.bounds_at(sessions)
    first, end = (pd.Timestamp(bounds[name][0]) for name in ("train", "test"))
    history = sessions[(sessions >= first) & (sessions < end)][:-gap]
    windows = []
    for fold in range(tuning.folds):
        test_end = len(history) - (tuning.folds - 1 - fold) * tuning.fold_sessions
        test_start = test_end - tuning.fold_sessions
        valid_end = test_start - gap
        valid_start = valid_end - tuning.valid_sessions
        train_end = valid_start - gap
        if train_end < tuning.valid_sessions:
            raise ConfigurationError(
                f"`tuning` needs {tuning.folds} stretches of {tuning.fold_sessions} sessions after training and "
                f"validation, but there are only {len(history)} sessions before the test; use fewer or shorter folds"
            )
        segments = {
            "train": history[:train_end],
            "valid": history[valid_start:valid_end],
            "test": history[test_start:test_end],
        }
        windows.append(RollingWindow(f"{segments['test'][0]:%Y-%m-%d}", segments))
    return windows


def suggest_spec(spec: ModelSpec, space: Mapping[str, Dimension], trial: optuna.Trial) -> ModelSpec:
    """Return the specification with the hyper-parameters that a trial suggests; unknown names are refused."""
    suggested = {name: dimension.suggest(trial, name) for name, dimension in space.items()}
    entry = spec.model_dump()
    entry["hyper"] = {**entry["hyper"], **suggested}
    return ModelSpec.model_validate(entry)


def model_of(study: optuna.Study) -> str:
    """Return the name of the model that a study is of; at a server the name of its market comes before it."""
    return study.study_name.rpartition("/")[2]


def close_killed_trials(study: optuna.Study) -> list[int]:
    """Fail the trials that a killed process has left running, and return their numbers.

    A run holds the lock of the model that it tunes, so a trial that is running before the run begins runs nowhere.
    """
    killed = [trial.number for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]
    for number in killed:
        study.tell(number, state=TrialState.FAIL)
    return killed


def ended_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """List the trials that came to a value of their own, in order; killed ones and those without one do not count."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def give_up(trial: optuna.Trial, reason: str) -> str:
    """Note why a trial has no value, and return that."""
    trial.set_user_attr(_REASON, reason)
    return reason


def reasons_without_value(study: optuna.Study) -> list[str]:
    """List why trials have no value, in order; those of killed runs have no reason."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return [trial.user_attrs[_REASON] for trial in failed if _REASON in trial.user_attrs]


def sampler_of(study: optuna.Study, seed: int) -> optuna.samplers.BaseSampler:
    """Return a sampler whose choices depend on the seed and on the trials that have ended, with a value or without.

    So a trial that was killed is suggested again with the same values, and one that came to no value is not.
    """
    return optuna.samplers.TPESampler(seed=seed + len(ended_trials(study)) + len(reasons_without_value(study)))


def trials_table(study: optuna.Study) -> pd.DataFrame:
    """Return the trials of a study that have ended, best first; those of killed runs were repeated and are left out.

    Returns
    -------
    pandas.DataFrame
        ``trial`` (counted from 0), ``state`` (``complete``, ``pruned``), ``value`` (mean rank IC of the stretches that
        were scored), ``stretches``, and one column ``hyper.<name>`` per dimension.
    """
    rows = [
        {
            "trial": number,
            "state": trial.state.name.lower(),
            "value": trial.intermediate_values[trial.last_step] if trial.last_step is not None else np.nan,
            "stretches": len(trial.intermediate_values),
            **{f"hyper.{name}": value for name, value in trial.params.items()},
        }
        for number, trial in enumerate(ended_trials(study))
    ]
    columns = None if rows else ["trial", "state", "value", "stretches"]
    table = pd.DataFrame(rows, columns=columns).astype({"state": "str"})
    order = table.assign(rank=table["state"].map({"complete": 0, "pruned": 1})).sort_values(
        ["rank", "value", "trial"], ascending=[True, False, True]
    )
    return order.drop(columns="rank").reset_index(drop=True)
