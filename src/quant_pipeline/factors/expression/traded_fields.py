"""Fields as they were traded: an adjusted price over the factor, an adjusted volume times it.

Adjusted bars are float64, the machine computes with fields in float32. A quotient of two rounded numbers is rounded a
second and a third time, so that one traded price, adjusted by two factors, would give two numbers. Here the quotient is
taken in float64 and rounded once: equal traded prices give equal numbers, and ranks across instruments see a tie.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

FACTOR = "factor"
VOLUME = "volume"
_OVER, _TIMES = f"/{FACTOR}", f"*{FACTOR}"


def divided_by_factor(column: str) -> str:
    """Name the field of a column over the factor."""
    return column + _OVER


def multiplied_by_factor(column: str) -> str:
    """Name the field of a column times the factor."""
    return column + _TIMES


def columns_of(fields: Iterable[str]) -> list[str]:
    """List the columns of the bars that fields are computed from, each once."""
    columns: dict[str, None] = {}
    for field in fields:
        column = field.removesuffix(_OVER).removesuffix(_TIMES)
        columns |= dict.fromkeys([column] if column == field else [column, FACTOR])
    return list(columns)


def values_of(bars: pd.DataFrame, field: str) -> np.ndarray:
    """Return the values of a field, in the precision of the bars."""
    column = field.removesuffix(_OVER).removesuffix(_TIMES)
    values: np.ndarray = bars[column].to_numpy()
    if column == field:
        return values
    factor = bars[FACTOR].to_numpy()
    return values / factor if field.endswith(_OVER) else values * factor
