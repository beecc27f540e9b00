"""What the stream of market data has said last, in a file: the process that listens writes it, commands read it.

It is a help and never a truth: a command that finds it missing, old or unreadable asks the broker, as without a stream.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pandas as pd

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.json_files import read_json
from quant_pipeline.trading.broker_records import LastTrade

MARKET_FILE = "market.json"
MAX_AGE_SECONDS = 5.0
"""A file that was written longer ago is of a process that hangs or is gone."""


@dataclass(frozen=True)
class MarketSnapshot:
    """What is known from the stream at one moment.

    Attributes
    ----------
    trades
        The newest trade by instrument.
    halted
        Instruments that are halted, and why.
    """

    trades: Mapping[str, LastTrade] = field(default_factory=dict)
    halted: Mapping[str, str] = field(default_factory=dict)

    def write(self, file: Path) -> None:
        """Write it whole or not at all."""
        trades = {name: [str(trade.price), trade.at.isoformat()] for name, trade in self.trades.items()}
        write_text(file, json.dumps({"trades": trades, "halted": dict(self.halted)}) + "\n")

    @classmethod
    def read(cls, file: Path | None, max_age: float = MAX_AGE_SECONDS) -> MarketSnapshot:
        """Read it; nothing is known where it is missing, older than ``max_age`` seconds, or unreadable."""
        try:
            if file is None or not 0 <= time.time() - file.stat().st_mtime <= max_age:
                return cls()
            found = read_json(file)
            trades = {name: _trade(price, at) for name, (price, at) in found["trades"].items()}
            return cls(trades, {str(name): str(reason) for name, reason in found["halted"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidOperation):
            return cls()


def _trade(price: str, at: str) -> LastTrade:
    value = Decimal(price)
    if not (value.is_finite() and value > 0):
        raise ValueError(f"a price of {price}")
    return LastTrade(value, pd.Timestamp(at).tz_convert("UTC"))
