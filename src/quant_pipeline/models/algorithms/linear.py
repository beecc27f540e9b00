"""Linear regression with penalties: ridge in closed form, the elastic net by scikit-learn."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveInt
from safetensors.numpy import load, save

from quant_pipeline.common.cores import each_on_cores
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models import panels
from quant_pipeline.models.algorithms.record import Algorithm, HyperParameters
from quant_pipeline.models.fitted import Floats, Samples, importance_table, learning_curve

logger = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
TOLERANCE = 1e-10
"""Duality gap at which the descent of the elastic net has arrived, as a part of the squared labels."""

ROWS_AT_ONCE = 2**12
"""Rows of which doubles are made at once, and whose products are summed together."""
MOST_AT_ONCE = 8
"""Most blocks of rows at the same time."""
COLUMNS_AT_ONCE = 8
"""Columns of a block that are scored together."""

Result = TypeVar("Result")
Vector = npt.NDArray[np.float64]


class RidgeHyper(HyperParameters):
    """Hyper-parameters of ridge regression.

    Attributes
    ----------
    alpha
        Penalty on the squares of the coefficients, per row.
    """

    alpha: NonNegativeFloat = 0.01


class ElasticNetHyper(HyperParameters):
    """Hyper-parameters of the elastic net.

    Attributes
    ----------
    alpha
        Size of the penalty, per row.
    l1_ratio
        Part of the penalty on absolute coefficients: 1 is the lasso.
    rounds
        Most passes over the coefficients.
    """

    alpha: NonNegativeFloat = 0.001
    l1_ratio: float = Field(default=0.5, ge=0, le=1)
    rounds: PositiveInt = 1000


class FittedLinear:
    """Coefficients and intercept, float64."""

    def __init__(self, coefficients: Vector, intercept: float, curve: pd.DataFrame, factors: list[str]) -> None:
        self._coefficients = coefficients
        self._intercept = intercept
        self.curve = curve
        self.importance = importance_table(factors, coefficients)

    @property
    def coefficients(self) -> Vector:
        """One per factor."""
        return self._coefficients

    @property
    def intercept(self) -> float:
        """Score of a row of zeros."""
        return self._intercept

    def predict(self, samples: Samples) -> Vector:
        """Score rows."""
        score = np.empty(len(samples.rows))
        # All that are scored at the same time are no more values than a block of a panel.
        size = max(panels.AT_ONCE // MOST_AT_ONCE // max(len(samples.factors), 1), 1)
        for part, scored in _each_block(samples, self._score, size):
            score[part] = scored
        return score

    def _score(self, part: slice, values: Floats) -> tuple[slice, Vector]:
        # Summed column by column: a matrix product may round differently for another number of rows. A few columns at a
        # time, as cores wait for each other around each short call; of one row alone NumPy would sum the columns in
        # another order, so it is scored twice.
        rows = values.shape[1]
        if not rows:
            return part, np.empty(0)
        score, room = np.full(max(rows, 2), self._intercept), np.empty((COLUMNS_AT_ONCE + 1, max(rows, 2)))
        for first in range(0, len(values), COLUMNS_AT_ONCE):
            columns = values[first : first + COLUMNS_AT_ONCE]
            summands = room[: len(columns) + 1]
            summands[0], summands[1:] = score, columns
            summands[1:] *= self._coefficients[first : first + COLUMNS_AT_ONCE, None]
            np.add.reduce(summands, axis=0, out=score, initial=-0.0)
        return part, score[:rows]

    def weights(self) -> dict[str, bytes]:
        """Return coefficients and intercept as safetensors."""
        return {WEIGHTS: save({"coefficients": self._coefficients, "intercept": np.array([self._intercept])})}


def fit_ridge(train: Samples, valid: Samples, hyper: RidgeHyper, seed: int = 0) -> FittedLinear:
    """Minimise ``mean((y - Xb - a)²) + alpha |b|²``; the intercept is not penalised.

    The arguments are those of `Algorithm.fit`. The validation segment is only measured; nothing here is random.

    Raises
    ------
    ModelError
        When a feature is missing or infinite.
    """
    means, gram, covariance = _moments(train)
    gram, covariance = gram / len(train.rows), covariance / len(train.rows)
    coefficients = np.linalg.solve(gram + hyper.alpha * np.eye(len(gram)), covariance)
    return _seal(np.asarray(coefficients, dtype=np.float64), means, train, valid)


def continue_ridge(
    previous: FittedLinear, train: Samples, valid: Samples, hyper: RidgeHyper, seed: int = 0
) -> FittedLinear:
    """Minimise ``mean((y - Xb - a)²) + alpha |b - b₀|²``: the penalty pulls towards the former coefficients, not to 0.

    The arguments are those of `Algorithm.continue_from`. The larger ``alpha``, the more of the former model stays.
    """
    means, gram, covariance = _moments(train)
    gram, covariance = gram / len(train.rows), covariance / len(train.rows)
    penalty = hyper.alpha * np.eye(len(gram))
    coefficients = np.linalg.solve(gram + penalty, covariance + penalty @ previous.coefficients)
    return _seal(np.asarray(coefficients, dtype=np.float64), means, train, valid)


def continue_elastic_net(
    previous: FittedLinear, train: Samples, valid: Samples, hyper: ElasticNetHyper, seed: int = 0
) -> FittedLinear:
    """Begin the descent at the former coefficients: it ends where training again ends, in fewer passes.

    The arguments are those of `Algorithm.continue_from`.
    """
    return fit_elastic_net(train, valid, hyper, seed, previous)


def fit_elastic_net(
    train: Samples, valid: Samples, hyper: ElasticNetHyper, seed: int = 0, previous: FittedLinear | None = None
) -> FittedLinear:
    """Minimise ``mean((y - Xb - a)²) / 2 + alpha (l1_ratio |b|₁ + (1 - l1_ratio) |b|² / 2)`` by coordinate descent.

    The arguments are those of `Algorithm.fit`. The validation segment is only measured; coordinates are taken in their
    order, so nothing here is random. The descent begins at the coefficients of ``previous``, or at 0.

    Raises
    ------
    ModelError
        When a feature is missing or infinite.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import enet_path

    means, gram, covariance = _moments(train)
    labels = train.labels.astype(np.float64)
    # On the covariances (Friedman, Hastie, Tibshirani, 2010): of the features themselves only the shape is read.
    shape_only = np.broadcast_to(np.zeros(1), (len(labels), len(means)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # Logged below with the remedy.
        _, path, _, passes = enet_path(
            shape_only,
            labels - labels.mean(),
            alphas=[hyper.alpha],
            l1_ratio=hyper.l1_ratio,
            precompute=gram,
            Xy=covariance,
            coef_init=None if previous is None else previous.coefficients.copy(),
            max_iter=hyper.rounds,
            tol=TOLERANCE,
            random_state=seed,  # Nothing is drawn, but without a seed a number of numpy's own generator is taken.
            check_input=False,
            return_n_iter=True,
        )
    if passes[0] >= hyper.rounds:
        logger.warning(
            "the elastic net has not arrived after %d rounds; raise hyper.rounds or hyper.alpha", hyper.rounds
        )
    return _seal(path[:, 0].copy(), means, train, valid)


class _Moments(NamedTuple):
    """Means of factors, and sums over rows: products of centred factors, and of these with centred labels."""

    means: Vector
    gram: npt.NDArray[np.float64]
    covariance: Vector


def _moments(samples: Samples) -> _Moments:
    """Sum products block by block, in the order of the blocks; doubles of all rows at once are never made.

    Each block is centred by its own means. What two sets of rows have in common beside their own sums is the product of
    the differences of their means (Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", The
    American Statistician 37, 1983). So features are read once, and no sum is as large as the values.
    """
    count, size = 0, len(samples.factors) + 1
    means, products = np.zeros(size), np.zeros((size, size))
    summing = partial(_sum_block, _Room(min(ROWS_AT_ONCE, len(samples.rows)), size), samples.labels)
    for rows, of_block, summed in _each_block(samples, summing, ROWS_AT_ONCE):
        gap = of_block - means
        between = gap * np.sqrt(count * rows / (count + rows))
        products += summed + np.outer(between, between)
        count += rows
        means += gap * (rows / count)
    return _Moments(means[:-1], products[:-1, :-1].copy(), products[:-1, -1].copy())


class _Room(threading.local):
    """Room for a block of doubles, one for each thread: those that ask the system for memory wait for each other."""

    def __init__(self, rows: int, columns: int) -> None:
        self.block = np.empty((rows, columns))


def _sum_block(room: _Room, labels: Floats, part: slice, values: Floats) -> tuple[int, Vector, npt.NDArray[np.float64]]:
    """Return number of rows, means and sums of centred products; labels are the last column."""
    _require_finite(values)
    block = room.block[: values.shape[1]]
    block[:, :-1], block[:, -1] = values.T, labels[part]
    means = block.mean(axis=0)
    block -= means
    return len(block), means, block.T @ block


def _each_block(samples: Samples, function: Callable[[slice, Floats], Result], size: int) -> Iterator[Result]:
    """Call a function for the places of some rows and their features ``(factor, row)``, on all cores, in their order.

    Each core reads the features of its own rows.
    """
    batches = samples.batches(size)
    return each_on_cores(lambda batch: function(batch.places, batch.values()), batches, MOST_AT_ONCE, few_ahead=True)


def _require_finite(values: Floats) -> None:
    if not np.isfinite(values).all():
        raise ModelError(
            "a linear model cannot read missing or infinite features; add the processor `fill` to the model"
        )


def _seal(coefficients: Vector, means: Vector, train: Samples, valid: Samples) -> FittedLinear:
    intercept = float(train.labels.mean(dtype=np.float64) - means @ coefficients)
    model = FittedLinear(coefficients, intercept, learning_curve([]), train.factors)
    model.curve = learning_curve(
        [
            (1, f"{name}_l2", float(np.mean((model.predict(samples) - samples.labels) ** 2)))
            for name, samples in (("train", train), ("valid", valid))
        ]
    )
    return model


def load_linear(weights: dict[str, bytes], factors: list[str], hyper: HyperParameters) -> FittedLinear:
    """Make the model again from its weights."""
    arrays = load(weights[WEIGHTS])
    return FittedLinear(arrays["coefficients"], float(arrays["intercept"][0]), learning_curve([]), factors)


ARITHMETIC = 2
"""Sums over rows are rounded block by block (decisions 104 and 113); 1 rounded them as BLAS did, on all its threads."""
RIDGE = Algorithm(RidgeHyper, fit_ridge, load_linear, continue_from=continue_ridge, arithmetic=ARITHMETIC)
ELASTIC_NET = Algorithm(
    ElasticNetHyper,
    fit_elastic_net,
    load_linear,
    continue_from=continue_elastic_net,
    libraries=("sklearn",),
    arithmetic=ARITHMETIC,
)
