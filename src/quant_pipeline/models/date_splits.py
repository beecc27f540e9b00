"""Splits by date with the gap that labels need: train, validation, test; combinatorial splits of cross-validation.

The label of session ``t`` with horizon ``h`` is realised at ``t + 1 + h``. A segment therefore ends ``1 + h`` sessions
before the next one begins: otherwise the last labels of training would be returns of the validation segment.
"""

from __future__ import annotations

from datetime import date
from itertools import combinations, pairwise
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import (
    Field,
    NonNegativeInt,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.clock import label_lag
from quant_pipeline.models.window_lengths import Length, Refit, offset_of, refit_date

SEGMENTS = ("train", "valid", "test")
_HOLIDAYS = pd.Timedelta(days=10)
"""Longest stretch of holidays before the first session of a window."""


Dates = tuple[date, date | None]
"""First and last date of a segment; None: up to now."""
_DATES, _LENGTH = TypeAdapter(Dates), TypeAdapter(Length)


def _read_segment(given: Any, _: ValidatorFunctionWrapHandler) -> Any:
    """Read a text as a length and anything else as dates: what is wrong with one is one message."""
    return (_LENGTH if isinstance(given, str) else _DATES).validate_python(given)


Segment = Annotated[Length | Dates, WrapValidator(_read_segment)]
"""A segment by its length or by its dates."""


class SplitParameters(Parameters):
    """The segments of training: fixed dates, or lengths of windows that move with the calendar.

    Attributes
    ----------
    train, valid, test
        ``[first, last]``, one after the other; the last date of ``test`` may be None: up to now. Or the length of all
        three, ``8 years``, ``2 years``, ``3 years``: ``test`` begins its length before the last refit and goes up to
        now.
    refit
        Of lengths: windows move at the first session of each week, month, quarter or year, and stay in between.
    window
        Of lengths: ``sliding`` trains on the last ``train``; ``expanding`` on everything since the first session, which
        has to be ``train`` before ``valid`` at least.
    anchor
        Of lengths: the date that windows end at instead of the session of the run.
    """

    train: Segment
    valid: Segment
    test: Segment
    refit: Refit = "monthly"
    window: Literal["sliding", "expanding"] = "sliding"
    anchor: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> SplitParameters:
        spans = [self.train, self.valid, self.test]
        dates = [span for span in spans if not isinstance(span, str)]
        if 0 < len(dates) < len(spans):
            raise ValueError("train, valid and test must all be dates, or all be lengths such as `8 years`")
        bounds = [day for span in dates for day in span]
        if None in bounds[:-1]:
            raise ValueError("only the last date of test may be left open")
        known = [day for day in bounds if day is not None]
        if any(earlier >= later for earlier, later in pairwise(known)):
            raise ValueError(
                f"train, valid and test must follow each other in time; they are {[str(day) for day in known]}"
            )
        return self

    @property
    def moves(self) -> bool:
        """Whether the segments are lengths."""
        return isinstance(self.train, str)

    def bounds_at(self, sessions: pd.DatetimeIndex) -> dict[str, Dates]:
        """Return first and last date of each segment as they are after the last of some sessions.

        Raises
        ------
        ConfigurationError
            When there is no session, or they do not reach back far enough for the lengths.
        """
        if sessions.empty:
            raise ConfigurationError(
                "no segment of `split` (parameters_models.yml) has a session: the market has none up to that of the "
                "run; name a later one with --params as_of=…, or ingest earlier bars"
            )
        if not (isinstance(self.train, str) and isinstance(self.valid, str) and isinstance(self.test, str)):
            return {name: getattr(self, name) for name in SEGMENTS}
        test = refit_date(pd.Timestamp(self.anchor or sessions[-1]), self.refit) - offset_of(self.test)
        valid = test - offset_of(self.valid)
        train = valid - offset_of(self.train)
        if sessions[0] > train + _HOLIDAYS:
            raise ConfigurationError(
                f"`split` needs sessions from {train:%Y-%m-%d} to train {self.train}, validate {self.valid} and test "
                f"{self.test}, and the market begins on {sessions[0]:%Y-%m-%d}; shorten one in parameters_models.yml"
            )
        first = sessions[0] if self.window == "expanding" else train
        day = pd.Timedelta(days=1)
        return {
            "train": (first.date(), (valid - day).date()),
            "valid": (valid.date(), (test - day).date()),
            "test": (test.date(), None),
        }


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
    for name, (first, last) in split.bounds_at(sessions).items():
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
