"""CatBoost, an optional library."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from quant_pipeline.models.algorithms.boosted_trees import TreesHyper
from quant_pipeline.models.algorithms.record import Algorithm
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve, metrics_curve
from quant_pipeline.models.libraries import import_optional

WEIGHTS = "model.cbm"


class CatBoostHyper(TreesHyper):
    """Hyper-parameters of CatBoost.

    Attributes
    ----------
    max_depth
        Decisions one after the other.
    """

    max_depth: int = Field(default=6, ge=1, le=16)


class FittedCatBoost:
    """Trees, kept in CatBoost's own binary format."""

    def __init__(self, content: bytes, curve: pd.DataFrame, factors: list[str]) -> None:
        # The content is kept, because CatBoost writes other bytes after it has read them.
        self._content = content
        self.model = import_optional("catboost").CatBoostRegressor()
        self.model.load_model(blob=content, format="cbm")
        self.curve = curve
        self.importance = importance_table(factors, self.model.get_feature_importance())

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; trees handle missing values."""
        return np.asarray(self.model.predict(samples.values), dtype=np.float64)

    def weights(self) -> dict[str, bytes]:
        """Return the model."""
        return {WEIGHTS: self._content}


def continue_catboost(
    previous: FittedCatBoost, train: Samples, valid: Samples, hyper: CatBoostHyper, seed: int
) -> FittedCatBoost:
    """Add trees to those at hand; the arguments are those of `Algorithm.continue_from`."""
    return fit_catboost(train, valid, hyper, seed, previous)


def fit_catboost(
    train: Samples, valid: Samples, hyper: CatBoostHyper, seed: int, previous: FittedCatBoost | None = None
) -> FittedCatBoost:
    """Fit trees by least squares, and stop when the validation error no longer falls.

    The arguments are those of `Algorithm.fit`; ``previous`` are trees to continue from: they stay as they are.

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
    origin = None if previous is None else previous.model
    model.fit(train.values, train.labels, eval_set=(valid.values, valid.labels), init_model=origin)
    curve = {{"learn": "train", "validation": "valid"}[name]: seen for name, seen in model.get_evals_result().items()}
    return FittedCatBoost(_catboost_content(model), metrics_curve(curve), train.factors)


def load_catboost(weights: dict[str, bytes], factors: list[str], hyper: CatBoostHyper) -> FittedCatBoost:
    """Make the model again from its weights."""
    return FittedCatBoost(weights[WEIGHTS], learning_curve([]), factors)


def _catboost_content(model: Any) -> bytes:
    for name in ("model_guid", "train_finish_time"):
        model.get_metadata()[name] = ""  # The same model is to have the same bytes.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / WEIGHTS
        model.save_model(str(file), format="cbm")
        return file.read_bytes()


CATBOOST = Algorithm(
    CatBoostHyper, fit_catboost, load_catboost, continue_from=continue_catboost, processors=(), libraries=("catboost",)
)
