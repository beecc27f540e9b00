"""Labels: the return that a decision would have earned, as an expression on the execution price of the clock."""

from __future__ import annotations

from quant_pipeline.market.clock import EXECUTION_LAG, DealPrice, label_lag


def label_expression(deal_price: DealPrice, horizon: int) -> str:
    """Return the label of a decision at session ``t``.

    Parameters
    ----------
    deal_price
        Field at which orders execute: ``open``, ``close`` or ``vwap``.
    horizon
        Sessions between buying in ``t + EXECUTION_LAG`` and selling.

    Returns
    -------
    str
        Qlib expression. It looks ahead: its value is known :func:`~quant_pipeline.market.clock.label_lag` sessions
        after ``t``.
    """
    return f"Ref(${deal_price}, -{label_lag(horizon)})/Ref(${deal_price}, -{EXECUTION_LAG})-1"
