"""Gradient-boosted trees by LightGBM: hyper-parameters and record; `models.gbdt` computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from quant_pipeline.models.algorithms.boosted_trees import LeavesHyper
from quant_pipeline.models.algorithms.record import Algorithm
from quant_pipeline.models.fitted import Samples

if TYPE_CHECKING:
    from quant_pipeline.models.gbdt import FittedTrees


class LightGBMHyper(LeavesHyper):
    """Hyper-parameters of LightGBM.

    Attributes
    ----------
    objective
        ``regression``, ``regression_l1`` and ``huber`` look at single labels; ``lambdarank`` and ``rank_xendcg`` at the
        order within a session.
    grades
        Steps into which a ranking objective divides the labels of a session.
    stop_on
        ``loss``: training stops on the error that belongs to the objective; ``rank_ic``: on the validation rank IC.
    """

    objective: Literal["regression", "regression_l1", "huber", "lambdarank", "rank_xendcg"] = "regression"
    grades: int = Field(default=5, ge=2, le=31)
    stop_on: Literal["loss", "rank_ic"] = "loss"


def _fit(train: Samples, valid: Samples, hyper: LightGBMHyper, seed: int) -> FittedTrees:
    from quant_pipeline.models.gbdt import fit_trees

    return fit_trees(train, valid, hyper, seed)


def _continue(previous: FittedTrees, train: Samples, valid: Samples, hyper: LightGBMHyper, seed: int) -> FittedTrees:
    from quant_pipeline.models.gbdt import fit_trees

    return fit_trees(train, valid, hyper, seed, previous)


def _load(weights: dict[str, bytes], factors: list[str], hyper: LightGBMHyper) -> FittedTrees:
    from quant_pipeline.models.gbdt import load_trees

    return load_trees(weights)


ARITHMETIC = 2
"""Trees draw from all factors; 1 left out before those that no leaf of the smallest size could divide."""
LIGHTGBM = Algorithm(
    LightGBMHyper,
    _fit,
    _load,
    continue_from=_continue,
    processors=(),
    libraries=("lightgbm",),
    arithmetic=ARITHMETIC,
)
