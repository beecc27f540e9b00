"""Processors: what happens to features and labels between the engine and a model.

A processor that learns something learns it from the training window only; its state travels with the model, so that
prediction transforms exactly as training did and never fits again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, PositiveFloat

from quant_pipeline.exceptions import ModelError
from quant_pipeline.parameters import Parameters

Arrays = dict[str, npt.NDArray[np.float32]]

# Median absolute deviation to standard deviation of a normal distribution.
MAD_TO_DEVIATION = 1.4826


class Processor(Protocol):
    """One step; `state` is empty for a step that learns nothing."""

    state: Arrays

    def fit(self, features: pd.DataFrame) -> None:
        """Learn from the training window."""
        ...

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return transformed features of the same shape; the input is not changed."""
        ...


class RobustZScore(Parameters):
    """Centre by the median, scale by the median absolute deviation, clip.

    Attributes
    ----------
    clip
        Largest absolute value of the result.
    """

    kind: Literal["robust_zscore"] = "robust_zscore"
    clip: PositiveFloat = 3.0


class FillMissing(Parameters):
    """Replace missing and infinite values by a constant."""

    kind: Literal["fill"] = "fill"
    value: float = 0.0


class CrossSectionalRank(Parameters):
    """Replace values by their centred rank within the session, scaled to about unit variance."""

    kind: Literal["cross_sectional_rank"] = "cross_sectional_rank"


ProcessorSpec = Annotated[RobustZScore | FillMissing | CrossSectionalRank, Field(discriminator="kind")]


class _RobustZScore:
    def __init__(self, spec: RobustZScore, state: Arrays) -> None:
        self._clip = np.float32(spec.clip)
        self.state = state

    def fit(self, features: pd.DataFrame) -> None:
        values = features.to_numpy(dtype=np.float32)
        values = np.where(np.isfinite(values), values, np.nan)
        median = np.nanmedian(values, axis=0)
        deviation = np.nanmedian(np.abs(values - median), axis=0) * np.float32(MAD_TO_DEVIATION)
        self.state = {"median": median, "deviation": np.where(deviation > 0, deviation, np.float32(1.0))}

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        if not self.state:
            raise ModelError("the robust z-score has not been fitted; a bundle without its state cannot predict")
        scaled = (features.to_numpy(dtype=np.float32) - self.state["median"]) / self.state["deviation"]
        return pd.DataFrame(np.clip(scaled, -self._clip, self._clip), index=features.index, columns=features.columns)


class _FillMissing:
    def __init__(self, spec: FillMissing, state: Arrays) -> None:
        self._value = np.float32(spec.value)
        self.state = state

    def fit(self, features: pd.DataFrame) -> None:
        """Nothing to learn."""

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        values = features.to_numpy(dtype=np.float32)
        filled = np.where(np.isfinite(values), values, self._value)
        return pd.DataFrame(filled, index=features.index, columns=features.columns)


class _CrossSectionalRank:
    def __init__(self, spec: CrossSectionalRank, state: Arrays) -> None:
        self.state = state

    def fit(self, features: pd.DataFrame) -> None:
        """Nothing to learn: a session is ranked within itself."""

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        ranks = features.groupby(level="datetime", sort=False).rank(pct=True)
        return ((ranks - 0.5) * np.sqrt(12.0)).astype("float32")


_PROCESSORS = {RobustZScore: _RobustZScore, FillMissing: _FillMissing, CrossSectionalRank: _CrossSectionalRank}


class ProcessorChain:
    """Processors one after the other.

    Parameters
    ----------
    specs
        The steps, in order.
    states
        Learned state of every step, as saved with a bundle; None before fitting.
    """

    def __init__(self, specs: Sequence[ProcessorSpec], states: Sequence[Arrays] | None = None) -> None:
        states = [{} for _ in specs] if states is None else states
        self._steps: list[Processor] = [
            _PROCESSORS[type(spec)](spec, state) for spec, state in zip(specs, states, strict=True)
        ]

    def fit_transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Fit every step on the output of the one before and return the result; pass training rows only."""
        for step in self._steps:
            step.fit(features)
            features = step.transform(features)
        return features

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Apply the fitted steps; the rows of different sessions never mix, except within their own session."""
        for step in self._steps:
            features = step.transform(features)
        return features

    @property
    def states(self) -> list[Arrays]:
        """Learned state of every step."""
        return [step.state for step in self._steps]
