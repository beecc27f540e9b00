"""Parameters of the backtest."""

from typing import Literal

from pydantic import model_validator

from quant_pipeline.backtest.event_engine.events import EventParameters
from quant_pipeline.common.parameters import Parameters


class BacktestParameters(Parameters):
    """Which engine trades the fused scores.

    Attributes
    ----------
    name
        Where a backtest of other parameters is stored; None: by the changed ``--params``, or as the account's own.
    engine
        ``array``, or ``event``, which is slower, does the same to the cent, and knows `events` besides.
    events
        Latency, times of the session and protective rules of the event engine.
    """

    name: str | None = None
    engine: Literal["array", "event"] = "array"
    events: EventParameters = EventParameters()

    @model_validator(mode="after")
    def _events_need_their_engine(self) -> "BacktestParameters":
        if self.engine == "array" and self.events != EventParameters():
            raise ValueError("backtest.events has no effect on the array engine. Set backtest.engine to event.")
        return self
