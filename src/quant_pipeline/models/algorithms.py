"""The algorithms by name: how each is fitted, and how it is made again from its weights."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.boosters import fit_catboost, fit_xgboost, load_catboost, load_xgboost
from quant_pipeline.models.fitted import FittedModel, Samples
from quant_pipeline.models.hyper import (
    CatBoostHyper,
    DoubleEnsembleHyper,
    ElasticNetHyper,
    LightGBMHyper,
    QlibHyper,
    RidgeHyper,
    XGBoostHyper,
)
from quant_pipeline.models.libraries import versions_of
from quant_pipeline.models.linear import fit_elastic_net, fit_ridge, load_linear
from quant_pipeline.models.networks.hyper import NetworkHyper
from quant_pipeline.models.spec import ModelSpec


def fit(spec: ModelSpec, train: Samples, valid: Samples, previous: FittedModel | None = None) -> FittedModel:
    """Fit the algorithm of a specification; LightGBM, torch and Qlib are imported only when a model asks for them.

    Parameters
    ----------
    spec
        Specification.
    train, valid
        Samples of the two segments.
    previous
        A model of the same specification to continue from. LightGBM adds trees to it and a network starts with its
        weights; every other algorithm has no way to continue.

    Raises
    ------
    ModelError
        When the algorithm cannot continue, or its library is not installed.
    """
    match spec.hyper:
        case LightGBMHyper() as hyper:
            from quant_pipeline.models.gbdt import FittedTrees, fit_trees

            return fit_trees(train, valid, hyper, spec.seed, previous if isinstance(previous, FittedTrees) else None)
        case NetworkHyper() as hyper:
            from quant_pipeline.models.networks.scoring import FittedNetwork
            from quant_pipeline.models.networks.training import fit_network

            start = previous if isinstance(previous, FittedNetwork) else None
            return fit_network(train, valid, hyper, spec.seed, start)
    if previous is not None:
        raise ModelError(f"{spec.title} cannot continue from a model at hand; train it anew, without continuation")
    return _fit_anew(spec, train, valid)


def _fit_anew(spec: ModelSpec, train: Samples, valid: Samples) -> FittedModel:
    match spec.hyper:
        case DoubleEnsembleHyper() as hyper:
            from quant_pipeline.models.double_ensemble import fit_double_ensemble

            return fit_double_ensemble(train, valid, hyper, spec.seed)
        case XGBoostHyper() as hyper:
            return fit_xgboost(train, valid, hyper, spec.seed)
        case CatBoostHyper() as hyper:
            return fit_catboost(train, valid, hyper, spec.seed)
        case ElasticNetHyper() as hyper:
            return fit_elastic_net(train, valid, hyper)
        case RidgeHyper() as hyper:
            return fit_ridge(train, valid, hyper)
        case QlibHyper() as hyper:
            return _qlib_adapter().fit_qlib(train, valid, hyper, spec.seed)
    raise ModelError(f"no algorithm belongs to {type(spec.hyper).__name__}")


def load(spec: ModelSpec, weights: dict[str, bytes], factors: list[str]) -> FittedModel:
    """Make a fitted model again from the files that `FittedModel.weights` returned."""
    match spec.hyper:
        case LightGBMHyper():
            from quant_pipeline.models.gbdt import load_trees

            return load_trees(weights)
        case DoubleEnsembleHyper():
            from quant_pipeline.models.double_ensemble import load_double_ensemble

            return load_double_ensemble(weights, factors)
        case XGBoostHyper():
            return load_xgboost(weights, factors)
        case CatBoostHyper():
            return load_catboost(weights, factors)
        case RidgeHyper() | ElasticNetHyper():
            return load_linear(weights, factors)
        case NetworkHyper() as hyper:
            from quant_pipeline.models.networks.scoring import load_network

            return load_network(weights, len(factors), hyper)
        case QlibHyper() as hyper:
            return _qlib_adapter().load_qlib(weights, factors, hyper)
    raise ModelError(f"no algorithm belongs to {type(spec.hyper).__name__}")


def libraries(spec: ModelSpec) -> dict[str, str]:
    """Return the libraries that fit the algorithm of a specification, and their installed versions."""
    packages = set(spec.hyper.libraries)
    if isinstance(spec.hyper, QlibHyper):
        packages |= _qlib_adapter().packages_of(spec.hyper)
    return versions_of(packages)


def _qlib_adapter() -> Any:
    try:
        return import_module("quant_pipeline.models.qlib_adapter")
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "qlib":
            raise
        raise ModelError(
            "Qlib is not installed, as it has no release for Python 3.13 and later: take its models out of "
            "parameters_models.yml, or run the project on Python 3.11 or 3.12"
        ) from error
