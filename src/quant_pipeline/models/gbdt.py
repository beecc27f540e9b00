"""Gradient-boosted trees by LightGBM.

LightGBM gets the numbers of columns and never the names of factors: it refuses some names, and changes others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from quant_pipeline.evaluation.information_coefficient import rank_information_coefficients
from quant_pipeline.models.algorithms.boosted_trees import LeavesHyper
from quant_pipeline.models.algorithms.lightgbm import LightGBMHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve, metrics_curve
from quant_pipeline.models.processed import fits_in_memory

logger = logging.getLogger(__name__)

WEIGHTS = "model.txt"
ROUNDS_BETWEEN_REPORTS = 50
CONTRIBUTION_ROWS = 2_000
BINNED = "binned by LightGBM"
ROWS_TO_ESTIMATE_BY = 20_000
LEAST_OF_A_BUNDLE = 0.97
"""Shares of the rows in which two factors have their most frequent value, together; in a bundle they are about 1."""
ZERO_OF_LIGHTGBM = 1e-35
"""Values up to this one are zero."""
METRICS = {"regression": "l2", "regression_l1": "l1", "huber": "huber", "lambdarank": "ndcg", "rank_xendcg": "ndcg"}


class FittedTrees:
    """Trees, kept as LightGBM's own text."""

    def __init__(self, booster: lightgbm.Booster, curve: pd.DataFrame, importance: pd.DataFrame) -> None:
        self.booster = booster
        self.curve = curve
        self.importance = importance

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; trees handle missing values."""
        scores = np.empty(len(samples.rows))
        for part, values in samples.blocks():
            scores[part] = self.booster.predict(values)
        return scores

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
        # Trials of a study share the bins: factors that no leaf of this size could divide belong to them.
        "feature_pre_filter": False,
    }
    data, reference = _datasets(train, valid, hyper, parameters, is_continued=previous is not None)
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
        # The trees that one thread makes row by row, in less time and memory; several threads add up in another order.
        "force_col_wise": True,
        "verbosity": -1,
    }


def contribution_table(booster: lightgbm.Booster, samples: Samples) -> pd.DataFrame:
    """Return how far every factor moves scores away from their mean, on average over rows spread evenly.

    Mean absolute Shapley contributions (Lundberg, Erion and Lee, *Consistent Individualized Feature Attribution for
    Tree Ensembles*, 2018); unlike gain they are in the unit of the score and count use, not training.
    """
    rows = samples.rows[:: max(len(samples.rows) // CONTRIBUTION_ROWS, 1)]
    contributions = np.asarray(booster.predict(replace(samples, rows=rows, shared=None).values, pred_contrib=True))[
        :, :-1
    ]
    return importance_table(samples.factors, np.abs(contributions).mean(axis=0))


def load_trees(weights: dict[str, bytes]) -> FittedTrees:
    """Make the model again from its text."""
    booster = lightgbm.Booster(model_str=weights[WEIGHTS].decode())
    return FittedTrees(booster, learning_curve([]), importance_table([], []))


class _RowsOfBlock(lightgbm.Sequence):
    """Rows of one block of samples, which LightGBM reads first to choose bins and then to fill them.

    Only the block that was read last is in memory.
    """

    def __init__(self, blocks: _Blocks, part: slice) -> None:
        self._blocks, self._part = blocks, part
        self.batch_size = len(self)

    def __len__(self) -> int:
        return self._part.stop - self._part.start

    def __getitem__(self, rows: int | slice | list[int]) -> npt.NDArray[Any]:
        values = self._blocks.values_of(self._part)
        # Single rows are those that bins are chosen by, for which LightGBM wants doubles.
        return values[rows].astype(np.float64) if isinstance(rows, int | np.integer) else values[rows]


class _Blocks:
    """Blocks of samples, one of them in memory."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._part, self._values = slice(0, 0), np.empty((0, 0), dtype=np.float32)

    def values_of(self, part: slice) -> npt.NDArray[np.float32]:
        """Return the features of a block."""
        if part != self._part:
            self._values = np.empty((0, 0), dtype=np.float32)  # Or two blocks would be in memory.
            self._part, self._values = part, self._samples.values_of(part)
        return self._values


class _BlockDataset(lightgbm.Dataset):
    """A data set that is filled block by block, with the bins that LightGBM would choose for one array."""

    def get_params(self) -> dict[str, Any]:
        """Return all parameters, as for an array: the rows to choose bins by depend on the seed."""
        return dict(self.params or {})


def _in_blocks(samples: Samples, **options: Any) -> lightgbm.Dataset:
    blocks = _Blocks(samples)
    return _BlockDataset([_RowsOfBlock(blocks, part) for part in samples.parts()], **options)


def _in_one_array(samples: Samples, *, reference: lightgbm.Dataset | None, **options: Any) -> lightgbm.Dataset:
    """Hand over columns, of which LightGBM bins one after the other; an array it would bin row by row.

    It divides the columns among threads also where it bundles factors, which share their bins then: in a row in which
    two of them have a value, the thread that is last decides. Those go row by row. Validation has no bundles.
    """
    values = samples.values_by_factor
    if reference is None and _could_be_bundled(values):
        return lightgbm.Dataset(values.T, **options)
    columns = {f"Column_{place}": pa.array(column) for place, column in enumerate(values)}
    return lightgbm.Dataset(pa.table(columns), reference=reference, **options)


def _could_be_bundled(values: npt.NDArray[np.float32]) -> bool:
    """Return whether there are two factors ``(factor, row)`` that LightGBM could bundle.

    It does so only where the rows in which the one has not its most frequent value, and those of the other, are
    together no more than there are rows, and one of 10,000. Shares of the most frequent values are estimated from some
    rows, and the bound is six standard errors of their sum lower. A constant factor is in no bundle.
    """
    rows = np.random.default_rng(0).integers(values.shape[1], size=min(values.shape[1], ROWS_TO_ESTIMATE_BY))
    shares = [0.0, 0.0]
    for column in values:
        drawn = column[rows]
        drawn[np.abs(drawn) <= ZERO_OF_LIGHTGBM] = 0.0
        share = float(np.unique(drawn, return_counts=True)[1].max()) / len(rows)
        if share < 1 or not _is_constant(column):
            shares.append(share)
    return sum(sorted(shares)[-2:]) > LEAST_OF_A_BUNDLE


def _is_constant(column: npt.NDArray[np.float32]) -> bool:
    return bool((column == column[0]).all() or np.isnan(column).all())


def _datasets(
    train: Samples, valid: Samples, hyper: LightGBMHyper, parameters: dict[str, Any], *, is_continued: bool
) -> tuple[lightgbm.Dataset, lightgbm.Dataset]:
    """Bin the values of both segments; the array of one is gone before that of the other is made.

    Samples that several trainings share keep what was binned for the last one.
    """
    # A continuation first scores all rows with the trees that are there, so it needs them in one array.
    in_one_array = is_continued or fits_in_memory(len(train.rows), len(train.factors))
    make = partial(_in_one_array if in_one_array else _in_blocks, free_raw_data=not is_continued)
    # Of more than 200,000 rows those to choose bins by are drawn by the seed.
    binned_for = parameters["seed"], _is_ranking(hyper) and hyper.grades
    shared = train.shared if in_one_array and not is_continued else None
    if shared is not None and shared.get(BINNED, (None,))[0] == binned_for:
        data, reference = shared[BINNED][1:]
        data.params, reference.params = dict(parameters), dict(parameters)
        return data, reference
    data = _dataset(make, train, hyper, parameters)
    if not is_continued:
        data.construct()
    reference = _dataset(make, valid, hyper, parameters, reference=data)
    if shared is not None:
        shared[BINNED] = binned_for, data, reference
    return data, reference


def _dataset(
    make: Callable[..., lightgbm.Dataset],
    samples: Samples,
    hyper: LightGBMHyper,
    parameters: dict[str, Any],
    reference: lightgbm.Dataset | None = None,
) -> lightgbm.Dataset:
    labels, group = samples.labels, None
    if _is_ranking(hyper):
        labels = grade(samples, hyper.grades)
        group = np.unique(samples.sessions, return_counts=True)[1]
    return make(samples, label=labels, group=group, reference=reference, params=dict(parameters))


def _is_ranking(hyper: LightGBMHyper) -> bool:
    return METRICS[hyper.objective] == "ndcg"


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
        index = samples.index
        coefficients = rank_information_coefficients(pd.Series(scores, index), pd.Series(samples.labels, index))
        # A constant score has no correlation; the first trees may be one.
        return "rank_ic", float(coefficients.fillna(0.0).mean()), True


def _report_progress(state: lightgbm.callback.CallbackEnv) -> None:
    step = state.iteration + 1
    if step % ROUNDS_BETWEEN_REPORTS == 0:
        results = state.evaluation_result_list or []
        errors = ", ".join(f"{result[0]} {result[1]} {result[2]:.4f}" for result in results)
        logger.info("round %d of at most %d: %s", step, state.end_iteration, errors)
