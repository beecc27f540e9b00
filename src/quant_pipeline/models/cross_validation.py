"""Splits by date, with the gap that labels need.

The label of session ``t`` with horizon ``h`` is realised at ``t + 1 + h``. A segment therefore ends ``1 + h`` sessions
before the next one begins: otherwise the last labels of training would be returns of the validation segment.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pandas as pd
from pydantic import model_validator

from quant_pipeline.exceptions import ConfigurationError
from quant_pipeline.parameters import Parameters
from quant_pipeline.strategy.clock import label_lag

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
