"""Processors one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pandas as pd

from quant_pipeline.factors.processors import cross_sectional, fitted, specs
from quant_pipeline.factors.processors.fitted import Arrays
from quant_pipeline.factors.processors.specs import ProcessorSpec


class Processor(Protocol):
    """One step; `state` is empty for a step that learns nothing."""

    state: Arrays

    def fit(self, features: pd.DataFrame) -> None:
        """Learn from the training window."""
        ...

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return transformed features of the same shape; the input is not changed."""
        ...


_PROCESSORS: dict[type, Any] = {
    specs.RobustZScore: fitted.RobustZScoreProcessor,
    specs.Winsorise: fitted.WinsoriseProcessor,
    specs.FillMissing: cross_sectional.FillMissingProcessor,
    specs.CrossSectionalFill: cross_sectional.CrossSectionalFillProcessor,
    specs.CrossSectionalZScore: cross_sectional.CrossSectionalZScoreProcessor,
    specs.CrossSectionalRank: cross_sectional.CrossSectionalRankProcessor,
    specs.Neutralise: cross_sectional.NeutraliseProcessor,
}


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
