"""DoubleEnsemble over LightGBM: each model chooses its own rows and factors (Zhang et al., 2020, ICDM)."""

from __future__ import annotations

import json
import logging

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.progress import track
from quant_pipeline.models.algorithms.double_ensemble import DoubleEnsembleHyper
from quant_pipeline.models.fitted import Samples, importance_table, learning_curve
from quant_pipeline.models.gbdt import tree_parameters

logger = logging.getLogger(__name__)

FACTORS = "factors.json"
SHARE_OF_CURVE = 0.1
"""Part of the trees, first and last, over which the errors of a row are compared."""

Vector = npt.NDArray[np.float64]


class FittedDoubleEnsemble:
    """Models of trees, each with the factors it reads, kept as LightGBM's own text."""

    def __init__(
        self, boosters: list[lightgbm.Booster], columns: list[list[int]], curve: pd.DataFrame, factors: list[str]
    ) -> None:
        self.boosters, self.columns, self._factors = boosters, columns, factors
        self.curve = curve
        gains = np.zeros(len(factors))
        for booster, chosen in zip(boosters, columns, strict=True):
            gains[chosen] += booster.feature_importance(importance_type="gain")
        self.importance = importance_table(factors, gains)

    def predict(self, samples: Samples) -> Vector:
        """Score rows by the mean of the models."""
        return _mean(_scores(self.boosters, self.columns, samples.values))

    def weights(self) -> dict[str, bytes]:
        """Return the text of each model and the factors it reads."""
        texts = {f"model_{index}.txt": each.model_to_string().encode() for index, each in enumerate(self.boosters)}
        return texts | {FACTORS: json.dumps([[self._factors[c] for c in columns] for columns in self.columns]).encode()}


def fit_double_ensemble(train: Samples, valid: Samples, hyper: DoubleEnsembleHyper, seed: int) -> FittedDoubleEnsemble:
    """Fit models one after the other, each on rows and factors that the ones before it make worth a look.

    The arguments are those of `Algorithm.fit`.
    """
    random = np.random.default_rng(seed)
    factors = train.factors
    segments = [_Segment("train", train), _Segment("valid", valid)]
    values, labels = segments[0].values, segments[0].labels
    weights, chosen = np.ones(len(labels)), np.arange(len(factors))
    boosters: list[lightgbm.Booster] = []
    columns: list[list[int]] = []
    rows: list[tuple[int, str, float]] = []
    for index in track(range(hyper.models), "training the models of the double ensemble"):
        booster = _fit_one(segments, weights, chosen, hyper, seed + index)
        boosters.append(booster)
        columns.append(chosen.tolist())
        for segment in segments:
            segment.add(booster, chosen)
            rows.append((index + 1, f"{segment.name}_l2", float(np.mean(segment.errors))))
        if index + 1 == hyper.models:
            break
        if hyper.reweight:
            curve = _relative_fall(booster, values[:, chosen], labels)
            weights = weigh_rows(curve, segments[0].errors, hyper, index + 1)
        if hyper.select:
            sample = random.permutation(len(labels))[: hyper.selection_rows]
            use = _use_of_factors(boosters, columns, values[sample], labels[sample], random)
            chosen = select_factors(use, hyper.factor_shares, random)
    return FittedDoubleEnsemble(boosters, columns, learning_curve(rows), factors)


def load_double_ensemble(weights: dict[str, bytes], factors: list[str]) -> FittedDoubleEnsemble:
    """Make the models again from their texts."""
    names: list[list[str]] = json.loads(weights[FACTORS])
    boosters = [lightgbm.Booster(model_str=weights[f"model_{index}.txt"].decode()) for index in range(len(names))]
    place_of = {factor: column for column, factor in enumerate(factors)}
    columns = [[place_of[name] for name in each] for each in names]
    return FittedDoubleEnsemble(boosters, columns, learning_curve([]), factors)


def weigh_rows(relative_fall: Vector, errors: Vector, hyper: DoubleEnsembleHyper, index: int) -> Vector:
    """Weigh the rows for the next model.

    Parameters
    ----------
    relative_fall
        Rank of the error of each row at the end of learning over its rank at the beginning.
    errors
        Error of each row by all models so far.
    hyper
        Hyper-parameters.
    index
        How many models there are.

    Returns
    -------
    numpy.ndarray
        Rows that are hard, and rows that were learned less than others, get less or more weight as the paper's
        equations (1) to (3) say; rows of the same group of values get the same weight.
    """
    value = hyper.loss_weight * _ranks(-errors) + hyper.curve_weight * _ranks(relative_fall)
    group = _equal_width_groups(value, hyper.row_bins)
    sums, counts = (np.bincount(group, weights=w, minlength=hyper.row_bins) for w in (value, np.ones_like(value)))
    mean = sums / np.maximum(counts, 1)
    return 1.0 / (hyper.decay**index * mean[group] + 0.1)


def select_factors(use: Vector, shares: list[float], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw factors for the next model: many of the most useful group, few of the least useful one."""
    group = _equal_width_groups(-use, len(shares))
    drawn = [
        random.choice(members, size=int(np.ceil(share * len(members))), replace=False)
        for index, share in enumerate(shares)
        if len(members := np.flatnonzero(group == index))
    ]
    return np.sort(np.concatenate(drawn))


class _Segment:
    """Rows of a segment, and the errors of the mean of the models so far.

    Parameters
    ----------
    name
        Of the segment.
    samples
        Its rows.
    """

    def __init__(self, name: str, samples: Samples) -> None:
        self.name, self.values, self.labels = name, samples.values, samples.labels.astype(np.float64)
        self._total, self._models = np.zeros(len(self.labels)), 0

    def add(self, booster: lightgbm.Booster, columns: npt.NDArray[np.int64]) -> None:
        """Score the rows by one more model."""
        self._total += np.asarray(booster.predict(self.values[:, columns]))
        self._models += 1

    @property
    def errors(self) -> Vector:
        """Squared error of each row."""
        return (self._total / self._models - self.labels) ** 2


def _fit_one(
    segments: list[_Segment],
    weights: Vector,
    columns: npt.NDArray[np.int64],
    hyper: DoubleEnsembleHyper,
    seed: int,
) -> lightgbm.Booster:
    train, valid = segments
    parameters = tree_parameters(hyper, seed) | {"objective": "regression", "metric": "l2"}
    data = lightgbm.Dataset(train.values[:, columns], train.labels, weight=weights)
    reference = lightgbm.Dataset(valid.values[:, columns], valid.labels, reference=data)
    stopping = lightgbm.early_stopping(hyper.patience, verbose=False)
    booster = lightgbm.train(parameters, data, hyper.rounds, valid_sets=[reference], callbacks=[stopping])
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))


def _scores(
    boosters: list[lightgbm.Booster], columns: list[list[int]], values: npt.NDArray[np.float32]
) -> list[Vector]:
    return [np.asarray(booster.predict(values[:, chosen])) for booster, chosen in zip(boosters, columns, strict=True)]


def _mean(scores: list[Vector]) -> Vector:
    total = np.zeros(len(scores[0]))
    for score in scores:
        total += score
    return total / len(scores)


def _relative_fall(booster: lightgbm.Booster, values: npt.NDArray[np.float32], labels: Vector) -> Vector:
    """Compare each row's rank among the errors of the last trees with that among the first ones."""
    trees = booster.num_trees()
    part = max(int(trees * SHARE_OF_CURVE), 1)
    ends: list[Vector] = []
    for first in (0, trees - part):
        score = np.asarray(booster.predict(values, num_iteration=first)) if first else np.zeros(len(labels))
        ranks = np.zeros(len(labels))
        for tree in range(first, first + part):
            score = score + np.asarray(booster.predict(values, start_iteration=tree, num_iteration=1))
            ranks += _ranks((score - labels) ** 2)
        ends.append(ranks)
    return ends[1] / ends[0]


def _use_of_factors(
    boosters: list[lightgbm.Booster],
    columns: list[list[int]],
    values: npt.NDArray[np.float32],
    labels: Vector,
    random: np.random.Generator,
) -> Vector:
    """Measure how much worse the models get when a factor is shuffled, over the deviation of that."""
    scores = _scores(boosters, columns, values)
    errors = (_mean(scores) - labels) ** 2
    use = np.zeros(values.shape[1])
    shuffled = values.copy()
    for column in sorted({column for chosen in columns for column in chosen}):
        shuffled[:, column] = random.permutation(values[:, column])
        changed = [
            np.asarray(booster.predict(shuffled[:, chosen])) if column in chosen else score
            for booster, chosen, score in zip(boosters, columns, scores, strict=True)
        ]
        worse = (_mean(changed) - labels) ** 2 - errors
        use[column] = worse.mean() / (worse.std() + 1e-7)
        shuffled[:, column] = values[:, column]
    return use


def _ranks(values: Vector) -> Vector:
    return pd.Series(values).rank(pct=True).to_numpy()


def _equal_width_groups(values: Vector, groups: int) -> npt.NDArray[np.int64]:
    edges = np.linspace(values.min(), values.max(), groups + 1)[1:-1]
    return np.searchsorted(edges, values, side="left")
