"""Processors that learn from the training window (robust z-score, winsorise); their state travels with the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.processors.specs import RobustZScore, Winsorise

Floats = npt.NDArray[np.float32]
Arrays = dict[str, Floats]

# Median absolute deviation to standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826

STATE_VERSION = 1
"""Meaning of the arrays in a state. A change of meaning counts it up, so that an old state is refused, not misread."""
VERSION = "version"

BLOCK = 16
"""Most factors that are learned from at once: medians need copies of what they are taken of."""


class FittedProcessor(ABC):
    """What the fitted processors share: a state with a version, and refusing to work without it.

    Parameters
    ----------
    state
        As saved after fitting; empty before. A state without version is of the first one.
    """

    title: str

    def __init__(self, state: Arrays) -> None:
        self.state = state

    def fit(self, parts: Iterable[pd.DataFrame], rows: npt.NDArray[np.int64] | None = None) -> None:
        """Learn from rows of the training window; infinite values are missing.

        Parameters
        ----------
        parts
            The factors of one panel, some of them after the others.
        rows
            Places of the rows of training; None takes all.
        """
        blocks = [self._learn(_finite(part, rows)) for part in parts]
        learned = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        self.state = {**learned, VERSION: np.array([STATE_VERSION], dtype=np.float32)}

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Apply what was learned.

        Raises
        ------
        ModelError
            When there is no state, or it is of another version, or of other factors.
        """
        values = features.to_numpy(dtype=np.float32, copy=True)
        self.change(values)
        return pd.DataFrame(values, index=features.index, columns=features.columns)

    def change(self, values: Floats) -> None:
        """Apply what was learned, in place; errors as of `transform`."""
        self._check(values.shape[1])
        self._apply(values)

    def _check(self, factors: int) -> None:
        if not self.state:
            raise ModelError(f"{self.title} has not been fitted; a bundle without its state cannot predict")
        version = int(self.state.get(VERSION, [1])[0])
        if version != STATE_VERSION:
            raise ModelError(
                f"{self.title} has a state of version {version}, this program reads version {STATE_VERSION}. "
                "Train the model again."
            )
        fitted = next(array for name, array in self.state.items() if name != VERSION)
        if len(fitted) != factors:
            raise ModelError(f"{self.title} was fitted on {len(fitted)} factors and is given {factors}")

    @abstractmethod
    def _learn(self, values: Floats) -> Arrays: ...

    @abstractmethod
    def _apply(self, values: Floats) -> None: ...


class RobustZScoreProcessor(FittedProcessor):
    """See `RobustZScore`; a constant factor becomes zero."""

    title = "the robust z-score"

    def __init__(self, spec: RobustZScore, state: Arrays) -> None:
        super().__init__(state)
        self._clip = np.float32(spec.clip)

    def _learn(self, values: Floats) -> Arrays:
        median = np.nanmedian(values, axis=0)
        deviation = np.nanmedian(np.abs(values - median), axis=0) * np.float32(MAD_TO_DEVIATION)
        return {"median": median, "deviation": np.where(deviation > 0, deviation, np.float32(1.0))}

    def _apply(self, values: Floats) -> None:
        values -= self.state["median"]
        values /= self.state["deviation"]
        np.clip(values, -self._clip, self._clip, out=values)


class WinsoriseProcessor(FittedProcessor):
    """See `Winsorise`; missing values stay missing, infinite ones are pulled back too."""

    title = "winsorising"

    def __init__(self, spec: Winsorise, state: Arrays) -> None:
        super().__init__(state)
        self._spec = spec

    def _learn(self, values: Floats) -> Arrays:
        lower, upper = np.nanquantile(values, [self._spec.lower, self._spec.upper], axis=0).astype("float32")
        return {"lower": lower, "upper": upper}

    def _apply(self, values: Floats) -> None:
        np.clip(values, self.state["lower"], self.state["upper"], out=values)


def state_of(state: Arrays, factors: npt.NDArray[np.intp]) -> Arrays:
    """Return what was learned of some factors, by their places; a step that learns nothing has an empty state."""
    return {name: array if name == VERSION else array[factors] for name, array in state.items()}


def _finite(features: pd.DataFrame, rows: npt.NDArray[np.int64] | None) -> Floats:
    values = features.to_numpy(dtype=np.float32)
    values = values if rows is None else values[rows]
    return np.where(np.isfinite(values), values, np.float32(np.nan))
