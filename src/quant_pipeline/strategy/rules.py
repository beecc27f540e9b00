"""Strategy rules as data: how scores become a portfolio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.exchange.dated_rules import BasisPoints, PositiveBasisPoints, Turnover
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
    max_position_weight
        Largest position after a buy, as a part of the net asset value. None sets no bound.
    min_position_weight
        Smallest position that is opened, as a part of the net asset value, to within a lot.
    max_sector_weight
        Largest part of the net asset value in one sector after a buy: a candidate whose sector has no room for a full
        position is passed over, and the next one takes its place. An instrument without a sector is one of its own.
    max_turnover
        Largest value of all sales and buys of a decision, as a part of the net asset value. Orphans and blacklisted
        holdings are sold in any case and count.
    one_listing_per_company
        Whether at most one instrument of a company is bought.
    companies
        Company by instrument, for `one_listing_per_company`, beside those of the table of instruments.
    blacklist
        Instruments that are never bought, and sold as soon as they can be.
    watchlist
        Instruments that are never bought; a holding is kept and sold by its rank.
    schedule
        On which sessions the strategy decides.

    Notes
    -----
    Rules from `max_position_weight` on bind what is bought; of what is held, only the blacklist sells. Weights are of
    the prices of the decision, and orders execute in the next session: an account with risk limits needs some distance
    to them. What the rules do in detail is in `strategy/portfolio_rules.py`.
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
    max_position_weight: PositiveBasisPoints | None = None
    min_position_weight: PositiveBasisPoints | None = None
    max_sector_weight: PositiveBasisPoints | None = None
    max_turnover: Turnover | None = None
    one_listing_per_company: bool = False
    companies: dict[str, str] = Field(default_factory=dict)
    blacklist: list[str] = Field(default_factory=list)
    watchlist: list[str] = Field(default_factory=list)
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

    @property
    def binds_portfolio(self) -> bool:
        """Whether any rule decides about a portfolio beyond rank and weight."""
        bounds = (self.max_position_weight, self.min_position_weight, self.max_sector_weight, self.max_turnover)
        return any(bound is not None for bound in bounds) or bool(
            self.one_listing_per_company or self.blacklist or self.watchlist
        )

    @property
    def needs_classification(self) -> bool:
        """Whether decisions need to know sectors or companies."""
        return self.max_sector_weight is not None or self.one_listing_per_company

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        smallest, largest = self.min_position_weight, self.max_position_weight
        if smallest is not None and smallest > min(largest or 1.0, self.risk_degree):
            raise ValueError(
                f"min_position_weight {smallest} is above max_position_weight or risk_degree: nothing could be bought"
            )
        full = min(self.risk_degree / self.topk, largest or 1.0)
        if self.method != "target_weights" and smallest is not None and smallest > full:
            raise ValueError(
                f"min_position_weight {smallest} is above a full position of {full:.4f}, risk_degree by topk and at "
                f"most max_position_weight; lower it or topk {self.topk}"
            )
        if self.max_sector_weight is not None and self.max_sector_weight < full:
            raise ValueError(
                f"max_sector_weight {self.max_sector_weight} is below a full position of {full:.4f}: nothing could be "
                f"bought; raise topk {self.topk}"
            )
        if self.max_turnover is not None and self.max_turnover < 2 * full:
            raise ValueError(
                f"max_turnover {self.max_turnover} is below twice a full position of {full:.4f}: no holding could be "
                "replaced"
            )
        return self

    @model_validator(mode="after")
    def _check_drop(self) -> Self:
        if self.method == "topk_drop" and self.n_drop > self.topk:
            raise ValueError(f"n_drop {self.n_drop} must not exceed topk {self.topk}")
        if self.risk_degree <= 0:
            raise ValueError("risk_degree must be positive")
        return self
