"""Strategy rules as data: how scores become a portfolio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.exchange.dated_rules import BasisPoints
from quant_pipeline.strategy.position_weights import PositionWeighting, find_weighting
from quant_pipeline.strategy.schedule import Schedule

Method = Literal["topk_drop", "buffer_zone", "target_weights"]


class StrategyRules(Parameters):
    """How scores become a portfolio of the best `topk`.

    Attributes
    ----------
    method
        ``topk_drop``: replace at most `n_drop` holdings per decision (corrected TopK-Drop). ``buffer_zone``: sell what
        ranks below ``topk + buffer``, fill the places with the best. ``target_weights``: choose as the buffer zone
        does and bring every position to its weight.
    topk
        Number of instruments to hold.
    n_drop
        ``topk_drop`` only: most ranked holdings sold per decision; 0 sells none.
    buffer
        ``buffer_zone`` and ``target_weights``: ranks below `topk` in which a holding may stay.
    position_weights
        ``target_weights`` only: ``equal``; ``score``, in proportion to positive scores; ``inverse_volatility``, in
        proportion to the reciprocal of the standard deviation of daily returns; or the dotted path of a
        `PositionWeighting`.
    max_weight
        ``target_weights`` only: cap of a weight; what is cut goes to the others in proportion, else it stays cash.
    min_trade
        ``target_weights`` only: a position is left alone while it is off by less than this part of the account.
    weight_sessions
        Daily returns that weights like ``inverse_volatility`` are computed from; an instrument with fewer is not
        bought.
    hold_threshold
        Closes a position must have seen before it may be sold, counting that of the session it was bought in.
    risk_degree
        Part of the net asset value to invest, and of the available cash a decision may spend.
    sell_orphans
        Whether holdings without a score (they left the universe) are sold, beyond `n_drop`.
    schedule
        On which sessions the strategy decides.
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "weighting": "position_weights",
        "volatility_sessions": "weight_sessions",
        "largest_weight": "max_weight",
        "smallest_trade": "min_trade",
    }

    method: Method = "topk_drop"
    topk: int = Field(default=50, ge=1)
    n_drop: int = Field(default=5, ge=0)
    buffer: int = Field(default=0, ge=0)
    position_weights: str = "equal"
    max_weight: float = Field(default=1.0, gt=0, le=1)
    min_trade: float = Field(default=0.0, ge=0, lt=1)
    weight_sessions: int = Field(default=60, ge=2)
    hold_threshold: int = Field(default=1, ge=1)
    risk_degree: BasisPoints = 0.95
    sell_orphans: bool = True
    schedule: Schedule = Schedule()

    @field_validator("position_weights")
    @classmethod
    def _find_weighting(cls, name: str) -> str:
        find_weighting(name)
        return name

    @property
    def weighting(self) -> PositionWeighting:
        """How positions are weighted."""
        return find_weighting(self.position_weights)

    @property
    def weighs_by_returns(self) -> bool:
        """Whether decisions need the past returns of the instruments."""
        return self.method == "target_weights" and self.weighting.of_returns is not None

    @model_validator(mode="after")
    def _check_drop(self) -> Self:
        if self.method == "topk_drop" and self.n_drop > self.topk:
            raise ValueError(f"n_drop {self.n_drop} must not exceed topk {self.topk}")
        if self.risk_degree <= 0:
            raise ValueError("risk_degree must be positive")
        return self
