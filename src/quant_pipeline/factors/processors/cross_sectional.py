"""Processors that learn nothing (fill, z-score, rank, neutralise): a value depends on the rows of its own session only.

Those that compare the instruments of a session leave out the suspended ones: a suspended instrument has a row only once
it trades again, so research would count it and the daily run would not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.neutralisation import neutralise
from quant_pipeline.factors.processors.fitted import MAD_TO_DEVIATION, Arrays, Floats
from quant_pipeline.factors.processors.specs import (
    CrossSectionalFill,
    CrossSectionalRank,
    CrossSectionalZScore,
    FillMissing,
    Neutralise,
    ProcessorSpec,
)

Codes = npt.NDArray[np.int64]


class _StatelessProcessor:
    def __init__(self, state: Arrays) -> None:
        self.state = state


class ComparingProcessor(_StatelessProcessor, ABC):
    """What the processors share that compare the instruments of a session."""

    @abstractmethod
    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Compare all rows of a session."""

    def compare(self, features: pd.DataFrame, traded: npt.NDArray[np.bool_]) -> pd.DataFrame:
        """Compare the rows whose instrument trades; the others have no place in the session and become missing.

        Parameters
        ----------
        features
            Panel ``(datetime, instrument) × factor``.
        traded
            Whether the instrument of a row has a bar in its session.
        """
        if traded.all():
            return self.transform(features)
        return self.transform(features.where(np.broadcast_to(traded[:, None], features.shape)))


class FillMissingProcessor(_StatelessProcessor):
    """See `FillMissing`."""

    def __init__(self, spec: FillMissing, state: Arrays) -> None:
        super().__init__(state)
        self._value = np.float32(spec.value)

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Fill with the constant."""
        filled = features.to_numpy(dtype=np.float32, copy=True)
        self.change(filled)
        return pd.DataFrame(filled, index=features.index, columns=features.columns)

    def change(self, values: Floats) -> None:
        """Fill in place."""
        for column in values.T:
            column[~np.isfinite(column)] = self._value


class CrossSectionalFillProcessor(ComparingProcessor):
    """See `CrossSectionalFill`."""

    def __init__(self, spec: CrossSectionalFill, state: Arrays) -> None:
        super().__init__(state)

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Fill with the mean of the session."""
        return self.compare(features, np.ones(len(features), dtype=bool))

    def compare(self, features: pd.DataFrame, traded: npt.NDArray[np.bool_]) -> pd.DataFrame:
        """Fill with the mean of those that trade, and keep what is known of the others."""
        session = _sessions(features)
        filled = features.to_numpy(dtype=np.float32, copy=True)
        for column in filled.T:
            missing = ~np.isfinite(column)
            if missing.any():
                means = _means(np.where(traded, column, np.float32(np.nan)), session)
                column[missing] = np.nan_to_num(means)[session[missing]]
        return pd.DataFrame(filled, index=features.index, columns=features.columns)


class CrossSectionalZScoreProcessor(ComparingProcessor):
    """See `CrossSectionalZScore`; a session in which all values are equal becomes zero."""

    def __init__(self, spec: CrossSectionalZScore, state: Arrays) -> None:
        super().__init__(state)
        self._spec = spec

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Centre and scale each session on its own."""
        session = _sessions(features)
        values = features.to_numpy()
        scaled = np.empty(values.shape, dtype=np.float32)
        for index, given in enumerate(values.T):
            column = np.where(np.isfinite(given), given, np.nan).astype(np.float64)
            centre, deviation = self._measure(column, session)
            gap = column - centre[session]
            spread = deviation[session]
            scaled[:, index] = np.divide(gap, spread, out=np.where(np.isnan(gap), np.nan, 0.0), where=spread > 0)
        if self._spec.clip is not None:
            np.clip(scaled, -np.float32(self._spec.clip), np.float32(self._spec.clip), out=scaled)
        return pd.DataFrame(scaled, index=features.index, columns=features.columns)

    def _measure(self, column: npt.NDArray[np.float64], session: Codes) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        if self._spec.robust:
            centre = _medians(column, session)
            return centre, _medians(np.abs(column - centre[session]), session) * MAD_TO_DEVIATION
        centre = _means(column, session)
        known = np.isfinite(column)
        gap = np.where(known, column - centre[session], 0.0)
        count = np.bincount(session, known)
        square = np.bincount(session, gap * gap)
        deviation = np.sqrt(square / np.maximum(count - 1, 1))
        # A spread of rounding size is that of equal values.
        return centre, np.where(deviation > 1e-12 * np.abs(np.nan_to_num(centre)), deviation, 0.0)


class CrossSectionalRankProcessor(ComparingProcessor):
    """See `CrossSectionalRank`."""

    def __init__(self, spec: CrossSectionalRank, state: Arrays) -> None:
        super().__init__(state)

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Rank each session on its own."""
        ranks = features.groupby(level="datetime", sort=False).rank(pct=True)
        return ((ranks - 0.5) * np.sqrt(12.0)).astype("float32")


class NeutraliseProcessor(ComparingProcessor):
    """See `Neutralise`; a row without sector or size, when asked for, is missing."""

    def __init__(self, spec: Neutralise, state: Arrays) -> None:
        super().__init__(state)
        self._spec, self._sector, self._size = spec, spec.sector, spec.size

    def transform(self, features: pd.DataFrame) -> pd.DataFrame:
        """Replace every factor by its residual; the two exposures stay.

        Raises
        ------
        ModelError
            When an exposure is no factor of the set.
        """
        exposures = exposures_of(self._spec)
        absent = [name for name in exposures if name not in features.columns]
        if absent:
            raise ModelError(f"neutralise needs factor '{absent[0]}', which is not in the feature set; add it there")
        session = _sessions(features)
        size = None if self._size is None else features[self._size].to_numpy(dtype=np.float64)
        groups = None
        unknown = np.zeros(len(features), dtype=bool)
        if self._sector is not None:
            code, _ = pd.factorize(features[self._sector].to_numpy())
            unknown = code < 0
            groups = np.where(unknown, 0, code).astype(np.int64)
        left = features.to_numpy(dtype=np.float32, copy=True)
        for index, name in enumerate(features.columns):
            if name not in exposures:
                values = np.where(unknown, np.nan, left[:, index].astype(np.float64))
                left[:, index] = neutralise(values, session, groups, size)
        return pd.DataFrame(left, index=features.index, columns=features.columns)


def exposures_of(spec: ProcessorSpec) -> list[str]:
    """Return the factors beside its own that a value depends on."""
    return [name for name in (spec.sector, spec.size) if name is not None] if isinstance(spec, Neutralise) else []


def _sessions(features: pd.DataFrame) -> Codes:
    return pd.factorize(features.index.get_level_values("datetime"))[0].astype(np.int64)


def _means(column: npt.NDArray[np.floating], session: Codes) -> npt.NDArray[np.float64]:
    known = np.isfinite(column)
    total = np.bincount(session, np.where(known, column, 0.0))
    count = np.bincount(session, known)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _medians(column: npt.NDArray[np.float64], session: Codes) -> npt.NDArray[np.float64]:
    return pd.Series(column).groupby(session).median().to_numpy()
