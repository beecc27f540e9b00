"""Fraction of the account to invest: fixed, volatility target, or fractional Kelly.

The answer never lies above the fixed part (``strategy.risk_degree``): sizing makes positions smaller, never larger.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, assert_never

import numpy as np
import pandas as pd
from pydantic import Field

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.market.clock import SESSIONS_PER_YEAR, DealPrice


class PositionSizing(Parameters):
    """The ``position_sizing`` block of the parameters.

    Attributes
    ----------
    method
        ``fixed``: ``strategy.risk_degree`` as it is. ``volatility_target``: as much as lets the basket of the best
        instruments fluctuate by `annual_volatility` (Harvey et al., "The Impact of Volatility Targeting", Journal of
        Portfolio Management 45(1), 2018). ``fractional_kelly``: `kelly_fraction` of the mean over the variance of the
        daily returns of what the account held (Thorp, "The Kelly Criterion in Blackjack, Sports Betting, and the Stock
        Market", 2006), that is of its own returns divided by the part of it that was invested; nothing is bought
        while the mean is not above the interest that cash earned. Sessions in cash say nothing about what was held and
        do not count.
    annual_volatility
        Standard deviation of yearly returns to aim at.
    kelly_fraction
        Part of Kelly's bet, which is far too bold for estimated returns.
    window
        Sessions of returns to estimate from, for ``fractional_kelly`` sessions with something held; with fewer, the
        fixed part stands.
    """

    method: Literal["fixed", "volatility_target", "fractional_kelly"] = "fixed"
    annual_volatility: Annotated[float, Field(gt=0, le=2)] = 0.15
    kelly_fraction: Annotated[float, Field(gt=0, le=1)] = 0.25
    window: Annotated[int, Field(ge=20)] = 60


class Exposure(NamedTuple):
    """Part of the account to invest, and why in words."""

    degree: float
    reason: str


def choose_exposure(
    sizing: PositionSizing, most: float, basket_returns: pd.Series, amounts: pd.DataFrame, deal_price: DealPrice
) -> Exposure:
    """Choose the part of the account to invest.

    Parameters
    ----------
    sizing
        The method.
    most
        Part that is invested at most: ``strategy.risk_degree``.
    basket_returns
        Daily returns, up to the close of the decision, of the instruments that the decision likes best, in equal parts.
    amounts
        One row per session of the account, up to the same close, with ``return``, ``market_value``, ``nav``, ``flow``
        and ``interest`` as `account_history` makes them.
    deal_price
        Price at which orders execute, which says what earned the return of a session.

    Returns
    -------
    Exposure
        Between a basis point and `most`, in whole basis points.
    """
    match sizing.method:
        case "fixed":
            return Exposure(most, "fixed")
        case "volatility_target":
            return _target_volatility(sizing, most, basket_returns)
        case "fractional_kelly":
            return _bet_fraction_of_kelly(sizing, most, amounts, deal_price)
        case unknown:
            assert_never(unknown)


def _target_volatility(sizing: PositionSizing, most: float, basket_returns: pd.Series) -> Exposure:
    returns = basket_returns.dropna().tail(sizing.window)
    if len(returns) < sizing.window:
        return Exposure(most, f"fixed: {len(returns)} of {sizing.window} returns are known")
    yearly = float(returns.std(ddof=1)) * SESSIONS_PER_YEAR**0.5
    if yearly == 0:
        return Exposure(most, "fixed: the returns do not fluctuate")
    reason = f"target {sizing.annual_volatility:.1%} over volatility {yearly:.1%}"
    return Exposure(_whole_basis_points(sizing.annual_volatility / yearly, most), reason)


def _bet_fraction_of_kelly(
    sizing: PositionSizing, most: float, amounts: pd.DataFrame, deal_price: DealPrice
) -> Exposure:
    """Estimate Kelly's bet from the account's returns and the exposure that earned them.

    An account invested to the part ``d`` earns ``r = d u``, interest aside, when its holdings earn ``u``. With ``m =
    Σr / Σd`` the mean of ``u`` and ``v = Σ(r - d m)² / (n - 1) / mean(s)`` its variance, where ``s = d²``, Kelly's bet
    is ``(m - i) / v``; for a constant ``d`` these are the sample mean and variance of ``r / d``. ``i`` is what cash
    earned in a session: all interest over all cash.

    Orders that execute at the close leave the exposure of the close before to earn the whole session. Those that
    execute within it leave that exposure ``a`` to earn the first part of the session and the exposure ``b`` of its own
    close the second: taking both parts as equal in mean and variance, ``d = (a + b) / 2`` and ``s = (a² + b²) / 2``.
    A deposit is there from the open, uninvested, and makes ``a`` smaller.
    """
    carried = amounts["market_value"].shift(1, fill_value=0.0)
    base = amounts["nav"].shift(1, fill_value=0.0) + amounts["flow"]
    earned = amounts["interest"].diff().fillna(amounts["interest"])
    after = amounts["market_value"] / amounts["nav"]
    before = (carried / base).where(base > 0, 0.0)
    second = before if deal_price == "close" else after
    held = pd.DataFrame(
        {
            "return": amounts["return"] - (earned / base).where(base > 0, 0.0),
            "exposure": (before + second) / 2,
            "square": (before**2 + second**2) / 2,
            "cash": base - carried,
            "interest": earned,
        }
    ).dropna()
    held = held[held["exposure"] > 0].tail(sizing.window)
    if len(held) < sizing.window:
        return Exposure(most, f"fixed: {len(held)} of {sizing.window} returns with something held are known")
    mean = float(held["return"].sum() / held["exposure"].sum())
    rest = held["return"] - held["exposure"] * mean
    variance = float(rest.pow(2).sum() / (len(held) - 1) / held["square"].mean())
    cash = float(held["cash"].sum())
    above = mean - (float(held["interest"].sum()) / cash if cash > 0 else 0.0)
    bet = above / variance if variance > 0 else float(np.inf * above) if above else 0.0
    degree = _whole_basis_points(sizing.kelly_fraction * bet, most)
    return Exposure(degree, f"{sizing.kelly_fraction:g} of Kelly's bet {bet:.2f} on what was held")


def _whole_basis_points(wanted: float, most: float) -> float:
    # A decision needs a positive part; one basis point buys nothing.
    return float(np.floor(np.clip(wanted, 1 / DEGREE_UNITS, most) * DEGREE_UNITS + 1e-9) / DEGREE_UNITS)
