"""XGBoost and CatBoost, for those who have installed them."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.hyper import CatBoostHyper, XGBoostHyper

XGBOOST_WEIGHTS, CATBOOST_WEIGHTS = "model.ubj", "model.cbm"


def import_optional(library: str, extra: str = "boosters") -> ModuleType:
    """Import an optional library.

    Parameters
    ----------
    library
        Name of the module.
    extra
        Extra of this project that brings it.

    Raises
    ------
    ModelError
        When it is not installed; the message says how to install it.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise ModelError(
            f"{library} is not installed; run: pip install 'quant_pipeline[{extra}]', or do without what needs it"
        ) from error


class FittedXGBoost:
    """Trees, kept in XGBoost's own binary JSON."""

    def __init__(self, booster: Any, curve: pd.DataFrame, factors: list[str]) -> None:
        self._booster, self._factors = booster, factors
        self.curve = curve
        gain = booster.get_score(importance_type="total_gain")
        self.importance = importance_table(factors, [gain.get(factor, 0.0) for factor in factors])

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; trees handle missing values."""
        data = import_optional("xgboost").DMatrix(samples.values, feature_names=self._factors)
        return np.asarray(self._booster.predict(data), dtype=np.float64)

    def weights(self) -> dict[str, bytes]:
        """Return the model."""
        return {XGBOOST_WEIGHTS: bytes(self._booster.save_raw("ubj"))}


def fit_xgboost(train: Samples, valid: Samples, hyper: XGBoostHyper, seed: int) -> FittedXGBoost:
    """Fit trees by least squares, and stop when the validation error no longer falls.

    Parameters
    ----------
    train, valid
        Samples of the two segments.
    hyper
        Hyper-parameters.
    seed
        Same seed, same trees.

    Raises
    ------
    ModelError
        When XGBoost is not installed.
    """
    xgboost = import_optional("xgboost")
    factors = list(train.features.columns)
    data, reference = (xgboost.DMatrix(each.values, each.labels, feature_names=factors) for each in (train, valid))
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
    )
    best = booster[: booster.best_iteration + 1]
    return FittedXGBoost(best, _curve(seen), factors)


def load_xgboost(weights: dict[str, bytes], factors: list[str]) -> FittedXGBoost:
    """Make the model again from its weights."""
    booster = import_optional("xgboost").Booster()
    booster.load_model(bytearray(weights[XGBOOST_WEIGHTS]))
    return FittedXGBoost(booster, learning_curve([]), factors)


class FittedCatBoost:
    """Trees, kept in CatBoost's own binary format."""

    def __init__(self, content: bytes, curve: pd.DataFrame, factors: list[str]) -> None:
        # The content is kept, because CatBoost writes other bytes after it has read them.
        self._content = content
        self._model = import_optional("catboost").CatBoostRegressor()
        self._model.load_model(blob=content, format="cbm")
        self.curve = curve
        self.importance = importance_table(factors, self._model.get_feature_importance())

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; trees handle missing values."""
        return np.asarray(self._model.predict(samples.values), dtype=np.float64)

    def weights(self) -> dict[str, bytes]:
        """Return the model."""
        return {CATBOOST_WEIGHTS: self._content}


def fit_catboost(train: Samples, valid: Samples, hyper: CatBoostHyper, seed: int) -> FittedCatBoost:
    """Fit trees by least squares, and stop when the validation error no longer falls.

    Parameters
    ----------
    train, valid
        Samples of the two segments.
    hyper
        Hyper-parameters.
    seed
        Same seed, same trees.

    Raises
    ------
    ModelError
        When CatBoost is not installed.
    """
    catboost = import_optional("catboost")
    model = catboost.CatBoostRegressor(
        loss_function="RMSE",
        learning_rate=hyper.learning_rate,
        l2_leaf_reg=hyper.lambda_l2,
        depth=hyper.max_depth,
        iterations=hyper.rounds,
        early_stopping_rounds=hyper.patience,
        thread_count=hyper.threads,
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(train.values, train.labels, eval_set=(valid.values, valid.labels))
    curve = {{"learn": "train", "validation": "valid"}[name]: seen for name, seen in model.get_evals_result().items()}
    return FittedCatBoost(_catboost_content(model), _curve(curve), list(train.features.columns))


def load_catboost(weights: dict[str, bytes], factors: list[str]) -> FittedCatBoost:
    """Make the model again from its weights."""
    return FittedCatBoost(weights[CATBOOST_WEIGHTS], learning_curve([]), factors)


def _catboost_content(model: Any) -> bytes:
    for name in ("model_guid", "train_finish_time"):
        model.get_metadata()[name] = ""  # The same model is to have the same bytes.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / CATBOOST_WEIGHTS
        model.save_model(str(file), format="cbm")
        return file.read_bytes()


def _curve(seen: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    return learning_curve(
        [
            (step, f"{segment}_{metric.lower()}", value)
            for segment, metrics in seen.items()
            for metric, values in metrics.items()
            for step, value in enumerate(values, start=1)
        ]
    )
