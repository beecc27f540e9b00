"""Tables of an account: holdings, net asset value, executed orders."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.amendments import effective_fills
from quant_pipeline.trading.ledger.events import Event, EventKind

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

TRADE_COLUMNS = [
    "date",
    "key",
    "client_order_id",
    "instrument",
    "side",
    "requested",
    "quantity",
    "price",
    "fee",
    "cash",
    "status",
    "message",
    "amendment",
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
    """List every order that was executed or ended, in the order of the ledger.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``key`` (identity of the fill), ``client_order_id``, ``instrument``, ``side``, ``requested`` and
        ``quantity`` (shares), ``price``, ``fee``, ``cash`` (its effect on the cash), ``status``, ``message``,
        ``amendment``: ``bust`` or ``correction`` where the fill was not what it seemed; the numbers are then those
        that count (zero after a bust).
    """
    fills, rows = effective_fills(events), []
    for event in events:
        if event.kind is EventKind.FILL:
            fill = fills[event.key]
            amendment = {"amendment": fill.amendment} if fill.amendment else {}
            rows.append({"date": event.session, "key": event.key, **fill.booked, **amendment})
        elif event.kind is EventKind.ORDER_ENDED:
            rows.append({"date": event.session, "key": event.key, **event.payload})
    table = pd.DataFrame(rows).reindex(columns=TRADE_COLUMNS)
    numbers = ["requested", "quantity", "price", "fee", "cash"]
    table = table.astype({"date": "datetime64[ns]", **dict.fromkeys(numbers, float)})
    value = table["quantity"] * table["price"]
    effect = value.where(table["side"] == "sell", -value) - table["fee"]
    return table.assign(cash=table["cash"].fillna(effect))
