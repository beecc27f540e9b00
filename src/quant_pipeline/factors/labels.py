"""Labels: the return that a decision would have earned, as an expression on the deal price of the clock."""

from __future__ import annotations


def label_expression(deal_price: str, horizon: int) -> str:
    """Return the label of a decision at session ``t``.

    Parameters
    ----------
    deal_price
        Field at which orders deal: ``open``, ``close`` or ``vwap``.
    horizon
        Sessions between buying in ``t+1`` and selling in ``t+1+horizon``.

    Returns
    -------
    str
        Qlib expression; it looks ahead, so its value is known only after the deal of ``t+1+horizon``.
    """
    return f"Ref(${deal_price}, -{1 + horizon})/Ref(${deal_price}, -1)-1"
