"""How much of the account may be invested: a fixed part, a target volatility, or a fraction of Kelly's bet.

The answer never lies above the fixed part (``strategy.risk_degree``): sizing makes positions smaller, never larger.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, assert_never

import numpy as np
import pandas as pd
from pydantic import Field

from quant_pipeline.parameters import Parameters
from quant_pipeline.strategy.rules import DEGREE_UNITS

SESSIONS_PER_YEAR = 252


class PositionSizing(Parameters):
    """The ``position_sizing`` block of the parameters.

    Attributes
    ----------
    method
        ``fixed``: ``strategy.risk_degree`` as it is. ``volatility_target``: as much as lets the basket of the best
        instruments fluctuate by `annual_volatility` (Harvey et al., "The Impact of Volatility Targeting", Journal of
        Portfolio Management 45(1), 2018). ``fractional_kelly``: `kelly_fraction` of the mean of the account's daily
        returns over their variance (Thorp, "The Kelly Criterion in Blackjack, Sports Betting, and the Stock Market",
        2006); nothing is bought while the mean is not positive.
    annual_volatility
        Standard deviation of yearly returns to aim at.
    kelly_fraction
        Part of Kelly's bet, which is far too bold for estimated returns.
    window
        Sessions of returns to estimate from; with fewer, the fixed part stands.
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
    sizing: PositionSizing, most: float, basket_returns: pd.Series, account_returns: pd.Series
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
    account_returns
        Daily returns of the account, up to the same close.

    Returns
    -------
    Exposure
        Between a basis point and `most`, in whole basis points.
    """
    match sizing.method:
        case "fixed":
            return Exposure(most, "fixed")
        case "volatility_target":
            estimated_from = basket_returns
        case "fractional_kelly":
            estimated_from = account_returns
        case unknown:
            assert_never(unknown)
    returns = estimated_from.dropna().tail(sizing.window)
    if len(returns) < sizing.window:
        return Exposure(most, f"fixed: {len(returns)} of {sizing.window} returns are known")
    deviation = float(returns.std(ddof=1))
    if deviation == 0:
        return Exposure(most, "fixed: the returns do not fluctuate")
    if sizing.method == "fractional_kelly":
        wanted = sizing.kelly_fraction * float(returns.mean()) / deviation**2
        reason = f"{sizing.kelly_fraction:g} of Kelly's bet {wanted / sizing.kelly_fraction:.2f}"
    else:
        yearly = deviation * SESSIONS_PER_YEAR**0.5
        wanted = sizing.annual_volatility / yearly
        reason = f"target {sizing.annual_volatility:.1%} over volatility {yearly:.1%}"
    # A decision needs a positive part; one basis point buys nothing.
    degree = np.floor(np.clip(wanted, 1 / DEGREE_UNITS, most) * DEGREE_UNITS + 1e-9) / DEGREE_UNITS
    return Exposure(float(degree), reason)
