"""Columns of orders, the same on every page."""

from __future__ import annotations

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column

INSTRUMENT = Column("instrument", "instrument", kind="text")
SIDE = Column("side", "side", kind="tag")
REASON = Column("reason", "reason", kind="long")


def order_columns(currency: str) -> tuple[Column, ...]:
    """Return the columns of orders as they are decided."""
    return (
        INSTRUMENT,
        SIDE,
        Column("quantity", "shares", wording.count),
        Column("reference_price", f"close, {currency}", wording.price),
        Column("estimated_value", f"value, {currency}", wording.amount),
        Column("score", "score", wording.score),
        Column("rank", "rank", wording.place),
        REASON,
    )


def execution_columns(currency: str) -> tuple[Column, ...]:
    """Return the columns of orders with what became of them."""
    return (
        INSTRUMENT,
        SIDE,
        Column("planned", "planned", wording.count),
        Column("filled", "filled", wording.count),
        Column("average_price", f"price, {currency}", wording.price),
        Column("state", "state", kind="text"),
        Column("message", "verdict and outcome", kind="long"),
        REASON,
    )
