"""Parameters of the analysis."""

from pydantic import Field, PositiveInt

from quant_pipeline.common.parameters import Parameters


class AnalysisParameters(Parameters):
    """The ``analysis`` block of the parameters.

    Attributes
    ----------
    sessions
        Newest sessions that are analysed.
    min_sessions
        Sessions below which nothing of the account has a band, nothing is regressed and no slippage is proposed.
    min_orders
        Executed orders below which no slippage is proposed, and no group of orders has a band.
    min_round_trips
        Round trips below which a rate and a mean have no band.
    confidence
        Part of the cases in which a band covers the true value.
    exit_participation
        Part of the volume of a session that a sale of everything would take.
    volume_window
        Sessions over which the volume of a holding is measured.
    """

    sessions: PositiveInt = 504
    min_sessions: PositiveInt = 60
    min_orders: PositiveInt = 100
    min_round_trips: PositiveInt = 30
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    exit_participation: float = Field(default=0.1, gt=0, le=1)
    volume_window: PositiveInt = 20
