"""Processors one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_extension_array_dtype, is_numeric_dtype

from quant_pipeline.common.cores import map_on_cores, usable_cores
from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.processors import cross_sectional, fitted, specs
from quant_pipeline.factors.processors.fitted import BLOCK, Arrays, Change
from quant_pipeline.factors.processors.specs import ProcessorSpec
from quant_pipeline.factors.session_rows import Floats, SessionRows

Reader = Callable[[list[str]], pd.DataFrame]
"""A function that returns columns of a panel by name."""


AT_ONCE: Final = 2**17
"""Values that one core takes through the steps at once; they stay in its cache."""
PIECE: Final = 2**21
"""Values that are read, or copied, before they go through the steps; they stay in the memory that cores share."""
WIDTH: Final = 8
"""Fewest factors that are one task of a core; more are, where these are few values."""


class Processor(Protocol):
    """One step; `state` is empty for a step that learns nothing."""

    state: Arrays

    def change_of(self, features: pd.DataFrame, rows: SessionRows) -> Change:
        """Return what changes factors, given all of them as they come out of the steps before; it keeps the input."""
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


class ChainPart(NamedTuple):
    """Factors that go through the steps without the others.

    Attributes
    ----------
    places
        Which of the factors they are.
    columns
        Names of the columns that the steps need of them.
    chain
        The steps, with what was learned of these factors.
    """

    places: slice
    columns: list[str]
    chain: ProcessorChain


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
        self._specs = list(specs)
        self._steps: list[Processor] = [
            _PROCESSORS[type(spec)](spec, state) for spec, state in zip(specs, states, strict=True)
        ]

    @property
    def changes(self) -> bool:
        """Whether there is any step."""
        return bool(self._steps)

    def fit(
        self, read: Reader, columns: Sequence[str], rows: npt.NDArray[np.int64] | None = None, at_once: int = BLOCK
    ) -> None:
        """Fit every step on the output of those before it, some factors after the others.

        A value depends on its own factor, on those that `Neutralise` names and on which instruments trade, so nothing
        else is read beside the factors that are learned from.

        Parameters
        ----------
        read
            Returns columns of the panel to learn from, of whole sessions, by name; called in several threads.
        columns
            All columns of the panel.
        rows
            Places, in what is read, of the rows of training; None takes all.
        at_once
            Most factors that are learned from at once.
        """
        factors = [name for name in columns if name != TRADED]
        # Each core reads what it learns from: it waits for no other one.
        share = max(at_once // usable_cores(), 1)
        batches = [factors[first : first + share] for first in range(0, max(len(factors), 1), share)]
        for place, step in enumerate(self._steps):
            if isinstance(step, fitted.FittedProcessor):
                step.fit(partial(self._before, place, read, columns), batches, rows, at_once // share)

    def _before(self, place: int, read: Reader, columns: Sequence[str], names: list[str]) -> pd.DataFrame:
        """Return some factors as they come out of the steps before one."""
        if place == 0:
            return _plain(read(names))
        specs, factors = self._specs[:place], [name for name in columns if name != TRADED]
        exposures = [name for spec in specs for name in cross_sectional.exposures_of(spec) if name in factors]
        needed = list(dict.fromkeys([*names, *exposures]))
        chain = self._of_factors(pd.Index(factors).get_indexer(needed), place)
        return chain.transform(read(chain._asked(needed, columns)))[names]

    def _of_factors(self, places: npt.NDArray[np.intp] | slice, stop: int | None = None) -> ProcessorChain:
        """Return the steps before one, with what was learned of some factors."""
        states = [fitted.state_of(step.state, places) for step in self._steps[:stop]]
        return ProcessorChain(self._specs[:stop], states)

    def _asked(self, factors: list[str], columns: Sequence[str]) -> list[str]:
        """Return the columns of a panel that the steps need of some factors."""
        return [*factors, TRADED] if TRADED in columns and compares(self._specs) else factors

    def parts(self, columns: Sequence[str], width: int) -> list[ChainPart]:
        """Divide the factors: results of parts are those of the whole; a step that looks at others leaves one part.

        Parameters
        ----------
        columns
            All columns of the panel.
        width
            Most factors of a part.

        Raises
        ------
        ModelError
            When a step has learned of another number of factors: its state could be divided all the same.
        """
        factors = [name for name in columns if name != TRADED]
        for step in self._steps:
            if isinstance(step, fitted.FittedProcessor):
                step.require_state_of(len(factors))
        if any(cross_sectional.exposures_of(spec) for spec in self._specs):
            width = len(factors)
        places = [slice(first, min(first + width, len(factors))) for first in range(0, len(factors), max(width, 1))]
        return [ChainPart(some, self._asked(factors[some], columns), self._of_factors(some)) for some in places]

    def fit_transform(self, features: pd.DataFrame, rows: npt.NDArray[np.int64] | None = None) -> pd.DataFrame:
        """Fit every step on the output of the one before and return the result.

        Parameters
        ----------
        features
            Panel ``(datetime, instrument) × factor``; its sessions are compared as a whole.
        rows
            Places of the rows of training, which alone are learned from; None takes all.
        """
        self.fit(lambda names: features[names], list(features.columns), rows)
        return self.transform(features)

    def transform(self, features: pd.DataFrame, into: Floats | None = None) -> pd.DataFrame:
        """Apply the fitted steps; the rows of different sessions never mix, except within their own session.

        Some factors after the others are taken through the steps, on all cores, so that these make one copy together.

        Parameters
        ----------
        features
            Panel ``(datetime, instrument) × factor``.
        into
            Where the result is wanted, ``(factor, row)``, each factor in one piece; None makes room for it.
        """
        features, traded = _split(features)
        if not self._steps:
            if into is not None:
                into[...] = features.to_numpy().T
            return features
        rows = SessionRows(features.index, traded)
        values = np.empty(features.shape[::-1], dtype=np.float32) if into is None else into
        blocks = _blocks(*features.shape)
        for steps in self._stages():
            changes = [step.change_of(features, rows) for step in steps]
            map_on_cores(partial(_change, changes, _given_by(features), values), blocks)
            features = pd.DataFrame(values.T, index=features.index, columns=features.columns, copy=False)
        return features

    def _stages(self) -> list[list[Processor]]:
        """Divide the steps: one that looks at other factors begins when these have come through those before it."""
        stages: list[list[Processor]] = [[]]
        for spec, step in zip(self._specs, self._steps, strict=True):
            if cross_sectional.exposures_of(spec) and stages[-1]:
                stages.append([])
            stages[-1].append(step)
        return stages

    @property
    def states(self) -> list[Arrays]:
        """Learned state of every step."""
        return [step.state for step in self._steps]


def _split(features: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.bool_] | None]:
    if TRADED not in features.columns:
        return _plain(features), None
    return _plain(features.drop(columns=TRADED)), features[TRADED].notna().to_numpy()


def _plain(features: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose numbers are those of NumPy; of nullable ones (`Float32`) the missing become NaN."""
    kinds = features.dtypes
    nullable = [is_numeric_dtype(kind) and is_extension_array_dtype(kind) for kind in kinds]
    return features.astype(dict.fromkeys(features.columns[nullable], np.float32)) if any(nullable) else features


def _blocks(rows: int, factors: int) -> list[slice]:
    """Divide factors among tasks: beginning one takes as long as the steps do for some hundred values."""
    width = max(WIDTH, _fitting(rows))
    return [slice(first, min(first + width, factors)) for first in range(0, factors, width)]


def _fitting(rows: int) -> int:
    """Return how many factors stay in the cache at once."""
    return max(AT_ONCE // max(rows, 1), 1)


def _given_by(features: pd.DataFrame) -> Callable[[slice], npt.NDArray[Any]]:
    """Return what hands out some factors of a table, ``(row, factor)``.

    Asking pandas for some of them takes as long as the steps do for ten thousand values, and asking for all may copy.
    """
    if features.size > PIECE:
        return lambda factors: features.iloc[:, factors].to_numpy()
    values = features.to_numpy()
    return lambda factors: values[:, factors]


def _change(
    changes: Sequence[Change], given_by: Callable[[slice], npt.NDArray[Any]], values: Floats, factors: slice
) -> None:
    """Take some factors through steps, as many at once as stay in the cache."""
    columns = given_by(factors)
    width = _fitting(len(columns))
    for first in range(factors.start, factors.stop, width):
        some = slice(first, min(first + width, factors.stop))
        given, out = columns[:, some.start - factors.start : some.stop - factors.start], values[some].T
        for change in changes:
            change(given, out, some)
            given = out


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
