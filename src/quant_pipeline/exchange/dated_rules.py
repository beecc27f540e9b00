"""Rows of the market's rules, by board and date: price limits, sizes of orders, taxes; units of rates."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from quant_pipeline.common.parameters import Parameters

RATE_UNITS = 10_000_000
"""Rates and amounts per share are whole multiples of 10^-7, so that fees are exact integers."""

DEGREE_UNITS = 10_000
"""The risk degree and limits are whole multiples of a basis point."""


def _whole_multiple(units: int, value: float) -> float:
    if abs(value * units - round(value * units)) > 1e-6:
        raise ValueError(f"{value} must be a whole multiple of {1 / units:.0e}")
    return value


def _in_rate_units(value: float) -> float:
    return _whole_multiple(RATE_UNITS, value)


def _in_basis_points(value: float) -> float:
    return _whole_multiple(DEGREE_UNITS, value)


Rate = Annotated[float, Field(ge=0, lt=1), AfterValidator(_in_rate_units)]
PerShare = Annotated[float, Field(ge=0, lt=100), AfterValidator(_in_rate_units)]
BasisPoints = Annotated[float, Field(ge=0, le=1), AfterValidator(_in_basis_points)]
PositiveBasisPoints = Annotated[float, Field(gt=0, le=1), AfterValidator(_in_basis_points)]
Turnover = Annotated[float, Field(gt=0, le=2), AfterValidator(_in_basis_points)]
PriceMove = Annotated[float, Field(gt=0, lt=1), AfterValidator(_in_basis_points)]


class PriceLimit(Parameters):
    """A daily price limit of the instruments whose code starts with a prefix, for as long as it is in force.

    Of the limits in force, that of the longest matching prefix counts, and among equal prefixes the newest.

    Attributes
    ----------
    prefix
        Start of the instrument code; a whole code means one instrument, the empty one all.
    limit
        Largest allowed move from the previous close, as a fraction (0.1 = ten percent); None: there is no limit.
    since
        First day on which it is in force; None: always.
    until
        First day on which it is no longer in force; None: still in force.
    free_sessions
        Sessions without a limit that a share has which is listed while this is in force, the first one counted. It has
        none in its first session in any case, because there is no close to refer to.
    """

    prefix: str
    limit: PriceMove | None
    since: dt.date | None = None
    until: dt.date | None = None
    free_sessions: int = Field(default=1, ge=1)

    @property
    def is_dated(self) -> bool:
        """Whether it is in force for a part of the time."""
        return self.since is not None or self.until is not None

    def holds_on(self, day: dt.date) -> bool:
        """Return whether it is in force on a day."""
        return (self.since is None or self.since <= day) and (self.until is None or day < self.until)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError(f"the limit of {self.prefix!r} ends on {self.until}, before it begins on {self.since}")
        return self


class LotSize(Parameters):
    """Sizes of the orders of instruments whose code starts with a prefix; the longest matching prefix counts.

    Attributes
    ----------
    prefix
        Start of the instrument code.
    fewest
        Fewest shares of a buy, and of a sale that does not sell everything.
    step
        Shares by which a larger order grows.
    """

    prefix: str
    fewest: int = Field(ge=1)
    step: int = Field(ge=1)

    @model_validator(mode="after")
    def _check_step(self) -> Self:
        if self.fewest % self.step:
            raise ValueError(
                f"the lots of {self.prefix!r} begin at {self.fewest}, no whole number of steps of {self.step}"
            )
        return self


class TaxChange(Parameters):
    """Taxes and fees on the value of trades from a day on, until the next change.

    Attributes
    ----------
    since
        First day on which they are charged.
    buy, sell
        Fraction of the value of a buy and of a sale.
    """

    since: dt.date
    buy: Rate
    sell: Rate
