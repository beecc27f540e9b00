"""Processors one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.processors import cross_sectional, fitted, specs
from quant_pipeline.factors.processors.fitted import Arrays, Floats
from quant_pipeline.factors.processors.specs import ProcessorSpec


class Processor(Protocol):
    """One step; `state` is empty for a step that learns nothing."""

    state: Arrays

    def fit(self, features: pd.DataFrame, rows: npt.NDArray[np.int64] | None = None) -> None:
        """Learn from rows of the training window; None takes all."""
        ...

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return transformed features of the same shape; the input is not changed."""
        ...


@runtime_checkable
class Elementwise(Protocol):
    """A step whose result for a value depends on that value and its factor alone."""

    def change(self, values: Floats) -> None:
        """Transform ``(row, factor)`` in place."""
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
        return self._run(features, lambda step, known: step.fit(known, rows))

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Apply the fitted steps; the rows of different sessions never mix, except within their own session."""
        return self._run(features)

    def _run(
        self, features: pd.DataFrame, before: Callable[[Processor, pd.DataFrame], None] | None = None
    ) -> pd.DataFrame:
        """Apply the steps one after the other; together they make one copy of the features, and not one each."""
        features, traded = _split(features)
        own: Floats | None = None
        for step in self._steps:
            if before is not None:
                before(step, features)
            if isinstance(step, Elementwise):
                own = features.to_numpy(dtype=np.float32, copy=True) if own is None else own
                step.change(own)
                features = pd.DataFrame(own, index=features.index, columns=features.columns, copy=False)
            else:
                features, own = _apply(step, features, traded), None
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
