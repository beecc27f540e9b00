"""Rules of an exchange as data, and the presets `US` and `CN`: what a market allows and what trading costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import ClassVar, Literal, Self, assert_never

import pandas as pd
from pydantic import Field, model_validator

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.exchange import chinese_rules
from quant_pipeline.exchange.dated_rules import LotSize, PerShare, PriceLimit, Rate, TaxChange
from quant_pipeline.market.chinese_codes import begins_a_code, chinese_code
from quant_pipeline.market.clock import DealPrice

PresetName = Literal["US", "CN"]


class CostRules(Parameters):
    """What a trade costs: fees, and the price of executing.

    The fee of one order is ``max(value × rate + shares × per share, min_commission) + tax``, rounded half up to whole
    cents; an order that executes nothing costs nothing. The executed price is the market's price moved against the
    trader by ``half_spread + volume_impact × share² + root_impact × √share``, where *share* is the order's part of the
    session's volume; orders in pieces pay what they would in one. The result is rounded half up to a tick and never
    beyond the price limit of the session.

    Attributes
    ----------
    buy_rate, sell_rate
        Commission as a fraction of the traded value.
    per_share
        Commission per share, in the currency.
    min_commission
        Smallest commission per order, in the currency.
    buy_tax_rate, sell_tax_rate
        Tax and regulatory fee on the value of buys and of sales (stamp duty, transfer fee, SEC fee).
    sell_tax_per_share
        Regulatory fee per share sold (FINRA trading activity fee).
    tax_changes
        Both tax rates by date, in place of the two above: a session pays those of the last change up to it.
    half_spread
        Fixed slippage, as a fraction of the price.
    volume_impact
        Coefficient of the squared share of volume, as a fraction of the price (zipline's volume-share model).
    root_impact
        Coefficient of the square root of the share of volume, as a fraction of the price (Almgren's square-root law;
        multiply by the instrument's daily volatility yourself, for example 0.8 × 0.02).
    """

    renamed: ClassVar[Mapping[str, str]] = {"minimum": "min_commission"}

    buy_rate: Rate = 0.0
    sell_rate: Rate = 0.0
    per_share: PerShare = 0.0
    min_commission: float = Field(default=0.0, ge=0)
    buy_tax_rate: Rate = 0.0
    sell_tax_rate: Rate = 0.0
    sell_tax_per_share: PerShare = 0.0
    tax_changes: tuple[TaxChange, ...] = ()
    half_spread: float = Field(default=0.0, ge=0, lt=0.5)
    volume_impact: float = Field(default=0.0, ge=0)
    root_impact: float = Field(default=0.0, ge=0)

    @property
    def needs_volume(self) -> bool:
        """Whether the executed price depends on the volume of the session."""
        return self.volume_impact > 0 or self.root_impact > 0

    def at(self, session: pd.Timestamp) -> CostRules:
        """Return the costs of one session, without dates.

        Raises
        ------
        MarketDataError
            When the session is before the first of the tax changes.
        """
        if not self.tax_changes:
            return self
        known = [change for change in self.tax_changes if change.since <= session.date()]
        if not known:
            first = min(change.since for change in self.tax_changes)
            raise MarketDataError(
                f"`cost_rules.tax_changes` begins on {first}, the session is {session.date()}. "
                "Begin later, or give the tax of that time."
            )
        now = max(known, key=lambda change: change.since)
        return self.model_copy(update={"buy_tax_rate": now.buy, "sell_tax_rate": now.sell, "tax_changes": ()})

    @model_validator(mode="after")
    def _check_taxes(self) -> Self:
        if self.tax_changes and (self.buy_tax_rate > 0 or self.sell_tax_rate > 0):
            raise ValueError("give either buy_tax_rate and sell_tax_rate or tax_changes; set the other to 0 or []")
        days = [change.since for change in self.tax_changes]
        if len(set(days)) < len(days):
            raise ValueError(f"tax_changes gives {max(days, key=days.count)} twice")
        return self

    @classmethod
    def preset(cls, name: PresetName) -> CostRules:
        """Return the costs of a retail account.

        ``US``: no commission, SEC fee 27.80 USD per million and FINRA fee 0.000166 USD per share on sales, half a
        spread of 2 basis points. ``CN``: commission 0.025 % with 5 CNY minimum, half a spread of 5 basis points, and
        by date since 1997-05-12 stamp duty (0.05 % on sales since 2023-08-28) and transfer fee (0.001 % of both sides
        since 2022-04-29), see :mod:`quant_pipeline.exchange.chinese_rules`.
        """
        match name:
            case "US":
                return cls(sell_tax_rate=0.0000278, sell_tax_per_share=0.000166, half_spread=0.0002)
            case "CN":
                return cls(
                    buy_rate=0.00025,
                    sell_rate=0.00025,
                    min_commission=5.0,
                    half_spread=0.0005,
                    tax_changes=chinese_rules.tax_changes(),
                )
            case unknown:
                assert_never(unknown)


class MarketRules(Parameters):
    """What the market allows.

    Attributes
    ----------
    calendar
        Name of the exchange calendar.
    deal_price
        Field of the execution session's bar at which orders execute: ``open``, ``close`` or ``vwap``.
    lot
        Buys are whole multiples of this many shares. So are sales, except that what a holding has beyond whole lots is
        sold in one piece; an order of another size is rejected.
    lots
        Sizes by board where they are others: fewest shares and step.
    instrument_codes
        ``china``: codes of Chinese shares in any vendor's spelling, read as Qlib's (``SH600000``) before a prefix is
        compared; what is no such code is refused. ``as_given``: as they are.
    price_limits
        Daily limits by board and date; none: no limits at all. At a limit-up price nothing can be bought, at a
        limit-down price nothing sold, and nothing executes beyond a limit. An instrument without any is refused.
    special_limits
        Limits of single instruments for a time, such as those under special treatment; they come on top of the others.
    price_step
        Step to which limit prices are rounded, in the currency.
    max_participation
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

    renamed: ClassVar[Mapping[str, str]] = {"participation_cap": "max_participation"}

    calendar: str = "XNYS"
    deal_price: DealPrice = "open"
    lot: int = Field(default=1, ge=1)
    lots: tuple[LotSize, ...] = ()
    instrument_codes: Literal["as_given", "china"] = "as_given"
    price_limits: tuple[PriceLimit, ...] = ()
    special_limits: tuple[PriceLimit, ...] = ()
    price_step: float = Field(default=0.01, gt=0)
    max_participation: float | None = Field(default=None, gt=0, le=1)
    sell_same_session: bool = True
    risk_free_rate: float = Field(default=0.0, gt=-0.5, lt=1)
    cash_interest_rate: float = Field(default=0.0, ge=0, lt=1)
    dividend_tax_rate: Rate = 0.0

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.special_limits and not self.price_limits:
            raise ValueError("special_limits come on top of price_limits; give these, `limit: null` for none")
        return self

    @model_validator(mode="after")
    def _check_prefixes(self) -> Self:
        """Refuse prefixes that no code begins with: rules of another spelling would be those of no instrument."""
        if self.instrument_codes == "china":
            for key in ("price_limits", "special_limits", "lots"):
                for row in getattr(self, key):
                    if not begins_a_code(row.prefix):
                        raise ValueError(
                            f"no code of a Chinese share begins with the prefix {row.prefix!r} of {key}; write codes "
                            "as SH600518, SZ000001 and BJ430047, and boards as SH60, SZ30, SH68 and BJ"
                        )
        return self

    def code_of(self, instrument: str) -> str:
        """Return the code of an instrument as the prefixes of the price limits spell it.

        Raises
        ------
        MarketDataError
            When codes are those of China and this is none.
        """
        return chinese_code(instrument) if self.instrument_codes == "china" else instrument

    @property
    def frees_listings(self) -> bool:
        """Whether shares that were just listed have no price limit for more than a session."""
        return any(limit.free_sessions > 1 for limit in self.price_limits)

    def lot_of(self, instrument: str) -> tuple[int, int]:
        """Return the fewest shares of an order for an instrument, and the step by which it grows.

        Raises
        ------
        MarketDataError
            When sizes differ by board, codes are those of China and this is none.
        """
        code = self.code_of(instrument) if self.lots else instrument
        matching = [size for size in self.lots if code.startswith(size.prefix)]
        if not matching:
            return self.lot, self.lot
        size = max(matching, key=lambda size: len(size.prefix))
        return size.fewest, size.step

    def at(self, session: pd.Timestamp) -> MarketRules:
        """Return the rules of one session, without dates."""
        limits = self.price_limits + self.special_limits
        holding = [limit for limit in limits if limit.holds_on(session.date())]
        newest_last = sorted(holding, key=lambda limit: limit.since or dt.date.min)
        undated = {limit.prefix: limit.model_copy(update={"since": None, "until": None}) for limit in newest_last}
        if self.price_limits and not undated:
            raise no_price_limit("any instrument", session)
        return self.model_copy(update={"price_limits": tuple(undated.values()), "special_limits": ()})

    def price_limits_of(self, instrument: str) -> tuple[PriceLimit, ...]:
        """Return the price limits whose prefix an instrument has, those that count more behind the others.

        Raises
        ------
        MarketDataError
            When there are price limits but none for it.
        """
        code = self.code_of(instrument)
        limits = self.price_limits + self.special_limits
        matching = [limit for limit in limits if code.startswith(limit.prefix)]
        if self.price_limits and not matching:
            raise MarketDataError(
                f"`market_rules.price_limits` has no prefix of {instrument}. Add one, `limit: null` if it has no limit."
            )
        return tuple(sorted(matching, key=lambda limit: (len(limit.prefix), limit.since or dt.date.min)))

    @classmethod
    def preset(cls, name: PresetName) -> MarketRules:
        """Return the rules of a market.

        ``US``: lot 1, no limits. ``CN``: codes in any vendor's spelling, lot 100 (STAR from 200 and Beijing from 100 in
        steps of one), bought shares are locked until the next session, limits by date: main boards 10 %, ChiNext 10 %
        and 20 % since 2020-08-24, STAR 20 %, Beijing 30 %, none in the first five sessions of a registered listing. Set
        ``special_limits`` to :func:`~quant_pipeline.exchange.chinese_rules.special_treatment_limits` for ST shares.
        """
        match name:
            case "US":
                return cls()
            case "CN":
                return cls(
                    calendar="XSHG",
                    lot=100,
                    lots=chinese_rules.lot_sizes(),
                    instrument_codes="china",
                    price_limits=chinese_rules.price_limits(),
                    sell_same_session=False,
                )
            case unknown:
                assert_never(unknown)


def no_price_limit(instrument: str, session: pd.Timestamp) -> MarketDataError:
    """Describe an instrument whose price limit in a session is unknown."""
    return MarketDataError(
        f"`market_rules.price_limits` has no limit of {instrument} in force on {session.date()}. "
        "Leave out its earlier bars, or add a limit for that time (`limit: null` for none)."
    )
