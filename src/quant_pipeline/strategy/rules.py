"""Rules as data: what a market allows, what trading costs, how a strategy turns scores into orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, assert_never

from pydantic import AfterValidator, Field, field_validator, model_validator

from quant_pipeline.market.clock import DealPrice
from quant_pipeline.parameters import Parameters
from quant_pipeline.strategy.position_weights import PositionWeighting, find_weighting
from quant_pipeline.strategy.schedule import Schedule

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

PresetName = Literal["US", "CN"]


class CostRules(Parameters):
    """What a trade costs: fees, and the price paid for dealing at all.

    The fee of one order is ``max(value × rate + shares × per share, minimum) + tax``, rounded half up to whole
    cents; an order that deals nothing costs nothing. The dealt price is the market's deal price moved against the
    trader by ``half_spread + volume_impact × share² + root_impact × √share``, where *share* is the order's part of the
    session's volume; the result is rounded half up to a tick.

    Attributes
    ----------
    buy_rate, sell_rate
        Commission as a fraction of the traded value.
    per_share
        Commission per share, in the currency.
    minimum
        Smallest commission per order, in the currency.
    sell_tax_rate
        Tax and regulatory fee on the value of sales (stamp duty, SEC fee).
    sell_tax_per_share
        Regulatory fee per share sold (FINRA trading activity fee).
    half_spread
        Fixed slippage, as a fraction of the price.
    volume_impact
        Coefficient of the squared share of volume, as a fraction of the price (zipline's volume-share model).
    root_impact
        Coefficient of the square root of the share of volume, as a fraction of the price (Almgren's square-root law;
        multiply by the instrument's daily volatility yourself, for example 0.8 × 0.02).
    """

    buy_rate: Rate = 0.0
    sell_rate: Rate = 0.0
    per_share: PerShare = 0.0
    minimum: float = Field(default=0.0, ge=0)
    sell_tax_rate: Rate = 0.0
    sell_tax_per_share: PerShare = 0.0
    half_spread: float = Field(default=0.0, ge=0, lt=0.5)
    volume_impact: float = Field(default=0.0, ge=0)
    root_impact: float = Field(default=0.0, ge=0)

    @property
    def needs_volume(self) -> bool:
        """Whether the dealt price depends on the volume of the session."""
        return self.volume_impact > 0 or self.root_impact > 0

    @classmethod
    def preset(cls, name: PresetName) -> CostRules:
        """Return the costs of a retail account.

        ``US``: no commission, SEC fee 27.80 USD per million and FINRA fee 0.000166 USD per share on sales, half a
        spread of 2 basis points. ``CN``: commission 0.025 % with 5 CNY minimum, stamp duty 0.05 % on sales, half a
        spread of 5 basis points.
        """
        match name:
            case "US":
                return cls(sell_tax_rate=0.0000278, sell_tax_per_share=0.000166, half_spread=0.0002)
            case "CN":
                return cls(buy_rate=0.00025, sell_rate=0.00025, minimum=5.0, sell_tax_rate=0.0005, half_spread=0.0005)
            case unknown:
                assert_never(unknown)


class PriceLimit(Parameters):
    """A daily price limit of the instruments whose code starts with a prefix.

    Attributes
    ----------
    prefix
        Start of the instrument code; the longest matching prefix counts, the empty one matches all.
    limit
        Largest allowed move from the previous close, as a fraction (0.1 = ten percent).
    """

    prefix: str
    limit: Annotated[float, Field(gt=0, lt=1), AfterValidator(_in_basis_points)]


class MarketRules(Parameters):
    """What the market allows.

    Attributes
    ----------
    calendar
        Name of the exchange calendar.
    deal_price
        Field of the deal session's bar at which orders deal: ``open``, ``close`` or ``vwap``.
    lot
        Buys are whole multiples of this many shares; sales may be odd lots.
    price_limits
        Daily limits by board. At a limit-up deal price nothing can be bought, at a limit-down price nothing sold.
    price_step
        Step to which limit prices are rounded, in the currency.
    participation_cap
        Largest part of the session's volume one order may take; the rest of the order expires. ``None``: no cap.
    sell_same_session
        Whether shares bought in a session may be sold in it (false in a T+1 market); daily decisions never do.
    risk_free_rate
        Return per year without risk; Sharpe and Sortino ratio and alpha of account and benchmark are measured above it.
    cash_interest_rate
        Interest per year on the cash of an account, simple: the cash before the corporate actions and orders of a
        session earns for the calendar days since the session before, over 365, rounded half up to a cent. The
        benchmark holds no cash.
    dividend_tax_rate
        Part of a cash dividend that is withheld, of account and benchmark alike; prices and labels stay gross.
    """

    calendar: str = "XNYS"
    deal_price: DealPrice = "open"
    lot: int = Field(default=1, ge=1)
    price_limits: tuple[PriceLimit, ...] = ()
    price_step: float = Field(default=0.01, gt=0)
    participation_cap: float | None = Field(default=None, gt=0, le=1)
    sell_same_session: bool = True
    risk_free_rate: float = Field(default=0.0, gt=-0.5, lt=1)
    cash_interest_rate: float = Field(default=0.0, ge=0, lt=1)
    dividend_tax_rate: Rate = 0.0

    def price_limit_of(self, instrument: str) -> float | None:
        """Return the daily price limit of an instrument, None where there is none."""
        matching = [rule for rule in self.price_limits if instrument.startswith(rule.prefix)]
        return max(matching, key=lambda rule: len(rule.prefix)).limit if matching else None

    @classmethod
    def preset(cls, name: PresetName) -> MarketRules:
        """Return the rules of a market.

        ``US``: lot 1, no limits. ``CN``: lot 100, limits of 10 % (main boards), 20 % (ChiNext, STAR) and 30 %
        (Beijing), bought shares are locked until the next session.
        """
        match name:
            case "US":
                return cls()
            case "CN":
                boards = {"": 0.1, "SZ300": 0.2, "SZ301": 0.2, "SH688": 0.2, "SH689": 0.2, "BJ": 0.3}
                limits = tuple(PriceLimit(prefix=prefix, limit=limit) for prefix, limit in boards.items())
                return cls(calendar="XSHG", lot=100, price_limits=limits, sell_same_session=False)
            case unknown:
                assert_never(unknown)


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
    largest_weight
        ``target_weights`` only: cap of a weight; what is cut goes to the others in proportion, else it stays cash.
    smallest_trade
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
    }

    method: Method = "topk_drop"
    topk: int = Field(default=50, ge=1)
    n_drop: int = Field(default=5, ge=0)
    buffer: int = Field(default=0, ge=0)
    position_weights: str = "equal"
    largest_weight: float = Field(default=1.0, gt=0, le=1)
    smallest_trade: float = Field(default=0.0, ge=0, lt=1)
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
