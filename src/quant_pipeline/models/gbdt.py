"""Gradient-boosted trees by LightGBM."""

from __future__ import annotations

import logging

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.hyper import LightGBMHyper

logger = logging.getLogger(__name__)

WEIGHTS = "model.txt"
ROUNDS_BETWEEN_REPORTS = 50


class FittedTrees:
    """Trees, kept as LightGBM's own text."""

    def __init__(self, booster: lightgbm.Booster, curve: pd.DataFrame, importance: pd.DataFrame) -> None:
        self._booster = booster
        self.curve = curve
        self.importance = importance

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; trees handle missing values."""
        return np.asarray(self._booster.predict(samples.values), dtype=np.float64)

    def weights(self) -> dict[str, bytes]:
        """Return the model text."""
        return {WEIGHTS: self._booster.model_to_string().encode()}


def fit_trees(train: Samples, valid: Samples, hyper: LightGBMHyper, seed: int) -> FittedTrees:
    """Fit trees to ranked labels by least squares, and stop when the validation error no longer falls.

    Parameters
    ----------
    train, valid
        Samples of the two segments.
    hyper
        Hyper-parameters.
    seed
        Same seed, same trees.
    """
    parameters = {
        "objective": "regression",
        "metric": "l2",
        "learning_rate": hyper.learning_rate,
        "num_leaves": hyper.num_leaves,
        "min_data_in_leaf": hyper.min_data_in_leaf,
        "feature_fraction": hyper.feature_fraction,
        "bagging_fraction": hyper.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": hyper.lambda_l2,
        "num_threads": hyper.threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    factors = list(train.features.columns)
    data = lightgbm.Dataset(train.values, train.labels, feature_name=factors)
    reference = lightgbm.Dataset(valid.values, valid.labels, reference=data)
    seen: dict[str, dict[str, list[float]]] = {}
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=hyper.rounds,
        valid_sets=[data, reference],
        valid_names=["train", "valid"],
        callbacks=[
            lightgbm.early_stopping(hyper.patience, verbose=False, first_metric_only=True),
            lightgbm.record_evaluation(seen),
            _report_progress,
        ],
    )
    rows = [
        (step, f"{segment}_{metric}", value)
        for segment, metrics in seen.items()
        for metric, values in metrics.items()
        for step, value in enumerate(values, start=1)
    ]
    gain = booster.feature_importance(importance_type="gain", iteration=booster.best_iteration)
    # Text keeps the best iteration only, and that is what will be loaded: predict with exactly that.
    kept = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    return FittedTrees(kept, learning_curve(rows), importance_table(factors, gain))


def _report_progress(state: lightgbm.callback.CallbackEnv) -> None:
    step = state.iteration + 1
    if step % ROUNDS_BETWEEN_REPORTS == 0:
        results = state.evaluation_result_list or []
        errors = ", ".join(f"{result[0]} error {result[2]:.4f}" for result in results)
        logger.info("round %d of at most %d: %s", step, state.end_iteration, errors)


def load_trees(weights: dict[str, bytes]) -> FittedTrees:
    """Make the model again from its text."""
    booster = lightgbm.Booster(model_str=weights[WEIGHTS].decode())
    gain = booster.feature_importance(importance_type="gain")
    return FittedTrees(booster, learning_curve([]), importance_table(booster.feature_name(), gain))
