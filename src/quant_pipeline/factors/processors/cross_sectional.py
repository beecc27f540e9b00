"""Processors that learn nothing (fill, z-score, rank, neutralise): a value depends on the rows of its own session only.

Those that compare the instruments of a session leave out the suspended ones: a suspended instrument has a row only once
it trades again, so research would count it and the daily run would not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.neutralisation import neutralise
from quant_pipeline.factors.processors.fitted import Arrays, Change
from quant_pipeline.factors.processors.specs import (
    CrossSectionalZScore,
    FillMissing,
    Neutralise,
    ProcessorSpec,
)
from quant_pipeline.factors.session_rows import Floats, SessionRows


class _StatelessProcessor:
    def __init__(self, spec: ProcessorSpec, state: Arrays) -> None:
        self.state = state


class ComparingProcessor(_StatelessProcessor):
    """What the processors share that compare the instruments of a session.

    Rows whose instrument does not trade have no place in the session, and become missing.
    """


class FillMissingProcessor(_StatelessProcessor):
    """See `FillMissing`."""

    def __init__(self, spec: FillMissing, state: Arrays) -> None:
        super().__init__(spec, state)
        self._value = np.float32(spec.value)

    def change_of(self, features: pd.DataFrame, rows: SessionRows) -> Change:
        """Return what fills with the constant."""

        def change(given: npt.NDArray[Any], out: Floats, factors: slice) -> None:
            out[...] = given
            np.copyto(out, self._value, where=~np.isfinite(out))

        return change


class CrossSectionalFillProcessor(ComparingProcessor):
    """See `CrossSectionalFill`; what is known of instruments that do not trade is kept, and counts in no mean."""

    def change_of(self, features: pd.DataFrame, rows: SessionRows) -> Change:
        """Return what fills with the mean of the session."""
        rows.prepare()

        def change(given: npt.NDArray[Any], out: Floats, factors: slice) -> None:
            out[...] = given
            for column in out.T:
                if not np.isfinite(column).all():
                    rows.fill(column)

        return change


class CrossSectionalZScoreProcessor(ComparingProcessor):
    """See `CrossSectionalZScore`; a session in which all values are equal becomes zero."""

    def __init__(self, spec: CrossSectionalZScore, state: Arrays) -> None:
        super().__init__(spec, state)
        self._spec = spec

    def change_of(self, features: pd.DataFrame, rows: SessionRows) -> Change:
        """Return what centres and scales each session on its own."""
        rows.prepare()

        def change(given: npt.NDArray[Any], out: Floats, factors: slice) -> None:
            for values, column in zip(given.T, out.T, strict=True):
                rows.scale(values, column, robust=self._spec.robust)
            if self._spec.clip is not None:
                np.clip(out, -np.float32(self._spec.clip), np.float32(self._spec.clip), out=out)

        return change


class CrossSectionalRankProcessor(ComparingProcessor):
    """See `CrossSectionalRank`."""

    def change_of(self, features: pd.DataFrame, rows: SessionRows) -> Change:
        """Return what ranks each session on its own."""
        rows.prepare()

        def change(given: npt.NDArray[Any], out: Floats, factors: slice) -> None:
            for values, column in zip(given.T, out.T, strict=True):
                column[...] = (rows.rank(values, as_share=True) - 0.5) * np.sqrt(12.0)

        return change


class NeutraliseProcessor(ComparingProcessor):
    """See `Neutralise`; a row without sector or size, when asked for, is missing."""

    def __init__(self, spec: Neutralise, state: Arrays) -> None:
        super().__init__(spec, state)
        self._spec, self._sector, self._size = spec, spec.sector, spec.size

    def change_of(self, features: pd.DataFrame, rows: SessionRows) -> Change:
        """Return what replaces every factor by its residual; the two exposures stay.

        Raises
        ------
        ModelError
            When an exposure is no factor of the set.
        """
        exposures = exposures_of(self._spec)
        absent = [name for name in exposures if name not in features.columns]
        if absent:
            raise ModelError(f"neutralise needs factor '{absent[0]}', which is not in the feature set; add it there")
        sessions = rows.codes
        size = None if self._size is None else rows.compared(features[self._size].to_numpy())
        groups = None
        unknown = np.zeros(len(features), dtype=bool)
        if self._sector is not None:
            code, _ = pd.factorize(rows.compared(features[self._sector].to_numpy()))
            unknown = code < 0
            groups = np.where(unknown, 0, code).astype(np.int64)

        def change(given: npt.NDArray[Any], out: Floats, factors: slice) -> None:
            for name, values, column in zip(features.columns[factors], given.T, out.T, strict=True):
                known = rows.compared(values.astype(np.float32, copy=False))
                if name not in exposures:
                    known = neutralise(np.where(unknown, np.nan, known), sessions, groups, size)
                column[...] = known

        return change


def exposures_of(spec: ProcessorSpec) -> list[str]:
    """Return the factors beside its own that a value depends on."""
    return [name for name in (spec.sector, spec.size) if name is not None] if isinstance(spec, Neutralise) else []
