"""Specification of a model: one entry of the registry."""

from __future__ import annotations

from typing import Any

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from quant_pipeline.common.extensions import ExtensionError
from quant_pipeline.common.parameters import Parameters, keep_as_given, read_chosen_part
from quant_pipeline.factors.model_label import ModelLabel
from quant_pipeline.factors.processors import ProcessorSpec
from quant_pipeline.models.algorithms import HyperParameters, SequenceHyper, find_algorithm

SEQUENCE_FACTORS = [
    "RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10",
    "VSTD5", "RSQR60", "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20", "KLOW",
]  # fmt: skip
"""Twenty factors of Alpha158 that Qlib's benchmark uses for sequence models."""


class ModelSpec(Parameters):
    """One registered model.

    Attributes
    ----------
    algorithm
        Name of a shipped algorithm, see `models.algorithms.registry`, or the dotted path of the record of another one.
    features
        Name of a feature set.
    factors
        Factors of the set to use; None uses all, but a model that looks back over a window uses twenty of Alpha158.
    hyper
        Hyper-parameters of the algorithm; keys it does not know are refused.
    processors
        Steps between factors and model; None chooses those of the algorithm.
    label
        What it learns to predict, when that is not what the others do: ``{horizon: 5}``.
    seed
        Seed of everything random in training.
    enabled
        Whether the model is part of the pipelines.
    tags
        Words by which ``--tags`` finds it.
    """

    algorithm: str
    features: str
    factors: list[str] | None = None
    hyper: SerializeAsAny[HyperParameters] = Field(default_factory=HyperParameters, validate_default=True)
    processors: list[ProcessorSpec] = Field(default_factory=list)
    label: ModelLabel | None = None
    seed: int = 7
    enabled: bool = True
    tags: list[str] = Field(default_factory=list)

    @model_validator(mode="wrap")
    @classmethod
    def _choose_processors(cls, data: Any, read: ModelWrapValidatorHandler[ModelSpec]) -> ModelSpec:
        if not isinstance(data, dict) or data.get("processors") is not None:
            return read(data)
        try:
            chosen = list(find_algorithm(str(data.get("algorithm"))).processors)
        except ExtensionError:
            chosen = []  # The algorithm is what is wrong; it is reported with its own key.
        return keep_as_given(read({**data, "processors": chosen}), data)

    @field_validator("algorithm")
    @classmethod
    def _find_algorithm(cls, name: str) -> str:
        find_algorithm(name)
        return name

    @field_validator("hyper", mode="wrap")
    @classmethod
    def _read_hyper(cls, given: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Read the block as the algorithm declares it; without an algorithm there is nothing to read it by."""
        name = info.data.get("algorithm")
        chosen = None if name is None else find_algorithm(name).hyper
        return read_chosen_part(given, read, HyperParameters, chosen, algorithm=name)

    @model_validator(mode="after")
    def _choose_factors(self) -> ModelSpec:
        if self.factors is None and self.window > 1 and self.features == "alpha158":
            object.__setattr__(self, "factors", SEQUENCE_FACTORS)
        return self

    def as_stored(self) -> dict[str, Any]:
        """Return the specification as plain values, without a label of its own where it has none."""
        return self.model_dump(mode="json", exclude=set() if self.label else {"label"})

    @property
    def title(self) -> str:
        """Algorithm and feature set, in words."""
        return f"{self.algorithm} on {self.features}"

    @property
    def window(self) -> int:
        """Sessions of features that one score needs."""
        return self.hyper.panel_window if isinstance(self.hyper, SequenceHyper) else 1
