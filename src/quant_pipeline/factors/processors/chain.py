"""Processors one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.factors.feature_sets import TRADED
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


def compares(processors: Sequence[ProcessorSpec]) -> bool:
    """Return whether a step compares the instruments of a session, for which it has to know which of them trade."""
    return any(issubclass(_PROCESSORS[type(spec)], cross_sectional.ComparingProcessor) for spec in processors)


class ProcessorChain:
    """Processors one after the other.

    Features may carry the column `TRADED`: steps that compare the instruments of a session then leave out those that
    are suspended in it. It is no factor, and the result does not have it.

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

    def fit_transform(self, features: pd.DataFrame, rows: npt.NDArray[np.int64] | None = None) -> pd.DataFrame:
        """Fit every step on the output of the one before and return the result.

        Parameters
        ----------
        features
            Panel ``(datetime, instrument) × factor``; its sessions are compared as a whole.
        rows
            Places of the rows of training, which alone are learned from; None takes all.
        """
        features, traded = _split(features)
        for step in self._steps:
            step.fit(features if rows is None else features.iloc[rows])
            features = _apply(step, features, traded)
        return features

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Apply the fitted steps; the rows of different sessions never mix, except within their own session."""
        features, traded = _split(features)
        for step in self._steps:
            features = _apply(step, features, traded)
        return features

    @property
    def states(self) -> list[Arrays]:
        """Learned state of every step."""
        return [step.state for step in self._steps]


def _split(features: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.bool_] | None]:
    if TRADED not in features.columns:
        return features, None
    return features.drop(columns=TRADED), features[TRADED].notna().to_numpy()


def _apply(step: Processor, features: pd.DataFrame, traded: npt.NDArray[np.bool_] | None) -> pd.DataFrame:
    if traded is not None and isinstance(step, cross_sectional.ComparingProcessor):
        return step.compare(features, traded)
    return step.transform(features)


def drop_missing_labels(features: pd.DataFrame, labels: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    """Keep the rows that have a label: nothing can be learned from the others.

    For training only. Prediction has no labels, and drops no rows.

    Parameters
    ----------
    features
        Panel ``(datetime, instrument) × factor``.
    labels
        On the same kind of index; NaN where not realised.

    Returns
    -------
    tuple of pandas.DataFrame and pandas.Series
        Rows of `features` with a label, and these labels, in the order of `features`.
    """
    known = labels.reindex(features.index)
    rows = known.notna().to_numpy()
    return features[rows], known[rows]
