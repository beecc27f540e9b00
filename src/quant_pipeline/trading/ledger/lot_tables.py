"""Lots as tables: what is held since when at which cost, and what every sold lot brought."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.ledger.books import Books

OPEN_LOT_COLUMNS = {
    "instrument": "str",
    "lot": "str",
    "opened": "datetime64[ns]",
    "quantity": "float64",
    "cost": "float64",
    "cost_per_share": "float64",
    "price": "float64",
    "market_value": "float64",
    "unrealised_profit": "float64",
}
CLOSED_LOT_COLUMNS = {
    "instrument": "str",
    "lot": "str",
    "opened": "datetime64[ns]",
    "closed": "datetime64[ns]",
    "days_held": "int64",
    "quantity": "float64",
    "cost": "float64",
    "proceeds": "float64",
    "realised_profit": "float64",
    "reason": "str",
}


def open_lots_table(books: Books, prices: Mapping[str, Decimal]) -> pd.DataFrame:
    """List every lot held, by instrument, oldest first.

    Parameters
    ----------
    books
        The account.
    prices
        Last known close of every holding, as traded.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``lot`` (its identity, by which a sale can choose it), ``opened`` (session), ``quantity``
        (shares), ``cost`` (fees included), ``cost_per_share``, ``price``, ``market_value``, ``unrealised_profit``.
    """
    rows = []
    for instrument, position in sorted(books.positions.items()):
        price = Decimal(prices[instrument])
        for lot in position.lots:
            value = lot.quantity * price
            facts = (lot.quantity, lot.cost, lot.cost_per_share, price, value, value - lot.cost)
            rows.append((instrument, lot.identity, lot.session, *map(float, facts)))
    return pd.DataFrame(rows, columns=list(OPEN_LOT_COLUMNS)).astype(OPEN_LOT_COLUMNS)


def closed_lots_table(books: Books) -> pd.DataFrame:
    """List everything that was sold, lot by lot, in the order of the sales.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``lot``, ``opened`` and ``closed`` (sessions), ``days_held`` (calendar days), ``quantity``,
        ``cost``, ``proceeds``, ``realised_profit`` (fees included on both sides), ``reason``.
    """
    rows = [
        (
            lot.instrument,
            lot.identity,
            lot.opened,
            lot.closed,
            (lot.closed - lot.opened).days,
            *map(float, (lot.quantity, lot.cost, lot.proceeds, lot.profit)),
            lot.reason,
        )
        for lot in books.closed_lots
    ]
    return pd.DataFrame(rows, columns=list(CLOSED_LOT_COLUMNS)).astype(CLOSED_LOT_COLUMNS)


def round_trips_table(closed_lots: pd.DataFrame) -> pd.DataFrame:
    """Put the sold lots of an instrument together that were bought in one session and sold in one.

    An order that was executed by many fills opens as many lots, whose profits are one result.

    Parameters
    ----------
    closed_lots
        ``instrument``, ``opened``, ``closed``, ``cost``, ``realised_profit``.

    Returns
    -------
    pandas.DataFrame
        These columns and ``days_held``, in the order of the sales; lots that cost nothing, as of a spin-off, are left
        out.
    """
    bought = closed_lots[closed_lots["cost"] > 0]
    trip = bought.groupby(["instrument", "opened", "closed"], sort=False, as_index=False)
    trips = trip[["cost", "realised_profit"]].sum()
    return trips.assign(days_held=(trips["closed"] - trips["opened"]).dt.days)
