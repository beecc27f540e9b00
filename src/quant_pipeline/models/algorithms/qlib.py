"""Any model class of Qlib: hyper-parameters and record; `models.qlib_adapter` computes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import Field

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.algorithms.record import Algorithm, SequenceHyper
from quant_pipeline.models.fitted import Samples

if TYPE_CHECKING:
    from quant_pipeline.models.qlib_adapter import FittedQlibModel


class QlibHyper(SequenceHyper):
    """A model of Qlib by name.

    Attributes
    ----------
    import_path
        Class, ``qlib.contrib.model.gbdt.LGBModel``; only classes within ``qlib`` are made.
    arguments
        Arguments of the class.
    window
        Sessions per row for the models whose module ends with ``_ts``; 1 for all others.
    """

    import_path: str = Field(pattern=r"^qlib(\.\w+)+$")
    arguments: dict[str, Any] = Field(default_factory=dict)


def _fit(train: Samples, valid: Samples, hyper: QlibHyper, seed: int) -> FittedQlibModel:
    fitted: FittedQlibModel = _adapter().fit_qlib(train, valid, hyper, seed)
    return fitted


def _load(weights: dict[str, bytes], factors: list[str], hyper: QlibHyper) -> FittedQlibModel:
    loaded: FittedQlibModel = _adapter().load_qlib(weights, factors, hyper)
    return loaded


def _packages(hyper: QlibHyper) -> set[str]:
    return {"qlib", *_adapter().packages_of(hyper)}


def _adapter() -> Any:
    try:
        return import_module("quant_pipeline.models.qlib_adapter")
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "qlib":
            raise
        raise ModelError(
            "Qlib is not installed, as it has no release for Python 3.13 and later: take its models out of "
            "parameters_models.yml, or run the project on Python 3.11 or 3.12"
        ) from error


QLIB = Algorithm(QlibHyper, _fit, _load, libraries=_packages)
