"""XGBoost, an optional library."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import NonNegativeFloat, PositiveInt

from quant_pipeline.models.algorithms.boosted_trees import TreesHyper
from quant_pipeline.models.algorithms.record import Algorithm, Share
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve, metrics_curve
from quant_pipeline.models.libraries import import_optional

WEIGHTS = "model.ubj"


class XGBoostHyper(TreesHyper):
    """Hyper-parameters of XGBoost.

    Attributes
    ----------
    max_depth
        Most decisions one after the other.
    min_child_weight
        Fewest rows of a leaf.
    column_fraction, row_fraction
        Part of the factors, and of the rows, that a tree sees.
    """

    max_depth: PositiveInt = 5
    min_child_weight: NonNegativeFloat = 200.0
    column_fraction: Share = 0.6
    row_fraction: Share = 0.7


class FittedXGBoost:
    """Trees, kept in XGBoost's own binary JSON."""

    def __init__(self, booster: Any, curve: pd.DataFrame, factors: list[str]) -> None:
        # Numbers of columns, for some names of factors are refused; models of earlier versions carry names.
        booster.feature_names = None
        self.booster = booster
        self.curve = curve
        gain = booster.get_score(importance_type="total_gain")
        self.importance = importance_table(factors, [gain.get(f"f{column}", 0.0) for column in range(len(factors))])

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; trees handle missing values."""
        data = import_optional("xgboost").DMatrix(samples.values)
        return np.asarray(self.booster.predict(data), dtype=np.float64)

    def weights(self) -> dict[str, bytes]:
        """Return the model."""
        return {WEIGHTS: bytes(self.booster.save_raw("ubj"))}


def continue_xgboost(
    previous: FittedXGBoost, train: Samples, valid: Samples, hyper: XGBoostHyper, seed: int
) -> FittedXGBoost:
    """Add trees to those at hand; the arguments are those of `Algorithm.continue_from`."""
    return fit_xgboost(train, valid, hyper, seed, previous)


def fit_xgboost(
    train: Samples, valid: Samples, hyper: XGBoostHyper, seed: int, previous: FittedXGBoost | None = None
) -> FittedXGBoost:
    """Fit trees by least squares, and stop when the validation error no longer falls.

    The arguments are those of `Algorithm.fit`; ``previous`` are trees to continue from: they stay as they are.

    Raises
    ------
    ModelError
        When XGBoost is not installed.
    """
    xgboost = import_optional("xgboost")
    data, reference = (xgboost.DMatrix(each.values, each.labels) for each in (train, valid))
    parameters = {
        "objective": "reg:squarederror",
        "learning_rate": hyper.learning_rate,
        "reg_lambda": hyper.lambda_l2,
        "max_depth": hyper.max_depth,
        "min_child_weight": hyper.min_child_weight,
        "colsample_bytree": hyper.column_fraction,
        "subsample": hyper.row_fraction,
        "nthread": hyper.threads,
        "seed": seed,
        "verbosity": 0,
    }
    seen: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        parameters,
        data,
        hyper.rounds,
        evals=[(data, "train"), (reference, "valid")],
        early_stopping_rounds=hyper.patience,
        evals_result=seen,
        verbose_eval=False,
        # A booster at hand goes on otherwise than the same trees from a file do.
        xgb_model=None if previous is None else bytearray(previous.weights()[WEIGHTS]),
    )
    best = booster[: booster.best_iteration + 1]
    return FittedXGBoost(best, metrics_curve(seen), train.factors)


def load_xgboost(weights: dict[str, bytes], factors: list[str], hyper: XGBoostHyper) -> FittedXGBoost:
    """Make the model again from its weights."""
    booster = import_optional("xgboost").Booster()
    booster.load_model(bytearray(weights[WEIGHTS]))
    return FittedXGBoost(booster, learning_curve([]), factors)


XGBOOST = Algorithm(
    XGBoostHyper, fit_xgboost, load_xgboost, continue_from=continue_xgboost, processors=(), libraries=("xgboost",)
)
