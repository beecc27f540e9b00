"""Tables of an account for people: holdings, net asset value, dealt orders."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.trading.account import AccountState
from quant_pipeline.trading.domain import Event, EventKind

HOLDING_COLUMNS = [
    "instrument",
    "quantity",
    "sessions_held",
    "average_cost",
    "price",
    "market_value",
    "unrealised_profit",
    "weight",
]


def holdings_table(state: AccountState, prices: pd.Series) -> pd.DataFrame:
    """List the holdings at a close, largest first.

    Parameters
    ----------
    state
        The account.
    prices
        Last known closes by instrument.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``quantity`` (shares), ``sessions_held``, ``average_cost`` and ``price`` (USD per share),
        ``market_value`` and ``unrealised_profit`` (USD), ``weight`` (part of the net asset value).
    """
    rows = []
    for instrument, position in sorted(state.positions.items()):
        quantity, cost, price = float(position.quantity), float(position.cost), float(prices[instrument])
        value = quantity * price
        rows.append((instrument, quantity, position.sessions_held, cost / quantity, price, value, value - cost))
    table = pd.DataFrame(rows, columns=HOLDING_COLUMNS[:-1]).astype({"instrument": "str"})
    if (table["quantity"] % 1 == 0).all():
        table["quantity"] = table["quantity"].astype("int64")
    total = float(state.cash) + table["market_value"].sum()
    table["weight"] = table["market_value"] / total
    return table.sort_values(["market_value", "instrument"], ascending=[False, True], ignore_index=True)


def net_asset_value_table(state: AccountState) -> pd.DataFrame:
    """List the net asset value and the cash (USD) of every booked session: ``date``, ``nav``, ``cash``."""
    rows = [(session, float(value), float(cash)) for session, value, cash in state.closes]
    return pd.DataFrame(rows, columns=["date", "nav", "cash"]).astype(
        {"date": "datetime64[ns]", "nav": float, "cash": float}
    )


def trades_table(events: Sequence[Event]) -> pd.DataFrame:
    """List every order that was dealt or ended, in the order of the ledger."""
    rows = [
        {"date": event.session, **event.payload}
        for event in events
        if event.kind in (EventKind.FILL, EventKind.ORDER_ENDED)
    ]
    columns = [
        "date",
        "client_order_id",
        "instrument",
        "side",
        "requested",
        "quantity",
        "price",
        "fee",
        "status",
        "message",
    ]
    table = pd.DataFrame(rows).reindex(columns=columns)
    numbers = ["requested", "quantity", "price", "fee"]
    return table.astype({"date": "datetime64[ns]", **dict.fromkeys(numbers, float)})
