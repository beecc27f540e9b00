"""A whole Alpaca on loopback, with scripted faults: for rehearsals and tests, never for money.

``python -m quant_pipeline.testing.fake_alpaca --help`` runs it; in Python it is `FakeAlpaca`.
"""

from quant_pipeline.testing.fake_alpaca.exchange import FakeExchange
from quant_pipeline.testing.fake_alpaca.hours import ExchangeHours
from quant_pipeline.testing.fake_alpaca.script import (
    Director,
    Ending,
    FaultKind,
    FeedScript,
    OrderScript,
    Refusal,
    Request,
    Script,
    ScriptedFault,
    StreamScript,
)
from quant_pipeline.testing.fake_alpaca.server import API_KEY, SECRET_KEY, FakeAlpaca
from quant_pipeline.testing.fake_alpaca.tape import MarketTape

__all__ = [
    "API_KEY",
    "SECRET_KEY",
    "Director",
    "Ending",
    "ExchangeHours",
    "FakeAlpaca",
    "FakeExchange",
    "FaultKind",
    "FeedScript",
    "MarketTape",
    "OrderScript",
    "Refusal",
    "Request",
    "Script",
    "ScriptedFault",
    "StreamScript",
]
