"""What measures mean where they could be misread, the same on every page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

DEFINITIONS: Final = {
    "annualised_return": "Returns per year compound the returns of the sessions.",
    "annualised_excess_return": "The excess return is the difference of two of them.",
    "sharpe": "The Sharpe ratio is the arithmetic mean of the daily returns above the risk-free rate of "
    "market_rules over their deviation, times the root of 252.",
    "sortino": "Sortino's deviation counts losses alone.",
    "information_ratio": "The information ratio is the mean of the daily differences to the benchmark over their "
    "deviation, times the root of 252, so it is not the quotient of excess return and tracking error, which are of the "
    "year.",
    "alpha": "Alpha is the return that beta times the return of the benchmark does not explain, both above the "
    "risk-free rate, compounded to a year.",
    "tracking_error": "The tracking error is the deviation of the daily differences to the benchmark, times the root "
    "of 252.",
    "calmar": "Calmar is the compound return over the maximum drawdown.",
    "profit_factor": "The profit factor is the sum of gains over the sum of losses, of sessions.",
    "annualised_turnover": "Turnover is the value bought plus the value sold over the net asset value before, as times "
    "a year of 252 sessions.",
    "cost_drag": "The return lost to costs is what fees and slippage took of it, per year.",
}
"""Measure to its definition, in the order in which they are read."""

COEFFICIENTS: Final = (
    "The information coefficient (IC) correlates scores with the returns that follow, session by session; the rank IC "
    "does so with ranks. ICIR is the mean over the standard deviation, not annualised."
)
"""What information coefficients and their ratios are."""


def define(measures: Iterable[str]) -> str:
    """Write the definitions of those measures that have one.

    Parameters
    ----------
    measures
        Names as in :func:`~quant_pipeline.evaluation.performance.measure_performance`.
    """
    shown = set(measures)
    return " ".join(text for name, text in DEFINITIONS.items() if name in shown)
