"""How positions are weighted by target weights: one record each, shipped ones by name, others by dotted path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.extensions import find_part

_HERE: Final = "quant_pipeline.strategy.position_weights"

SHIPPED: Final[dict[str, str]] = {
    "equal": f"{_HERE}.EQUAL",
    "score": f"{_HERE}.SCORE",
    "inverse_volatility": f"{_HERE}.INVERSE_VOLATILITY",
}
"""Name of a weighting, as `strategy.position_weights` names it, to the path of its record."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PositionWeighting:
    """How positions are weighted; weights are proportional to the product of what the two fields give.

    Attributes
    ----------
    of_returns
        ``of_returns(windows)`` returns one factor per session and instrument from the last `weight_sessions` daily
        total returns of each: ``windows`` is ``(sessions, instruments, returns)``, oldest return first, and the result
        ``(sessions, instruments)``. A window ends with the decision's session, so a weighting cannot look ahead. NaN,
        zero or less is no weight, and windows with an unknown return should give NaN. None weighs all alike.
    by_score
        Whether weights are in proportion to positive scores too.
    """

    of_returns: Callable[[FloatArray], FloatArray] | None = None
    by_score: bool = False


def find_weighting(name: str) -> PositionWeighting:
    """Return a weighting by its short name or its dotted path.

    Raises
    ------
    ExtensionError
        When there is no such weighting, or its module cannot be imported.
    """
    return find_part(name, SHIPPED, PositionWeighting, "weighting of positions")


def inverse_volatility(windows: FloatArray) -> FloatArray:
    """Return the reciprocal of the standard deviation of each window, NaN where it is zero or unknown."""
    volatility = windows.std(axis=-1, ddof=1)
    with np.errstate(divide="ignore"):
        return np.where(volatility > 0, 1 / volatility, np.nan)


EQUAL = PositionWeighting()
SCORE = PositionWeighting(by_score=True)
INVERSE_VOLATILITY = PositionWeighting(of_returns=inverse_volatility)
