"""Qlib's strategy and exchange rules as numbers, and how many shares its exchange lets an order execute, compiled.

The arithmetic is that of ``Exchange.round_amount_by_trade_unit`` and ``_calc_trade_info_by_order`` in Qlib 0.9.7,
``qlib/backtest/exchange.py``, to the last bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quant_pipeline.common.compiled import inlined, shared


class QlibTerms(NamedTuple):
    """Strategy and exchange rules as numbers; ``unit`` 0 executes fractions."""

    topk: int
    n_drop: int
    hold_thresh: int
    only_tradable: int
    forbid_all: int
    risk_degree: float
    open_cost: float
    close_cost: float
    min_cost: float
    unit: float


@inlined
def filled_amount(amount: float, price: float, factor: float, cash: float, terms: QlibTerms) -> float:
    """Cut a buy to the cash, rounding it a second time as Qlib's exchange does."""
    value = amount * price
    cost = max(value * terms.open_cost, terms.min_cost)
    if cash < cost:
        return 0.0
    if cash >= value + cost:
        return round_to_unit(amount, factor, terms.unit)
    most = 0.0
    if cash >= terms.min_cost:
        # Above this price the proportional cost exceeds the minimum.
        if cash >= terms.min_cost / terms.open_cost + terms.min_cost:
            most = cash / (1 + terms.open_cost) / price
        else:
            most = (cash - terms.min_cost) / price
    return round_to_unit(min(most, amount), factor, terms.unit)


@shared
def round_to_unit(amount: float, factor: float, unit: float) -> float:
    """Round an adjusted amount down to whole lots as traded; the 0.1 share is Qlib's tolerance."""
    if unit == 0.0:
        return amount
    shares = amount * factor + 0.1
    lots = np.floor(shares / unit)
    # The quotient is rounded, so it may have reached the next lot; what is left over is exact, and decides.
    rest = shares - lots * unit
    if rest < 0.0:
        lots -= 1.0
    elif rest >= unit:
        lots += 1.0
    return lots * unit / factor
