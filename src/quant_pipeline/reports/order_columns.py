"""Columns of orders, the same on every page."""

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column

INSTRUMENT = Column("instrument", "instrument", kind="text")
SIDE = Column("side", "side", kind="tag")
REASON = Column("reason", "reason", kind="long")
REMARK = Column("remark", "remark", kind="long")

ORDER_COLUMNS = (
    INSTRUMENT,
    SIDE,
    Column("quantity", "shares", wording.count),
    Column("reference_price", "close, USD", wording.price),
    Column("estimated_value", "value, USD", wording.dollars),
    Column("score", "score", wording.score),
    Column("rank", "rank", wording.place),
    REASON,
)
"""Of orders as they are decided."""

EXECUTION_COLUMNS = (
    INSTRUMENT,
    SIDE,
    Column("planned", "planned", wording.count),
    Column("filled", "filled", wording.count),
    Column("average_price", "price, USD", wording.price),
    Column("state", "state", kind="text"),
    Column("message", "verdict and outcome", kind="long"),
    REASON,
)
"""Of orders with what became of them."""
