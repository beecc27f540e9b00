"""What a model learns to predict, as parameters: the block ``label``, and a label of one model alone."""

from __future__ import annotations

from pydantic import PositiveInt

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.clock import DealPrice


class ModelLabel(Parameters):
    """What one model learns to predict, in the place of what the others do.

    Attributes
    ----------
    horizon
        Sessions between buying and selling.
    price
        Field at which both execute; None: ``market_rules.deal_price``. Scores of another price are not traded.
    """

    horizon: PositiveInt
    price: DealPrice | None = None

    @property
    def title(self) -> str:
        """Word for the tables of this label."""
        return f"horizon_{self.horizon}" + ("" if self.price is None else f"_{self.price}")
