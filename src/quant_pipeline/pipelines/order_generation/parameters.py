"""Whose score becomes orders."""

from pydantic import NonNegativeInt

from quant_pipeline.parameters import Parameters

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
        How many instruments stand by for a buy that cannot deal.
    """

    source: str = FUSED
    alternates: NonNegativeInt = 5
