"""Limits of an account as data: ``conf/base/parameters_risk.yml``; an environment may set its own in such a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from quant_pipeline.common.parameters import Parameters

Part = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
"""A part below the whole: one of 1 would switch its limit off."""


class RiskLimits(Parameters):
    """The ``risk`` block of the parameters. Fractions are of the equity that the broker reports.

    Attributes
    ----------
    max_order_weight
        Largest buy, as a fraction of the equity.
    max_order_value
        Largest buy in the currency of the account, besides `max_order_weight`. None sets no absolute bound.
    max_exit_weight
        Largest sale as a part of the equity; wider than a buy, so that a position that has grown can be left.
    max_position_weight
        Largest position after a buy, as a fraction of the equity.
    max_sector_weight
        Largest fraction of the equity in one sector after a buy. An instrument without one is a sector of its own.
    max_gross_exposure
        Largest sum of all positions after a buy, as a fraction of the equity.
    max_participation
        Largest order as a part of the average volume of the last `volume_window` sessions.
    volume_window
        Sessions of that average.
    price_collar
        Largest distance of an order's reference price from the last known price.
    max_trade_age_seconds
        While the exchange is open, that price is the last trade, asked for just before the order is sent; while it is
        older than this, the order waits. None compares with a trade of the session where there is one, however old,
        and else with the last close.
    min_price, min_traded_value
        Cheapest share and smallest average traded value per session that may be bought.
    max_orders_per_session
        Largest number of orders sent in one session.
    max_orders_per_minute
        Largest number of orders sent within one minute.
    max_turnover
        Largest value of all orders of a session; buys beyond it are denied and do not count as a mistake of the plan.
    max_daily_value
        Largest value of all orders of a session in the currency of the account; buys beyond it are denied. None sets no
        absolute bound: `max_turnover` holds alone.
    spend_unsettled
        Whether buys may spend money of sales that is not settled yet. None: as the broker keeps the account, on margin
        yes, in cash no.
    max_day_trades
        Day trades within five sessions after which an account on margin below 25,000 sells nothing that it has bought
        in the same session (FINRA rule 4210). None leaves it to the broker.
    min_cash
        Part of the equity that buys must leave in cash.
    soft_daily_loss, hard_daily_loss
        Loss since the previous close, as a fraction of the net asset value then: from the soft one only exits pass,
        from the hard one nothing passes but `kedro account flatten`, to which only the limit of order kinds applies.
    max_drawdown
        Loss since the highest close, as a fraction of it, with the effect of the hard daily loss.
    max_signal_age, max_price_age
        Sessions that scores and prices may be behind the session of the decision; 0 = of that very session.
    allow_stale_exit
        Whether sales pass although scores or prices are old.
    max_clock_skew_seconds
        Largest distance between this clock and the broker's.
    max_consecutive_rejects
        Rejects in a row after which the account is halted.
    max_denied_share
        Denied part of a plan above which all its buys are refused; its exits go on.
    max_external_position_weight
        Value of positions that this account did not open, as a part of the equity, above which only exits pass.
    restricted
        Instruments that are never traded, in capitals or not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    renamed: ClassVar[Mapping[str, str]] = {"external_position_weight": "max_external_position_weight"}

    max_order_weight: Part = 0.10
    max_order_value: Annotated[float, Field(gt=0)] | None = None
    max_exit_weight: Part = 0.25
    max_position_weight: Part = 0.10
    max_sector_weight: Part = 0.60
    max_gross_exposure: Annotated[float, Field(gt=0, le=2)] = 1.0
    max_participation: Part = 0.05
    volume_window: PositiveInt = 20
    price_collar: Fraction = 0.10
    max_trade_age_seconds: PositiveFloat | None = None
    min_price: NonNegativeFloat = 1.0
    min_traded_value: NonNegativeFloat = 1_000_000.0
    max_orders_per_session: PositiveInt = 1000
    max_orders_per_minute: PositiveInt = 150
    max_turnover: Annotated[float, Field(gt=0, le=4)] = 1.0
    max_daily_value: Annotated[float, Field(gt=0)] | None = None
    spend_unsettled: bool | None = None
    max_day_trades: Annotated[int, Field(ge=0)] | None = 3
    min_cash: Annotated[float, Field(ge=0, lt=1)] = 0.0
    soft_daily_loss: Fraction = 0.03
    hard_daily_loss: Fraction = 0.05
    max_drawdown: Fraction = 0.20
    max_signal_age: Annotated[int, Field(ge=0)] = 0
    max_price_age: Annotated[int, Field(ge=0)] = 0
    allow_stale_exit: bool = False
    max_clock_skew_seconds: Annotated[float, Field(gt=0)] = 5.0
    max_consecutive_rejects: PositiveInt = 5
    max_denied_share: Part = 0.20
    max_external_position_weight: Part = 0.02
    restricted: list[str] = Field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all limits, whatever file or default they come from: the first twelve digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_is_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name not in ("allow_stale_exit", "spend_unsettled"):
            raise ValueError("a limit is a number, not true or false")
        return value

    @model_validator(mode="after")
    def _soft_before_hard(self) -> Self:
        if self.soft_daily_loss > self.hard_daily_loss:
            raise ValueError(
                f"soft_daily_loss {self.soft_daily_loss} lies above hard_daily_loss {self.hard_daily_loss}; swap them"
            )
        return self
