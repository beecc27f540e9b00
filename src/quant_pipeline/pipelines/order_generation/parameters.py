"""Whose score becomes orders."""

from pydantic import NonNegativeInt

from quant_pipeline.parameters import Parameters
from quant_pipeline.trading.position_sizing import PositionSizing
from quant_pipeline.trading.stop_rules import StopRules

FUSED = "fused"
FILE = "file"


class OrderGenerationParameters(Parameters):
    """The ``order_generation`` block of the parameters.

    Attributes
    ----------
    source
        ``fused`` is the default combination; else the name of a combination or model, or ``file`` for scores made
        elsewhere.
    alternates
        Number of alternates for buys that cannot be executed.
    position_sizing
        How much of the account may be invested.
    stop_rules
        When a holding is sold whatever its score; none by default.
    """

    source: str = FUSED
    alternates: NonNegativeInt = 5
    position_sizing: PositionSizing = PositionSizing()
    stop_rules: StopRules = StopRules()
