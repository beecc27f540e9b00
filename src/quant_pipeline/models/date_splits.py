"""Splits by date, with the gap that labels need.

The label of session ``t`` with horizon ``h`` is realised at ``t + 1 + h``. A segment therefore ends ``1 + h`` sessions
before the next one begins: otherwise the last labels of training would be returns of the validation segment.
"""

from __future__ import annotations

from datetime import date
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, NonNegativeInt, model_validator

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.clock import label_lag

SEGMENTS = ("train", "valid", "test")


class SplitParameters(Parameters):
    """First and last date of each segment.

    Attributes
    ----------
    train, valid, test
        ``[first, last]``; they must follow each other. The last date of ``test`` may be None: up to now.
    """

    train: tuple[date, date]
    valid: tuple[date, date]
    test: tuple[date, date | None]

    @model_validator(mode="after")
    def _in_order(self) -> SplitParameters:
        bounds = [*self.train, *self.valid, *(day for day in self.test if day is not None)]
        if any(earlier >= later for earlier, later in pairwise(bounds)):
            raise ValueError(
                f"train, valid and test must follow each other in time; they are {[str(day) for day in bounds]}"
            )
        return self


def split_sessions(sessions: pd.DatetimeIndex, split: SplitParameters, horizon: int) -> dict[str, pd.DatetimeIndex]:
    """Cut the sessions into segments and purge the end of the earlier ones.

    Parameters
    ----------
    sessions
        Consecutive sessions of the calendar.
    split
        Bounds.
    horizon
        Horizon of the label, in sessions.

    Returns
    -------
    dict
        ``train``, ``valid`` and ``test``. Every label of ``train`` is realised before the first session of ``valid``,
        and every label of ``valid`` before the first one of ``test``.

    Raises
    ------
    ConfigurationError
        When a segment has no session.
    """
    segments = {}
    for name in SEGMENTS:
        first, last = getattr(split, name)
        inside = sessions >= pd.Timestamp(first)
        if last is not None:
            inside &= sessions <= pd.Timestamp(last)
        segments[name] = sessions[inside]
    lag = label_lag(horizon)
    for name, following in (("train", "valid"), ("valid", "test")):
        if len(segments[following]):
            cut = sessions.get_loc(segments[following][0]) - lag
            segments[name] = segments[name][segments[name] < sessions[max(cut, 0)]]
    for name, days in segments.items():
        if days.empty:
            raise ConfigurationError(
                f"segment '{name}' of `split` (parameters_models.yml) has no session between "
                f"{sessions[0]:%Y-%m-%d} and {sessions[-1]:%Y-%m-%d}; move its dates"
            )
    return segments


class CombinatorialParameters(Parameters):
    """The ``cross_validation`` block of the parameters.

    Attributes
    ----------
    groups
        Stretches of equal length into which the sessions of ``train`` and ``valid`` are cut.
    test_groups
        Stretches that are scored in one split; the others train.
    embargo
        Sessions left out of training after each scored stretch: their features still look back into it.
    valid_share
        Last part of the training sessions that stops training early.
    """

    groups: int = Field(default=6, ge=3)
    test_groups: int = Field(default=2, ge=1)
    embargo: NonNegativeInt = 10
    valid_share: float = Field(default=0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> CombinatorialParameters:
        if self.test_groups >= self.groups:
            raise ValueError(f"test_groups ({self.test_groups}) must be smaller than groups ({self.groups})")
        return self


class CombinatorialSplit(NamedTuple):
    """One split of combinatorial purged cross-validation.

    Attributes
    ----------
    name
        The scored groups, ``"0+3"``.
    segments
        ``train``, ``valid`` and ``test`` sessions.
    """

    name: str
    segments: dict[str, pd.DatetimeIndex]


def combinatorial_splits(
    sessions: pd.DatetimeIndex, parameters: CombinatorialParameters, horizon: int
) -> list[CombinatorialSplit]:
    """Cut sessions into every choice of scored groups, purged and embargoed.

    López de Prado, *Advances in Financial Machine Learning* (2018), chapters 7 and 12. With ``N`` groups of which ``k``
    are scored there are ``C(N, k)`` splits, and every session is scored ``C(N-1, k-1)`` times, so the scores join into
    as many paths, each a whole history.

    Parameters
    ----------
    sessions
        Consecutive sessions, none of the final test.
    parameters
        How many groups, and the embargo.
    horizon
        Horizon of the label: training sessions whose label reaches into a scored group are purged, and so are those
        that a label of a scored group reaches into.

    Returns
    -------
    list of CombinatorialSplit
        In lexicographic order of the scored groups.

    Raises
    ------
    ConfigurationError
        When a split has nothing left to train on.
    """
    indices = np.array_split(np.arange(len(sessions)), parameters.groups)
    splits = []
    for chosen in combinations(range(parameters.groups), parameters.test_groups):
        name = "+".join(map(str, chosen))
        segments = _purged(sessions, [indices[group] for group in chosen], parameters, label_lag(horizon))
        if any(days.empty for days in segments.values()):
            raise ConfigurationError(
                f"`cross_validation` leaves split {name} nothing to train on; use fewer groups or a smaller embargo"
            )
        splits.append(CombinatorialSplit(name, segments))
    return splits


def _purged(
    sessions: pd.DatetimeIndex, scored: list[npt.NDArray[np.int64]], parameters: CombinatorialParameters, lag: int
) -> dict[str, pd.DatetimeIndex]:
    usable = np.ones(len(sessions), dtype=bool)
    for group in scored:
        usable[max(group[0] - lag, 0) : group[-1] + lag + parameters.embargo + 1] = False
    left = np.flatnonzero(usable)
    n_valid = max(int(len(left) * parameters.valid_share), 1)
    valid = left[-n_valid:]
    train = left[left < valid[0] - lag] if len(valid) else left
    return {"train": sessions[train], "valid": sessions[valid], "test": sessions[np.concatenate(scored)]}
