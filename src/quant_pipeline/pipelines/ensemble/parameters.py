"""Which models are fused, and how."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import Parameters, read_chosen_part
from quant_pipeline.pipelines.ensemble.weighting_registry import MemberWeighting, find_weighting

PICKED = "picked"
"""Name of the combination that `ensemble.models` makes."""


class Combination(Parameters):
    """A set of models that is fused.

    Attributes
    ----------
    models
        Names of registered models.
    member_weights
        ``equal``; ``icir`` (stability of the rank IC on the validation sessions); ``dynamic`` (the same over the last
        sessions whose labels are realised, again and again); ``manual``; or the dotted path of a `MemberWeighting`.
    manual
        Weight by model when ``member_weights`` is ``manual``; they are normalised to one.
    options
        Block of a weighting of your own.
    shrinkage
        How far weights that are estimated are moved towards equal ones: 0 not at all, 1 all the way.
    window
        Realised sessions that weights like ``dynamic`` are estimated from.
    refresh
        Sessions for which weights like ``dynamic`` hold.
    max_missing
        How many members may lack a score.
    enabled
        A disabled combination is kept in the file and ignored.
    """

    models: list[str] = Field(min_length=1)
    renamed: ClassVar[Mapping[str, str]] = {"weights": "member_weights", "may_miss": "max_missing"}

    member_weights: str = "equal"
    manual: dict[str, float] = Field(default_factory=dict)
    options: SerializeAsAny[Parameters] = Field(default_factory=Parameters, validate_default=True)
    shrinkage: float = Field(default=0.0, ge=0, le=1)
    window: int = Field(default=120, ge=20)
    refresh: PositiveInt = 21
    max_missing: NonNegativeInt = 0
    enabled: bool = True

    @field_validator("member_weights")
    @classmethod
    def _find_weighting(cls, name: str) -> str:
        find_weighting(name)
        return name

    @field_validator("options", mode="wrap")
    @classmethod
    def _read_options(cls, given: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Read the block as the weighting declares it; without a weighting there is nothing to read it by."""
        name = info.data.get("member_weights")
        return read_chosen_part(given, read, Parameters, None if name is None else find_weighting(name).options)

    @model_validator(mode="after")
    def _manual_weights_name_the_members(self) -> "Combination":
        if self.member_weights == "manual" and set(self.manual) != set(self.models):
            given, members = first_of(sorted(self.manual)), first_of(sorted(self.models))
            raise ValueError(f"manual weights are for {given}, the members are {members}")
        if self.member_weights == "manual" and (min(self.manual.values()) < 0 or sum(self.manual.values()) <= 0):
            raise ValueError("manual weights must not be negative and must not all be zero")
        return self

    @property
    def weighting(self) -> MemberWeighting:
        """How the members are weighted."""
        return find_weighting(self.member_weights)


class EnsembleParameters(Parameters):
    """The ``ensemble`` block of the parameters.

    Attributes
    ----------
    default
        The combination whose fused score becomes orders.
    normalisation
        How scores are made comparable within a session: ``rank`` or ``zscore``.
    combinations
        All combinations by name.
    models
        Members of a combination `picked` of equal weights, which becomes the default: for ``--params``, to look at a
        combination that no file names.
    """

    default: str
    models: list[str] | None = Field(default=None, min_length=1)
    normalisation: Literal["rank", "zscore"] = "rank"
    combinations: dict[str, Combination]

    @model_validator(mode="before")
    @classmethod
    def _pick(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("models") is None:
            return data
        combinations = {**data.get("combinations", {}), PICKED: {"models": data["models"], "member_weights": "equal"}}
        return {**data, "default": PICKED, "combinations": combinations}

    @model_validator(mode="after")
    def _default_is_enabled(self) -> "EnsembleParameters":
        if self.default not in self.enabled:
            raise ValueError(
                f"the default combination '{self.default}' is not among the enabled ones: "
                f"{first_of(sorted(self.enabled))}"
            )
        return self

    @property
    def enabled(self) -> dict[str, Combination]:
        """The combinations in use."""
        return {name: combination for name, combination in self.combinations.items() if combination.enabled}

    @property
    def members(self) -> list[str]:
        """Every model of an enabled combination, each once."""
        return list(dict.fromkeys(model for combination in self.enabled.values() for model in combination.models))
