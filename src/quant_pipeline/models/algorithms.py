"""The algorithms by name: how each is fitted, and how it is made again from its weights."""

from __future__ import annotations

from quant_pipeline.models.fitted import FittedModel, Samples
from quant_pipeline.models.gbdt import fit_trees, load_trees
from quant_pipeline.models.hyper import LightGBMHyper, NetworkHyper
from quant_pipeline.models.linear import fit_ridge, load_ridge
from quant_pipeline.models.spec import ModelSpec


def fit(spec: ModelSpec, train: Samples, valid: Samples) -> FittedModel:
    """Fit the algorithm of a specification; torch is imported only when a network asks for it."""
    if isinstance(spec.hyper, LightGBMHyper):
        return fit_trees(train, valid, spec.hyper, spec.seed)
    if isinstance(spec.hyper, NetworkHyper):
        from quant_pipeline.models.networks.training import fit_network

        return fit_network(train, valid, spec.hyper, spec.seed)
    return fit_ridge(train, valid, spec.hyper, spec.seed)


def load(spec: ModelSpec, weights: dict[str, bytes], factors: list[str]) -> FittedModel:
    """Make a fitted model again from the files that `FittedModel.weights` returned."""
    if isinstance(spec.hyper, LightGBMHyper):
        return load_trees(weights)
    if isinstance(spec.hyper, NetworkHyper):
        from quant_pipeline.models.networks.scoring import load_network

        return load_network(weights, len(factors), spec.hyper)
    return load_ridge(weights, factors)
