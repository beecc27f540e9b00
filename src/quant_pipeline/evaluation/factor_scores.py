"""Score factors session by session: coefficients, quantiles and persistence of many factors, none of them in pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ClassVar, Final, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, PositiveInt, model_validator

from quant_pipeline.common.cores import usable_cores
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.common.progress import track
from quant_pipeline.evaluation import factor_kernels as kernels
from quant_pipeline.evaluation.standard_errors import means_of_known
from quant_pipeline.factors.neutralisation import neutralise

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
READ_AT_ONCE: Final = 16
"""Factors of a panel in files that are read together."""


class ReadByColumn(Protocol):
    """A panel ``(datetime, instrument) × factor`` of which columns are read when they are needed."""

    @property
    def index(self) -> pd.MultiIndex:
        """Of all rows."""
        ...

    @property
    def columns(self) -> pd.Index:
        """Names of the factors."""
        ...

    def read(self, rows: slice | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a stretch of rows and some columns as a table; None takes all."""
        ...


class ScoringParameters(Parameters):
    """How factors, and models in the model report, are scored.

    Attributes
    ----------
    horizons
        Horizons of the labels in sessions, ascending; the first one is the headline.
    quantiles
        Groups that a session is cut into.
    min_cross_section
        Pairs below which a session has no coefficient.
    net_of
        What factor and label are made neutral to first.
    confidence, resamples, seed
        Confidence bands: their level, the number of bootstrap samples, the seed of the samples.
    """

    renamed: ClassVar[Mapping[str, str]] = {"smallest_cross_section": "min_cross_section"}

    horizons: tuple[PositiveInt, ...] = (1, 2, 5, 10, 20)
    quantiles: int = Field(default=5, ge=2)
    min_cross_section: int = Field(default=5, ge=3)
    net_of: Literal["nothing", "sector", "size", "sector_and_size"] = "nothing"
    confidence: float = Field(default=0.95, gt=0, lt=1)
    resamples: PositiveInt = 500
    seed: int = 7

    @model_validator(mode="after")
    def _horizons_ascend(self) -> ScoringParameters:
        if not self.horizons or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(f"horizons must be different and ascending, not {first_of(self.horizons)}")
        return self


class Grid(NamedTuple):
    """Where the rows of a panel stand on a grid sessions × instruments."""

    sessions: pd.DatetimeIndex
    session: Codes
    instrument: Codes
    shape: tuple[int, int]

    @classmethod
    def of(cls, index: pd.MultiIndex) -> Grid:
        """Put numbers to the sessions and instruments of a panel's index."""
        session, sessions = pd.factorize(index.get_level_values("datetime"), sort=True)
        instrument, instruments = pd.factorize(index.get_level_values("instrument"), sort=True)
        shape = (len(sessions), len(instruments))
        return cls(
            pd.DatetimeIndex(sessions, name="datetime"), session.astype("int64"), instrument.astype("int64"), shape
        )

    def spread(self, values: npt.NDArray[np.floating]) -> Floats:
        """Put one value per row on the grid; infinite values and empty places are NaN."""
        dense = np.full(self.shape, np.nan)
        dense[self.session, self.instrument] = np.where(np.isfinite(values), values, np.nan)
        return dense


class Exposures(NamedTuple):
    """What to neutralise to, row by row; None leaves it out."""

    groups: Codes | None = None
    size: Floats | None = None

    @property
    def are_asked_for(self) -> bool:
        """Whether there is anything to neutralise to."""
        return self.groups is not None or self.size is not None


class FactorScores(NamedTuple):
    """Scores of K factors over T sessions, H horizons and Q quantiles.

    Attributes
    ----------
    factors, horizons, sessions
        Names of the axes.
    ic, rank_ic
        K × T × H coefficients of Pearson and Spearman.
    spread
        K × T × H: mean return of the highest quantile less that of the lowest.
    quantile_returns, quantile_excess
        K × H × Q: mean over sessions of the quantile's return, and of it less the session's mean.
    autocorrelation
        K × T: Spearman's coefficient of the factor with itself one session before.
    replaced
        K × T: part of the outer quantiles that is new.
    coverage
        K × T: part of the universe that has a value.
    """

    factors: tuple[str, ...]
    horizons: tuple[int, ...]
    sessions: pd.DatetimeIndex
    ic: Floats
    rank_ic: Floats
    spread: Floats
    quantile_returns: Floats
    quantile_excess: Floats
    autocorrelation: Floats
    replaced: Floats
    coverage: Floats


class _Row(NamedTuple):
    ic: Floats
    rank_ic: Floats
    spread: Floats
    quantile_returns: Floats
    quantile_excess: Floats
    autocorrelation: Floats
    replaced: Floats
    coverage: Floats


def score_factors(
    panel: pd.DataFrame | ReadByColumn,
    labels: pd.DataFrame,
    parameters: ScoringParameters,
    exposures: Exposures | None = None,
) -> FactorScores:
    """Score every factor of a panel.

    Parameters
    ----------
    panel
        ``(datetime, instrument) × factor``: the members of the universe, one row each, value or not. One in files is
        read some factors at a time.
    labels
        On the same index, one column per horizon: the return that a decision at the session would have earned. It is
        known later; scores are a verdict on the past.
    parameters
        How to score.
    exposures
        Sector numbers and sizes of the rows, when scores are asked for net of them. The label is neutralised too, so
        that neither side can earn from the sector.

    Returns
    -------
    FactorScores
        Sessions of `panel` in order. A session with too few pairs, or a constant side, is missing.
    """
    exposures = exposures or Exposures()
    grid = Grid.of(panel.index)
    dense = np.stack([grid.spread(_net(labels[column].to_numpy(), grid, exposures)) for column in labels])
    orders = np.argsort(dense, axis=2)
    members = np.bincount(grid.session, minlength=grid.shape[0])

    def score(part: pd.DataFrame, name: str) -> _Row:
        values = grid.spread(_net(part[name].to_numpy(), grid, exposures))
        return _score_one(values, dense, orders, members, parameters)

    names = list(panel.columns)
    # Kernels and sorting let go of the interpreter lock.
    with ThreadPoolExecutor(usable_cores()) as pool:
        scored = (row for part in _parts_of(panel) for row in pool.map(partial(score, part), part.columns))
        rows = list(track(scored, "scoring factors", total=len(names)))
    columns = (np.stack(column) for column in zip(*rows, strict=True))
    return FactorScores(tuple(names), parameters.horizons, grid.sessions, *columns)


def _parts_of(panel: pd.DataFrame | ReadByColumn) -> Iterator[pd.DataFrame]:
    """Yield a table as it is, and a panel that is read some factors at a time."""
    if isinstance(panel, pd.DataFrame):
        yield panel
        return
    names = list(panel.columns)
    for first in range(0, len(names), READ_AT_ONCE):
        yield panel.read(columns=names[first : first + READ_AT_ONCE])


def _net(values: npt.NDArray[np.floating], grid: Grid, exposures: Exposures) -> npt.NDArray[np.floating]:
    return neutralise(values.astype("float64"), grid.session, *exposures) if exposures.are_asked_for else values


def _score_one(
    values: Floats, labels: Floats, label_orders: Codes, members: Codes, parameters: ScoringParameters
) -> _Row:
    sessions, instruments = values.shape
    horizons, count, smallest = len(labels), parameters.quantiles, parameters.min_cross_section
    orders = np.argsort(values, axis=1)
    scratch, keep = np.empty((2, instruments)), np.empty(instruments, dtype=bool)
    ic, rank_ic = np.empty((sessions, horizons)), np.empty((sessions, horizons))
    kernels.correlate_with_labels(values, orders, labels, label_orders, smallest, scratch, keep, ic, rank_ic)
    quantiles = np.empty((sessions, instruments), dtype=np.int64)
    kernels.sort_into_quantiles(values, orders, smallest, scratch, keep, count, quantiles)
    returns = np.empty((horizons, sessions, count))
    kernels.average_quantiles(quantiles, labels, np.empty(count, dtype=np.int64), returns)
    autocorrelation, replaced = np.empty(sessions), np.empty(sessions)
    kernels.compare_with_session_before(
        values, orders, quantiles, count - 1, smallest, scratch, keep, autocorrelation, replaced
    )
    market = means_of_known(np.where(quantiles >= 0, labels, np.nan), axis=2)
    return _Row(
        ic=ic,
        rank_ic=rank_ic,
        spread=(returns[:, :, -1] - returns[:, :, 0]).T,
        quantile_returns=means_of_known(returns, axis=1),
        quantile_excess=means_of_known(returns - market[:, :, None], axis=1),
        autocorrelation=autocorrelation,
        replaced=replaced,
        coverage=np.isfinite(values).sum(axis=1) / members,
    )
