"""Windows of a walk forward: train on the past, score the next stretch, move on.

The test stretches follow each other without a hole, so their scores join into one series in which every score comes
from a model that had seen nothing of its session.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple, assert_never

import pandas as pd
from pydantic import NonNegativeInt, PositiveInt

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.clock import label_lag
from quant_pipeline.models.date_splits import SplitParameters
from quant_pipeline.models.window_lengths import PERIODS, Refit


class RollingParameters(Parameters):
    """The ``rolling`` block of the parameters.

    Attributes
    ----------
    frequency
        How often the models are retrained: in which calendar periods the test sessions are cut.
    mode
        ``expanding`` trains on all sessions since ``start``, ``rolling`` on the last ``train_sessions``.
    start
        First session that may be trained on; None: that of `split`.
    first_test
        First session that is scored; None: that of the test segment of `split`.
    train_sessions
        Length of the training window in mode ``rolling``; the shortest that is accepted in mode ``expanding``.
    valid_sessions
        Length of the stretch before the test that stops training early.
    embargo
        Sessions left out before validation and test, beyond the gap that labels need.
    """

    frequency: Refit = "quarterly"
    mode: Literal["expanding", "rolling"] = "expanding"
    start: date | None = None
    first_test: date | None = None
    train_sessions: PositiveInt = 504
    valid_sessions: PositiveInt = 126
    embargo: NonNegativeInt = 0

    def within(self, split: SplitParameters, sessions: pd.DatetimeIndex) -> RollingParameters:
        """Take the dates that are not stated from the segments of training."""
        bounds = split.bounds_at(sessions)
        dates = {"start": self.start or bounds["train"][0], "first_test": self.first_test or bounds["test"][0]}
        return self.model_copy(update=dates)


class RollingWindow(NamedTuple):
    """One step of the walk.

    Attributes
    ----------
    name
        First test session, ``YYYY-MM-DD``.
    segments
        ``train``, ``valid`` and ``test`` sessions; the last label of each is realised before the next begins.
    """

    name: str
    segments: dict[str, pd.DatetimeIndex]


def rolling_windows(sessions: pd.DatetimeIndex, parameters: RollingParameters, horizon: int) -> list[RollingWindow]:
    """Cut the sessions into the windows of a walk forward.

    Parameters
    ----------
    sessions
        Consecutive sessions of the calendar.
    parameters
        Lengths and frequency, with both dates, see `RollingParameters.within`.
    horizon
        Horizon of the label, in sessions; with the execution lag it is the gap between segments.

    Returns
    -------
    list of RollingWindow
        In time order. Their test sessions are all sessions since ``first_test``, each once.

    Raises
    ------
    ConfigurationError
        When there is no test session, or not enough history before the first one.
    """
    history = sessions[sessions >= pd.Timestamp(parameters.start)]
    tests = history[history >= pd.Timestamp(parameters.first_test)]
    if tests.empty:
        raise ConfigurationError(
            f"`rolling.first_test` is {parameters.first_test}, but the sessions end on {sessions[-1]:%Y-%m-%d}"
        )
    periods = tests.to_period(PERIODS[parameters.frequency])
    return [_window(history, tests[periods == period], parameters, horizon) for period in periods.unique()]


def _window(
    history: pd.DatetimeIndex, test: pd.DatetimeIndex, parameters: RollingParameters, horizon: int
) -> RollingWindow:
    gap = label_lag(horizon) + parameters.embargo
    valid_end = history.get_loc(test[0]) - gap
    valid_start = valid_end - parameters.valid_sessions
    train_end = valid_start - gap
    earliest = train_end - parameters.train_sessions
    if earliest < 0:
        raise ConfigurationError(
            f"the walk from {test[0]:%Y-%m-%d} needs {parameters.train_sessions} sessions of training and "
            f"{parameters.valid_sessions} of validation since {history[0]:%Y-%m-%d}, and there are {max(train_end, 0)} "
            "to train on; move `rolling.first_test` or shorten `rolling.train_sessions`"
        )
    match parameters.mode:
        case "rolling":
            train_start = earliest
        case "expanding":
            train_start = 0
        case unknown:
            assert_never(unknown)
    return RollingWindow(
        f"{test[0]:%Y-%m-%d}",
        {"train": history[train_start:train_end], "valid": history[valid_start:valid_end], "test": test},
    )
