"""Processors that learn from the training window (robust z-score, winsorise); their state travels with the model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.kernels.measures import MAD_TO_DEVIATION
from quant_pipeline.factors.processors.specs import RobustZScore, Winsorise
from quant_pipeline.factors.session_rows import Floats, SessionRows

Arrays = dict[str, Floats]
Change = Callable[[npt.NDArray[Any], Floats, slice], None]
"""Changes some factors: what is given, ``(row, factor)``, where the result goes (maybe the same), and their places."""

STATE_VERSION = 1
"""Meaning of the arrays in a state. A change of meaning counts it up, so that an old state is refused, not misread."""
VERSION = "version"

BLOCK = 16
"""Most factors that are learned from at once: medians need copies of what they are taken of."""


_SOME: Final = 2**12
"""Numbers that are looked at before a median."""
_REACH: Final = 2 * math.isqrt(_SOME)
"""Places on both sides of their own median within which that of all lies: four standard deviations of its place."""


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

    def fit(
        self,
        read: Callable[[list[str]], pd.DataFrame],
        batches: Sequence[list[str]],
        rows: npt.NDArray[np.int64] | None = None,
        most: int | None = None,
    ) -> None:
        """Learn from rows of the training window; infinite values are missing.

        Parameters
        ----------
        read
            Returns factors of the panel by their names; called in several threads.
        batches
            Names of all factors, those together that are read together.
        rows
            Places of the rows of training; None takes all.
        most
            Most batches that are learned from at the same time; None for as many as there are cores.
        """
        learned_of = map_on_cores(lambda names: self._learn_each(read(names), rows), batches, most)
        blocks = [block for batch in learned_of for block in batch]
        # Equal numbers are sorted in any order, so a zero may have either sign: adding zero makes it positive.
        learned = {name: np.concatenate([block[name] for block in blocks]) + np.float32(0.0) for name in blocks[0]}
        self.state = {**learned, VERSION: np.array([STATE_VERSION], dtype=np.float32)}

    def _learn_each(self, part: pd.DataFrame, rows: npt.NDArray[np.int64] | None) -> list[Arrays]:
        """Learn from one factor after the other, on all cores; a part without factors has an empty state."""
        if not part.shape[1]:
            return [{name: array[:0] for name, array in self._learn(np.empty(0, dtype=np.float32)).items()}]
        columns = list(part.to_numpy(dtype=np.float32).T)
        return map_on_cores(lambda column: self._learn(column if rows is None else column.take(rows)), columns)

    def change_of(self, features: pd.DataFrame, rows: SessionRows) -> Change:
        """Return what applies what was learned, see `require_state_of`."""
        self.require_state_of(features.shape[1])

        def change(given: npt.NDArray[Any], out: Floats, factors: slice) -> None:
            out[...] = given
            self._apply(out, state_of(self.state, factors))

        return change

    def require_state_of(self, factors: int) -> None:
        """Raise an error unless as many factors as are given were learned.

        Raises
        ------
        ModelError
            When there is no state, or it is of another version, or of other factors.
        """
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
    def _learn(self, values: Floats) -> Arrays:
        """Learn from one factor, which stays as it is; arrays of one number, missing where nothing is known.

        Values that are not finite are missing.
        """

    @abstractmethod
    def _apply(self, values: Floats, state: Arrays) -> None: ...


class RobustZScoreProcessor(FittedProcessor):
    """See `RobustZScore`; a constant factor becomes zero."""

    title = "the robust z-score"

    def __init__(self, spec: RobustZScore, state: Arrays) -> None:
        super().__init__(state)
        self._clip = np.float32(spec.clip)

    def _learn(self, values: Floats) -> Arrays:
        known, count = _without_infinite(values)
        median = _median(known, count)
        known -= median
        deviation = _median(np.abs(known, out=known), count) * np.float32(MAD_TO_DEVIATION)
        return {"median": median, "deviation": np.where(deviation > 0, deviation, np.float32(1.0))}

    def _apply(self, values: Floats, state: Arrays) -> None:
        values -= state["median"]
        values /= state["deviation"]
        np.clip(values, -self._clip, self._clip, out=values)


class WinsoriseProcessor(FittedProcessor):
    """See `Winsorise`; missing values stay missing, infinite ones are pulled back too."""

    title = "winsorising"

    def __init__(self, spec: Winsorise, state: Arrays) -> None:
        super().__init__(state)
        self._spec = spec

    def _learn(self, values: Floats) -> Arrays:
        known = values[np.isfinite(values)] if np.isfinite(values).any() else np.full(1, np.nan, dtype=np.float32)
        known.sort()  # Vector code, as for one middle number; quantiles of sorted numbers take little more.
        lower, upper = np.quantile(known, [self._spec.lower, self._spec.upper]).astype("float32")
        return {"lower": np.array([lower]), "upper": np.array([upper])}

    def _apply(self, values: Floats, state: Arrays) -> None:
        np.clip(values, state["lower"], state["upper"], out=values)


def _median(values: Floats, known: int) -> Floats:
    """Return the median of numbers, as `numpy.median` has it, and sort them in part; of none it is missing.

    NumPy looks for both middle numbers and the last one at once; for one alone it has code that takes a tenth of that.

    Parameters
    ----------
    values
        Numbers, and NaN where one is missing.
    known
        How many are not missing.
    """
    if not known:
        return np.full(1, np.nan, dtype=np.float32)
    half, is_odd = known // 2, known % 2
    middle = below = _repeated_median(values, known)
    if middle is None or below is None:
        values.partition(half)
        middle, below = values[half : half + 1].copy(), values[:half].max(initial=-np.inf)
    return middle if is_odd else (below + middle) / np.float32(2.0)


def _repeated_median(values: Floats, known: int) -> Floats | None:
    """Return what both middle numbers are equal to, where some values say that many are; otherwise None.

    Where most numbers occur again and again, a partition takes up to ten times as long as of others.
    """
    some = np.sort(values[:: max(len(values) // _SOME, 1)])
    half = np.count_nonzero(~np.isnan(some)) // 2
    around = some[max(half - _REACH, 0) : half + _REACH]
    if len(around) < 2 * _REACH or around[0] != around[-1]:
        return None
    are_few_below = np.count_nonzero(values < around[0]) <= (known - 1) // 2
    return around[:1] if are_few_below and np.count_nonzero(values <= around[0]) > known // 2 else None


def _without_infinite(values: Floats) -> tuple[Floats, int]:
    """Return a copy of values without the infinite ones, and how many of them are not missing."""
    are_finite = np.isfinite(values)
    count = int(np.count_nonzero(are_finite))
    # Beside numbers a partition leaves what is missing behind them; to leave it out takes as long as a partition.
    is_any_infinite = count < len(values) and np.count_nonzero(np.isnan(values)) < len(values) - count
    return values[are_finite] if is_any_infinite else values.copy(), count


def state_of(state: Arrays, factors: npt.NDArray[np.intp] | slice) -> Arrays:
    """Return what was learned of some factors, by their places; a step that learns nothing has an empty state."""
    return {name: array if name == VERSION else array[factors] for name, array in state.items()}
