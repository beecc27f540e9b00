"""Gradient-boosted trees by LightGBM.

LightGBM gets the numbers of columns and never the names of factors: it refuses some names, and changes others.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.models.algorithms.boosted_trees import LeavesHyper
from quant_pipeline.models.algorithms.lightgbm import LightGBMHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve, metrics_curve

logger = logging.getLogger(__name__)

WEIGHTS = "model.txt"
ROUNDS_BETWEEN_REPORTS = 50
CONTRIBUTION_ROWS = 2_000
METRICS = {"regression": "l2", "regression_l1": "l1", "huber": "huber", "lambdarank": "ndcg", "rank_xendcg": "ndcg"}


class FittedTrees:
    """Trees, kept as LightGBM's own text."""

    def __init__(self, booster: lightgbm.Booster, curve: pd.DataFrame, importance: pd.DataFrame) -> None:
        self.booster = booster
        self.curve = curve
        self.importance = importance

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; trees handle missing values."""
        return np.asarray(self.booster.predict(samples.values), dtype=np.float64)

    def weights(self) -> dict[str, bytes]:
        """Return the model text."""
        return {WEIGHTS: self.booster.model_to_string().encode()}


def fit_trees(
    train: Samples, valid: Samples, hyper: LightGBMHyper, seed: int, previous: FittedTrees | None = None
) -> FittedTrees:
    """Fit trees to ranked labels, and stop when they get no better on the validation segment.

    The arguments are those of `Algorithm.fit`; ``previous`` are trees to continue from: they stay as they are, and new
    ones correct their errors.
    """
    by_rank_ic = {"rank_ic": True, "loss": False}[hyper.stop_on]
    parameters = tree_parameters(hyper, seed) | {
        "objective": hyper.objective,
        "metric": "None" if by_rank_ic else METRICS[hyper.objective],
    }
    data = _dataset(train, hyper)
    reference = _dataset(valid, hyper, reference=data)
    seen: dict[str, dict[str, list[float]]] = {}
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=hyper.rounds,
        valid_sets=[data, reference],
        valid_names=["train", "valid"],
        feval=_RankIC({id(data): train, id(reference): valid}) if by_rank_ic else None,
        init_model=previous.booster if previous else None,
        callbacks=[
            lightgbm.early_stopping(hyper.patience, verbose=False, first_metric_only=True),
            lightgbm.record_evaluation(seen),
            _report_progress,
        ],
    )
    # Text keeps the best iteration only, and that is what will be loaded: predict with exactly that.
    kept = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))
    return FittedTrees(kept, metrics_curve(seen), contribution_table(kept, valid))


def tree_parameters(hyper: LeavesHyper, seed: int) -> dict[str, Any]:
    """Return LightGBM's parameters for the shape of the trees; they give the same trees every time."""
    return {
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


def contribution_table(booster: lightgbm.Booster, samples: Samples) -> pd.DataFrame:
    """Return how far every factor moves scores away from their mean, on average over rows spread evenly.

    Mean absolute Shapley contributions (Lundberg, Erion and Lee, *Consistent Individualized Feature Attribution for
    Tree Ensembles*, 2018); unlike gain they are in the unit of the score and count use, not training.
    """
    rows = samples.rows[:: max(len(samples.rows) // CONTRIBUTION_ROWS, 1)]
    contributions = np.asarray(booster.predict(replace(samples, rows=rows).values, pred_contrib=True))[:, :-1]
    return importance_table(list(samples.features.columns), np.abs(contributions).mean(axis=0))


def load_trees(weights: dict[str, bytes]) -> FittedTrees:
    """Make the model again from its text."""
    booster = lightgbm.Booster(model_str=weights[WEIGHTS].decode())
    return FittedTrees(booster, learning_curve([]), importance_table([], []))


def _dataset(samples: Samples, hyper: LightGBMHyper, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
    labels, group = samples.labels, None
    if METRICS[hyper.objective] == "ndcg":
        labels = grade(samples, hyper.grades)
        group = np.unique(samples.sessions, return_counts=True)[1]
    # Kept raw, because a continuation first scores the rows with the trees that are there.
    return lightgbm.Dataset(
        samples.values,
        labels,
        group=group,
        reference=reference,
        free_raw_data=False,
    )


def grade(samples: Samples, grades: int) -> npt.NDArray[np.float32]:
    """Divide the labels of every session into grades of about the same size, 0 for the lowest."""
    rank = pd.Series(samples.labels).groupby(samples.sessions).rank(pct=True, method="average")
    return np.ceil(rank * grades).clip(1, grades).to_numpy(dtype=np.float32) - 1


class _RankIC:
    """Mean rank IC of a data set, as a metric of LightGBM."""

    def __init__(self, samples: dict[int, Samples]) -> None:
        self._samples = samples

    def __call__(self, scores: npt.NDArray[np.float64], data: lightgbm.Dataset) -> tuple[str, float, bool]:
        samples = self._samples[id(data)]
        index = samples.features.index[samples.rows]
        coefficients = information_coefficients(pd.Series(scores, index), pd.Series(samples.labels, index))
        # A constant score has no correlation; the first trees may be one.
        return "rank_ic", float(coefficients["rank_ic"].fillna(0.0).mean()), True


def _report_progress(state: lightgbm.callback.CallbackEnv) -> None:
    step = state.iteration + 1
    if step % ROUNDS_BETWEEN_REPORTS == 0:
        results = state.evaluation_result_list or []
        errors = ", ".join(f"{result[0]} {result[1]} {result[2]:.4f}" for result in results)
        logger.info("round %d of at most %d: %s", step, state.end_iteration, errors)
