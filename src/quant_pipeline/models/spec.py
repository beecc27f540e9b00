"""Specification of a model: one entry of the registry."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from quant_pipeline.factors.processors import FillMissing, ProcessorSpec, RobustZScore
from quant_pipeline.models.hyper import Hyper, QlibHyper
from quant_pipeline.models.networks.hyper import NetworkHyper
from quant_pipeline.parameters import Parameters

SEQUENCE_FACTORS = [
    "RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10",
    "VSTD5", "RSQR60", "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20", "KLOW",
]  # fmt: skip
"""Twenty factors of Alpha158 that Qlib's benchmark uses for sequence models."""

TREES = ("lightgbm", "double_ensemble", "xgboost", "catboost")
"""Algorithms that need neither scaled nor complete factors."""


class ModelSpec(Parameters):
    """One registered model.

    Attributes
    ----------
    algorithm
        Name of an algorithm, see `models.hyper`.
    features
        Name of a feature set.
    factors
        Factors of the set to use; None uses all, but a model that looks back over a window uses twenty of Alpha158.
    hyper
        Hyper-parameters of the algorithm; keys it does not know are refused.
    processors
        Steps between factors and model; None chooses those the algorithm needs.
    seed
        Seed of everything random in training.
    enabled, tags
        Whether it is part of the pipelines, and how ``--tags`` finds it.
    """

    algorithm: str
    features: str
    factors: list[str] | None = None
    hyper: Hyper
    processors: list[ProcessorSpec] = Field(default_factory=list)
    seed: int = 7
    enabled: bool = True
    tags: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        algorithm = data.get("algorithm")
        hyper = data.get("hyper") or {}
        if isinstance(hyper, dict):
            data["hyper"] = {**hyper, "algorithm": algorithm}
        if data.get("processors") is None:
            data["processors"] = [] if algorithm in TREES else [RobustZScore(), FillMissing()]
        return data

    @model_validator(mode="after")
    def _choose_factors(self) -> ModelSpec:
        if self.factors is None and self.window > 1 and self.features == "alpha158":
            object.__setattr__(self, "factors", SEQUENCE_FACTORS)
        return self

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"{self.algorithm} on {self.features}"

    @property
    def window(self) -> int:
        """Sessions of features that one score needs."""
        return self.hyper.window if isinstance(self.hyper, NetworkHyper | QlibHyper) else 1
