"""Specifications of processors, as they stand under ``processors`` of a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from quant_pipeline.common.parameters import Parameters


class RobustZScore(Parameters):
    """Centre by the median of training, scale by its median absolute deviation, clip.

    Attributes
    ----------
    clip
        Largest absolute value of the result.
    """

    kind: Literal["robust_zscore"] = "robust_zscore"
    clip: PositiveFloat = 3.0


class Winsorise(Parameters):
    """Pull values beyond two quantiles of the training window, the same for all sessions, back to these.

    Attributes
    ----------
    lower
        The lower quantile.
    upper
        The upper quantile.
    """

    kind: Literal["winsorise"] = "winsorise"
    lower: float = Field(default=0.01, ge=0, lt=1)
    upper: float = Field(default=0.99, gt=0, le=1)

    @model_validator(mode="after")
    def _quantiles_ascend(self) -> Winsorise:
        if self.lower >= self.upper:
            raise ValueError(f"lower ({self.lower}) must be below upper ({self.upper})")
        return self


class FillMissing(Parameters):
    """Replace missing and infinite values by a constant.

    Attributes
    ----------
    value
        The constant.
    """

    kind: Literal["fill"] = "fill"
    value: float = 0.0


class CrossSectionalFill(Parameters):
    """Replace missing and infinite values by the mean of the session; where a session has none, by zero."""

    kind: Literal["cross_sectional_fill"] = "cross_sectional_fill"


class CrossSectionalZScore(Parameters):
    """Centre and scale within the session.

    Attributes
    ----------
    robust
        By median and median absolute deviation instead of mean and standard deviation.
    clip
        Largest absolute value of the result; None leaves it.
    """

    kind: Literal["cross_sectional_zscore"] = "cross_sectional_zscore"
    robust: bool = False
    clip: PositiveFloat | None = None


class CrossSectionalRank(Parameters):
    """Replace values by their centred rank within the session, scaled to about unit variance."""

    kind: Literal["cross_sectional_rank"] = "cross_sectional_rank"


class Neutralise(Parameters):
    """Take sector and size out of every factor, session by session.

    Both are factors of the same set, so that prediction knows them as training did: for a sector an expression with one
    number per sector, for size for instance ``Log(Mean($vwap*$volume, 20))``. They themselves stay as they are.

    Attributes
    ----------
    sector, size
        Names of these factors; at least one.
    """

    kind: Literal["neutralise"] = "neutralise"
    sector: str | None = None
    size: str | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Neutralise:
        if self.sector is None and self.size is None:
            raise ValueError("neutralise needs the name of a sector factor, of a size factor, or both")
        return self


ProcessorSpec = Annotated[
    RobustZScore
    | Winsorise
    | FillMissing
    | CrossSectionalFill
    | CrossSectionalZScore
    | CrossSectionalRank
    | Neutralise,
    Field(discriminator="kind"),
]
