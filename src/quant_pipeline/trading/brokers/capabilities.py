"""What each broker can execute; apart from the adapters, so that asking imports no client library."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.trading.broker_records import TimeInForce
from quant_pipeline.trading.execution_capability import AuctionOrders, ExecutionCapability

ALPACA = ExecutionCapability(
    broker="Alpaca",
    times_in_force={
        "open": (TimeInForce.DAY, TimeInForce.OPENING),
        "close": (TimeInForce.CLOSING,),
    },
    # "OPG orders submitted after 9:28am but before 7:00pm ET will be rejected." "CLS orders submitted after 3:50pm but
    # before 7:00pm ET will be rejected." (https://docs.alpaca.markets/docs/orders-at-alpaca, Time in Force.) On a half
    # day the book for the closing auction is closed ten minutes before that close.
    auctions={
        TimeInForce.OPENING: AuctionOrders("open", pd.Timedelta(hours=14, minutes=30), pd.Timedelta(minutes=2)),
        TimeInForce.CLOSING: AuctionOrders("close", pd.Timedelta(hours=14, minutes=30), pd.Timedelta(minutes=10)),
    },
)
"""Alpaca sends no order for a session's average price."""

SIMULATED = ExecutionCapability(
    broker="the simulated exchange",
    times_in_force={
        "open": (TimeInForce.DAY, TimeInForce.OPENING),
        "close": (TimeInForce.DAY, TimeInForce.CLOSING),
        "vwap": (TimeInForce.DAY,),
    },
)
"""The simulated exchange executes at the configured price of the session, as the backtest does."""
