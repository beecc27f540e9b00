"""How the members of a combination are weighted: one record each, shipped ones by name, others by dotted path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.common.extensions import find_part
from quant_pipeline.common.parameters import Parameters

if TYPE_CHECKING:
    from quant_pipeline.pipelines.ensemble.parameters import Combination

_HERE: Final = "quant_pipeline.pipelines.ensemble.weighting_formulas"

SHIPPED: Final[dict[str, str]] = {
    "equal": f"{_HERE}.EQUAL",
    "icir": f"{_HERE}.ICIR",
    "dynamic": f"{_HERE}.DYNAMIC",
    "manual": f"{_HERE}.MANUAL",
}
"""Name of a weighting, as `member_weights` of a combination names it, to the path of its record."""

SUM_TOLERANCE = 1e-9


@dataclass(frozen=True)
class MemberWeighting:
    """How the members of a combination are weighted.

    Attributes
    ----------
    weigh
        ``weigh(coefficients, combination)`` returns the weights of the members, not negative, with a sum of one.
        ``coefficients`` are rank ICs, sessions × members, and only those that are realised before the weights are used:
        a weighting cannot look ahead.
    sees
        ``nothing``: weights are the same always, and ``coefficients`` has no rows. ``validation``: rank ICs of the
        validation sessions, once. ``latest``: those of the last `window` realised sessions, again every `refresh`
        sessions.
    options
        Class of the block `options` of a combination with this weighting.
    """

    weigh: Callable[[pd.DataFrame, Combination], pd.Series]
    sees: Literal["nothing", "validation", "latest"]
    options: type[Parameters] = Parameters


def find_weighting(name: str) -> MemberWeighting:
    """Return a weighting by its short name or its dotted path.

    Raises
    ------
    ExtensionError
        When there is no such weighting, or its module cannot be imported.
    """
    return find_part(name, SHIPPED, MemberWeighting, "weighting of members")


def weigh_members(coefficients: pd.DataFrame, combination: Combination) -> pd.Series:
    """Weigh the members of a combination by what is realised, check the weights, and shrink them.

    Raises
    ------
    ModelError
        When the weighting returns something else than one weight per member, not negative, with a sum of one.
    """
    weighting = find_weighting(combination.member_weights)
    weights = weighting.weigh(coefficients, combination)
    members = list(coefficients.columns)
    if not isinstance(weights, pd.Series) or sorted(weights.index) != sorted(members):
        raise ModelError(f"`member_weights: {combination.member_weights}` has to return a Series with {members}")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and abs(weights.sum() - 1) <= SUM_TOLERANCE):
        raise ModelError(
            f"`member_weights: {combination.member_weights}` returned {weights.to_dict()}; weights have to be finite "
            "and not negative, with a sum of one"
        )
    return weights if weighting.sees == "nothing" else shrink(weights, combination.shrinkage)


def shrink(weights: pd.Series, towards_equal: float) -> pd.Series:
    """Move weights towards equal ones; estimates of so few sessions are mostly noise, equal weights have none."""
    return (1 - towards_equal) * weights + towards_equal / len(weights)
