"""DoubleEnsemble over LightGBM: hyper-parameters and record; `models.double_ensemble` computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeFloat, PositiveInt

from quant_pipeline.models.algorithms.boosted_trees import LeavesHyper
from quant_pipeline.models.algorithms.record import Algorithm, Share
from quant_pipeline.models.fitted import Samples

if TYPE_CHECKING:
    from quant_pipeline.models.double_ensemble import FittedDoubleEnsemble


class DoubleEnsembleHyper(LeavesHyper):
    """Hyper-parameters of DoubleEnsemble (Zhang et al., 2020).

    Attributes
    ----------
    models
        Ensembles of trees that are trained one after the other and averaged.
    reweight
        Whether later ones give the rows other weights.
    select
        Whether later ones read other factors.
    loss_weight
        How much the present error of a row counts in its weight.
    curve_weight
        How much it counts how the error of a row fell while learning.
    row_bins
        Groups of rows that share a weight.
    decay
        How much less the weights differ from model to model.
    factor_shares
        Part of the factors that stay, from the most to the least useful group.
    selection_rows
        Rows on which the use of a factor is measured.
    """

    models: PositiveInt = 3
    rounds: PositiveInt = 100
    reweight: bool = True
    select: bool = True
    loss_weight: NonNegativeFloat = 1.0
    curve_weight: NonNegativeFloat = 1.0
    row_bins: PositiveInt = 10
    decay: Share = 0.5
    factor_shares: list[Share] = Field(default=[0.8, 0.7, 0.6, 0.5, 0.4], min_length=1)
    selection_rows: PositiveInt = 20_000


def _fit(train: Samples, valid: Samples, hyper: DoubleEnsembleHyper, seed: int) -> FittedDoubleEnsemble:
    from quant_pipeline.models.double_ensemble import fit_double_ensemble

    return fit_double_ensemble(train, valid, hyper, seed)


def _load(weights: dict[str, bytes], factors: list[str], hyper: DoubleEnsembleHyper) -> FittedDoubleEnsemble:
    from quant_pipeline.models.double_ensemble import load_double_ensemble

    return load_double_ensemble(weights, factors)


DOUBLE_ENSEMBLE = Algorithm(DoubleEnsembleHyper, _fit, _load, processors=(), libraries=("lightgbm",))
