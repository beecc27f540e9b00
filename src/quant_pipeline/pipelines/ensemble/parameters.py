"""Which models are fused, and how."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from quant_pipeline.parameters import Parameters


class Combination(Parameters):
    """A set of models that is fused.

    Attributes
    ----------
    models
        Names of registered models.
    weights
        ``equal``; ``icir`` (stability of the rank IC on the validation sessions); ``dynamic`` (the same over the last
        sessions whose labels are realised, again and again); ``manual``.
    manual
        Weight by model when ``weights`` is ``manual``; they are normalised to one.
    shrinkage
        How far ``icir`` and ``dynamic`` weights are moved towards equal ones: 0 not at all, 1 all the way.
    window
        ``dynamic``: how many realised sessions are looked at.
    refresh
        ``dynamic``: sessions for which weights hold.
    may_miss
        How many members may lack a score.
    enabled
        A disabled combination is kept in the file and ignored.
    """

    models: list[str] = Field(min_length=1)
    weights: Literal["equal", "icir", "dynamic", "manual"] = "equal"
    manual: dict[str, float] = Field(default_factory=dict)
    shrinkage: float = Field(default=0.0, ge=0, le=1)
    window: int = Field(default=120, ge=20)
    refresh: PositiveInt = 21
    may_miss: NonNegativeInt = 0
    enabled: bool = True

    @model_validator(mode="after")
    def _manual_weights_name_the_members(self) -> "Combination":
        if self.weights == "manual" and set(self.manual) != set(self.models):
            raise ValueError(f"manual weights are for {sorted(self.manual)}, the members are {sorted(self.models)}")
        if self.weights == "manual" and (min(self.manual.values()) < 0 or sum(self.manual.values()) <= 0):
            raise ValueError("manual weights must not be negative and must not all be zero")
        return self


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
    """

    default: str
    normalisation: Literal["rank", "zscore"] = "rank"
    combinations: dict[str, Combination]

    @model_validator(mode="after")
    def _default_is_enabled(self) -> "EnsembleParameters":
        if self.default not in self.enabled:
            raise ValueError(
                f"the default combination '{self.default}' is not among the enabled ones: {sorted(self.enabled)}"
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
