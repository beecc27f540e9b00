"""Specification of a model: one entry of the registry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from quant_pipeline.factors.processors import FillMissing, ProcessorSpec, RobustZScore
from quant_pipeline.parameters import Parameters

GRU_FACTORS = [
    "RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10",
    "VSTD5", "RSQR60", "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20", "KLOW",
]  # fmt: skip
"""Twenty factors of Alpha158 that Qlib's benchmark uses for sequence models."""


class LightGBMHyper(Parameters):
    """Hyper-parameters of gradient-boosted trees; names are LightGBM's."""

    algorithm: Literal["lightgbm"] = "lightgbm"
    learning_rate: PositiveFloat = 0.05
    num_leaves: PositiveInt = 31
    min_data_in_leaf: PositiveInt = 200
    feature_fraction: float = Field(default=0.6, gt=0, le=1)
    bagging_fraction: float = Field(default=0.7, gt=0, le=1)
    lambda_l2: NonNegativeFloat = 10.0
    rounds: PositiveInt = 400
    patience: PositiveInt = 40
    threads: PositiveInt = 2


class RidgeHyper(Parameters):
    """Hyper-parameters of ridge regression; ``alpha`` multiplies the number of rows."""

    algorithm: Literal["ridge"] = "ridge"
    alpha: NonNegativeFloat = 0.01


class GRUHyper(Parameters):
    """Hyper-parameters of the gated recurrent unit.

    Attributes
    ----------
    window
        Sessions a score looks back over.
    hidden, layers, dropout
        Size of the network.
    epochs, patience
        Most epochs, and epochs without a better validation rank IC after which training stops.
    learning_rate, batch_size, gradient_norm
        Of the Adam optimiser; gradients are clipped to the norm.
    threads
        CPU threads; part of the specification, because results depend on it in the last bits.
    """

    algorithm: Literal["gru"] = "gru"
    window: PositiveInt = 20
    hidden: PositiveInt = 32
    layers: PositiveInt = 1
    dropout: float = Field(default=0.1, ge=0, lt=1)
    epochs: PositiveInt = 8
    patience: PositiveInt = 3
    learning_rate: PositiveFloat = 0.002
    batch_size: PositiveInt = 2048
    gradient_norm: PositiveFloat = 3.0
    threads: PositiveInt = 2


Hyper = Annotated[LightGBMHyper | RidgeHyper | GRUHyper, Field(discriminator="algorithm")]


class ModelSpec(Parameters):
    """One registered model.

    Attributes
    ----------
    algorithm
        ``lightgbm``, ``ridge`` or ``gru``.
    features
        Name of a feature set.
    factors
        Factors of the set to use; None uses all, a sequence model twenty of Alpha158.
    hyper
        Hyper-parameters of the algorithm; keys it does not know are refused.
    processors
        Steps between factors and model; None chooses those the algorithm needs.
    seed
        Seed of everything random in training.
    enabled, tags
        Whether it is part of the pipelines, and how ``--tags`` finds it.
    """

    algorithm: Literal["lightgbm", "ridge", "gru"]
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
            needs_scaling = algorithm != "lightgbm"
            data["processors"] = [RobustZScore(), FillMissing()] if needs_scaling else []
        if algorithm == "gru" and data.get("factors") is None:
            data["factors"] = GRU_FACTORS
        return data

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"{self.algorithm} on {self.features}"

    @property
    def window(self) -> int:
        """Sessions of features that one score needs."""
        return self.hyper.window if isinstance(self.hyper, GRUHyper) else 1
