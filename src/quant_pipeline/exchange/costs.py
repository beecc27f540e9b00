"""Fees, slippage, impact and executed prices, compiled once and used by every engine and account; money is exact."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.compiled import inlined, shared
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.dated_rules import RATE_UNITS
from quant_pipeline.exchange.money import TICKS_PER_CENT, TICKS_PER_UNIT
from quant_pipeline.exchange.rules import CostRules

Payment = TypeVar("Payment", int, npt.NDArray[np.int64])
"""A payment per share, or many."""

# A fee is counted in ticks × rate units: exact, and below 2^63 for every order under nine billion.
_UNITS_PER_CENT = TICKS_PER_CENT * RATE_UNITS
_HALF_CENT = _UNITS_PER_CENT // 2
_HALF_CENT_IN_TICKS = TICKS_PER_CENT // 2


class EarlierPieces(NamedTuple):
    """What has been executed before a piece of an order, so that the pieces cost what the whole would.

    ``shares`` are those of the same side that the account has executed in the volume it meets; ``commission`` is that
    of the earlier pieces of the same order by rate and per share, ``paid`` what was charged for them, the minimum
    included, both in ticks times rate units.
    """

    shares: int
    commission: int
    paid: int


NO_EARLIER_PIECES = EarlierPieces(0, 0, 0)


class CostTerms(NamedTuple):
    """:class:`CostRules` as the numbers the compiled kernels use.

    Rates are in units of 10^-7; amounts per share in 10^-7 of the currency times ticks per unit; the minimum in ticks
    times rate units; the slippage terms are plain fractions. ``earlier`` is what fees and impact go on from.
    """

    buy_rate: int
    sell_rate: int
    per_share: int
    min_commission: int
    buy_tax_rate: int
    sell_tax_rate: int
    sell_tax_per_share: int
    half_spread: float
    volume_impact: float
    root_impact: float
    earlier: EarlierPieces = NO_EARLIER_PIECES


class CostSchedule(NamedTuple):
    """Costs of a whole backtest: `terms`, but the tax rates of session ``t`` are those of row ``t``."""

    terms: CostTerms
    buy_tax_rate: npt.NDArray[np.int64]
    sell_tax_rate: npt.NDArray[np.int64]


def cost_terms(rules: CostRules) -> CostTerms:
    """Convert the cost rules of one session to kernel terms.

    Raises
    ------
    StrategyError
        When the rules change by date: which session is meant is unknown.
    """
    if rules.tax_changes:
        raise StrategyError("These `cost_rules` change by date. Take those of one session, `cost_rules.at(session)`.")
    return CostTerms(
        buy_rate=round(rules.buy_rate * RATE_UNITS),
        sell_rate=round(rules.sell_rate * RATE_UNITS),
        per_share=round(rules.per_share * RATE_UNITS) * TICKS_PER_UNIT,
        min_commission=round(rules.min_commission * TICKS_PER_UNIT) * RATE_UNITS,
        buy_tax_rate=round(rules.buy_tax_rate * RATE_UNITS),
        sell_tax_rate=round(rules.sell_tax_rate * RATE_UNITS),
        sell_tax_per_share=round(rules.sell_tax_per_share * RATE_UNITS) * TICKS_PER_UNIT,
        half_spread=float(rules.half_spread),
        volume_impact=float(rules.volume_impact),
        root_impact=float(rules.root_impact),
    )


def payment_after_tax(payment: Payment, tax_rate: float) -> Payment:
    """Take the tax that is withheld off payments per share in units of 10^-8, the tax rounded half up to a unit."""
    rate = round(tax_rate * RATE_UNITS)
    # A large payment times a rate would not fit into an integer of an array.
    whole, rest = payment // RATE_UNITS, payment % RATE_UNITS
    return payment - whole * rate - (rest * rate + RATE_UNITS // 2) // RATE_UNITS


def cost_schedule(rules: CostRules, sessions: pd.DatetimeIndex) -> CostSchedule:
    """Convert cost rules to the kernel terms of some sessions.

    Raises
    ------
    MarketDataError
        When a session is before the first of the tax changes.
    """
    # Of each change and not of each session: thousands of calls, for each of many backtests, hold up the other cores.
    rates, numbers = [(rules.buy_tax_rate, rules.sell_tax_rate)], np.zeros(len(sessions), dtype=np.intp)
    if rules.tax_changes and len(sessions):
        rules.at(sessions.min())  # Refuses sessions before the first change.
        changes = sorted(rules.tax_changes, key=lambda change: change.since)
        rates = [(change.buy, change.sell) for change in changes]
        since = np.array([change.since for change in changes], dtype="datetime64[D]")
        numbers = np.searchsorted(since, sessions.to_numpy().astype("datetime64[D]"), side="right") - 1
    units = np.array([[round(rate * RATE_UNITS) for rate in both] for both in rates], dtype=np.int64)
    buy, sell = units[numbers].T.copy()
    return CostSchedule(cost_terms(rules.model_copy(update={"tax_changes": ()})), buy_tax_rate=buy, sell_tax_rate=sell)


@inlined
def costs_of_session(schedule: CostSchedule, t: int) -> CostTerms:
    """Return the costs of session ``t``."""
    terms = schedule.terms
    return CostTerms(
        terms.buy_rate,
        terms.sell_rate,
        terms.per_share,
        terms.min_commission,
        schedule.buy_tax_rate[t],
        schedule.sell_tax_rate[t],
        terms.sell_tax_per_share,
        terms.half_spread,
        terms.volume_impact,
        terms.root_impact,
        terms.earlier,
    )


@shared
def value_in_ticks(shares: int, price: int) -> int:
    """Cash that `shares` come to at `price` ticks, half up to whole cents as accounts book it, in ticks."""
    return (shares * price + _HALF_CENT_IN_TICKS) // TICKS_PER_CENT * TICKS_PER_CENT


@inlined
def _commission(units: int, costs: CostTerms) -> int:
    """Charge the commission of an order up to this piece, which is at least the minimum, less what was charged."""
    return max(costs.earlier.commission + units, costs.min_commission) - costs.earlier.paid


@shared
def buy_fee(shares: int, price: int, costs: CostTerms) -> int:
    """Fee in ticks (whole cents) of buying `shares` at `price` ticks."""
    if shares <= 0:
        return 0
    value = shares * price
    commission = _commission(value * costs.buy_rate + shares * costs.per_share, costs)
    return (commission + value * costs.buy_tax_rate + _HALF_CENT) // _UNITS_PER_CENT * TICKS_PER_CENT


@shared
def sell_fee(shares: int, price: int, costs: CostTerms) -> int:
    """Fee in ticks (whole cents) of selling `shares` at `price` ticks."""
    if shares <= 0:
        return 0
    value = shares * price
    commission = _commission(value * costs.sell_rate + shares * costs.per_share, costs)
    tax = value * costs.sell_tax_rate + shares * costs.sell_tax_per_share
    return (commission + tax + _HALF_CENT) // _UNITS_PER_CENT * TICKS_PER_CENT


@inlined
def _impact(shares: int, volume: int, costs: CostTerms) -> float:
    """Impact of an order on its price, as a fraction."""
    share_of_volume = min(shares / volume, 1.0) if volume > 0 else 1.0
    return costs.volume_impact * share_of_volume * share_of_volume + costs.root_impact * np.sqrt(share_of_volume)


@shared
def filled_price(price: int, shares: int, volume: int, is_buy: bool, costs: CostTerms) -> int:
    """Price in ticks at which an order is really filled, slippage and impact included.

    A piece costs the impact of everything up to it less that of what came before it, so that the pieces of an order
    cost together what the order in one piece would.

    Parameters
    ----------
    price
        Execution price of the market, ticks.
    shares
        Shares of the order, positive.
    volume
        Shares traded in the session by everybody.
    is_buy
        Side of the order.
    costs
        Cost terms.
    """
    fraction = costs.half_spread
    if costs.volume_impact > 0.0 or costs.root_impact > 0.0:
        earlier = costs.earlier.shares
        if earlier == 0:
            fraction += _impact(shares, volume, costs)
        else:
            total = (earlier + shares) * _impact(earlier + shares, volume, costs)
            fraction += (total - earlier * _impact(earlier, volume, costs)) / shares
    if fraction == 0.0:
        return price
    move = int(np.floor(price * fraction + 0.5))
    return price + move if is_buy else max(price - move, 1)


def commission_before_minimum(shares: int, price: int, is_buy: bool, costs: CostTerms) -> int:
    """Commission by rate and per share of an execution, in ticks times rate units."""
    return shares * price * (costs.buy_rate if is_buy else costs.sell_rate) + shares * costs.per_share
