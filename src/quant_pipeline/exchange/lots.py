"""Sizes that an order may have: rules of an exchange as numbers per instrument, and what they make of a quantity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.compiled import inlined, shared
from quant_pipeline.exchange.rules import MarketRules


class Lots(NamedTuple):
    """Fewest shares of a buy and the step from there, by instrument; see :class:`MarketRules`."""

    fewest: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]


def lots_of(rules: MarketRules, instruments: pd.Index) -> Lots:
    """Return the lots of some instruments.

    Raises
    ------
    MarketDataError
        When sizes differ by code and an instrument has no code of the market.
    """
    sizes = [rules.lot_of(str(name)) for name in instruments] if rules.lots else [(rules.lot,) * 2] * len(instruments)
    table = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    return Lots(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))


@shared
def whole_lots(shares: int, fewest: int, step: int) -> int:
    """Round a quantity down to one that may be bought; 0 where it is below the fewest shares."""
    whole = shares // step * step if step > 1 else shares
    return whole if whole >= fewest else 0


@inlined
def sellable_shares(shares: int, held: int, fewest: int, step: int) -> int:
    """Round a quantity down to one that may be sold of a holding.

    That is all of it, or whole lots, with or without all that the holding has beyond whole lots.
    """
    if shares >= held:
        return held
    odd = held % step
    return shares if odd > 0 and shares % step == odd else whole_lots(shares, fewest, step)
