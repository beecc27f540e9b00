"""The market of the broker contract: five sessions; in the fourth AAA splits 4:1 and BBB pays half a dollar."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.trading.brokers.adapter import Exchange, Opening
from quant_pipeline.trading.ledger.account import AccountState

SESSIONS = pd.DatetimeIndex(["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07", "2025-01-08"])
PRICES = {"AAA": [40.0, 40.0, 40.0, 10.0, 10.0], "BBB": [20.0, 20.0, 25.0, 25.0, 25.0]}
"""Price of each session; orders execute at it without costs."""
SPLIT_SESSION = 3
"""Place of the session with the corporate actions in `SESSIONS`."""
CASH = 10_000
"""Deposit of the account, whose newest session is the close of the first session."""


def contract_bars() -> pd.DataFrame:
    """Return the bars as traded."""
    rows = [
        (day, name, close, close, close, close, 1e6)
        for name, closes in PRICES.items()
        for day, close in zip(SESSIONS, closes, strict=True)
    ]
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    return pd.DataFrame(rows, columns=columns).astype({"instrument": "str"})


def contract_actions() -> pd.DataFrame:
    """Return the corporate actions."""
    day = SESSIONS[SPLIT_SESSION]
    rows = [(day, "AAA", "split", 4.0), (day, "BBB", "cash_dividend", 0.5)]
    table = pd.DataFrame(rows, columns=["date", "instrument", "kind", "value"])
    return table.astype({"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"})


def contract_opening(keys: Mapping[str, str]) -> Opening:
    """Return what an adapter is given to connect the account, as of the close of the first session."""
    bars = contract_bars()
    costs = CostRules(buy_rate=0, sell_rate=0, min_commission=0)
    known = Exchange(bars[bars["date"] == SESSIONS[0]], contract_actions().head(0), SESSIONS[:1], MarketRules(), costs)
    return Opening("contract", SESSIONS[1], known, keys, AccountState)
