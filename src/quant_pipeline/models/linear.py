"""Ridge regression in closed form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors.numpy import load, save

from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.hyper import RidgeHyper

WEIGHTS = "model.safetensors"


class FittedRidge:
    """Coefficients and intercept, float64."""

    def __init__(
        self, coefficients: npt.NDArray[np.float64], intercept: float, curve: pd.DataFrame, factors: list[str]
    ) -> None:
        self._coefficients = coefficients
        self._intercept = intercept
        self.curve = curve
        self.importance = importance_table(factors, coefficients)

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows."""
        # Summed column by column: a matrix product may round differently for another number of rows.
        values = samples.values
        score = np.full(len(values), self._intercept)
        for column, coefficient in enumerate(self._coefficients):
            score += values[:, column].astype(np.float64) * coefficient
        return score

    def weights(self) -> dict[str, bytes]:
        """Return coefficients and intercept as safetensors."""
        return {WEIGHTS: save({"coefficients": self._coefficients, "intercept": np.array([self._intercept])})}


def fit_ridge(train: Samples, valid: Samples, hyper: RidgeHyper, seed: int) -> FittedRidge:
    """Minimise ``mean((y - Xb - a)²) + alpha |b|²``; the intercept is not penalised.

    Parameters
    ----------
    train, valid
        Samples of the two segments; the second one is only measured.
    hyper
        Hyper-parameters.
    seed
        Not used: the solution is unique.
    """
    values, labels = train.values.astype(np.float64), train.labels.astype(np.float64)
    mean, label_mean = values.mean(axis=0), labels.mean()
    centred = values - mean
    gram = centred.T @ centred / len(labels) + hyper.alpha * np.eye(values.shape[1])
    coefficients = np.linalg.solve(gram, centred.T @ (labels - label_mean) / len(labels))
    intercept = float(label_mean - mean @ coefficients)
    model = FittedRidge(coefficients, intercept, learning_curve([]), list(train.features.columns))
    model.curve = learning_curve(
        [
            (1, f"{name}_l2", float(np.mean((model.predict(samples) - samples.labels) ** 2)))
            for name, samples in (("train", train), ("valid", valid))
        ]
    )
    return model


def load_ridge(weights: dict[str, bytes], factors: list[str]) -> FittedRidge:
    """Make the model again from its weights."""
    arrays = load(weights[WEIGHTS])
    return FittedRidge(arrays["coefficients"], float(arrays["intercept"][0]), learning_curve([]), factors)
