"""What an account has earned: by session, by source and by instrument; every part sums to the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.books import Books
from quant_pipeline.trading.ledger.events import Event, EventKind

SESSION_COLUMNS = {
    "date": "datetime64[ns]",
    "nav": "float64",
    "flow": "float64",
    "profit": "float64",
    "return": "float64",
}
SOURCES = ("realised", "unrealised", "dividends", "interest", "other", "charges", "taxes")


class Close(NamedTuple):
    """A booked close.

    Attributes
    ----------
    session
        Session.
    value, before
        Net asset value, and that of the close before; 0 at the first.
    flow
        Deposits less withdrawals since the close before, shares transferred at their cost.
    """

    session: pd.Timestamp
    value: Decimal
    before: Decimal
    flow: Decimal

    @property
    def profit(self) -> Decimal:
        """Change of the net asset value without the flow."""
        return self.value - self.before - self.flow

    @property
    def profit_rate(self) -> Decimal:
        """Profit over the value that was there to earn it; the flow counts as there from the open."""
        base = self.before + self.flow
        return self.profit / base if base > 0 else Decimal(0)


def walk_closes(events: Sequence[Event], up_to: pd.Timestamp) -> Iterator[tuple[AccountState, Close]]:
    """Walk through the ledger and stop at every close up to a session.

    Yields
    ------
    tuple
        The account at the close, which changes with the next step, and the close.
    """
    state = AccountState()
    before, contributed = Decimal(0), Decimal(0)
    for event in events:
        if event.session > up_to:
            continue
        state.apply(event)
        if event.kind is EventKind.SESSION_CLOSED:
            value = state.closes[-1][1]
            yield state, Close(event.session, value, before, state.contributed - contributed)
            before, contributed = value, state.contributed


def session_profits(events: Sequence[Event], up_to: pd.Timestamp) -> pd.DataFrame:
    """List every booked session with its profit.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``nav``, ``flow``, ``profit``, ``return``, see `Close`.
    """
    closes = [close for _, close in walk_closes(events, up_to)]
    rows = [(c.session, *map(float, (c.value, c.flow, c.profit, c.profit_rate))) for c in closes]
    return pd.DataFrame(rows, columns=list(SESSION_COLUMNS)).astype(SESSION_COLUMNS)


def profit_by_source(books: Books, prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return where the profit since the beginning comes from; fees of trades are in cost and proceeds.

    Parameters
    ----------
    books
        The account.
    prices
        Last known close of every holding.

    Returns
    -------
    dict of Decimal
        `SOURCES` in the currency of the account, charges and taxes negative; their sum is the net asset value at these
        prices less what the owner paid in.
    """
    unrealised = sum(
        (held.quantity * Decimal(prices[name]) - held.cost for name, held in books.positions.items()), Decimal(0)
    )
    amounts = {"realised": books.realised, "unrealised": unrealised, "dividends": books.dividends}
    amounts |= {"interest": books.interest, "other": books.other}
    return amounts | {"charges": -books.charges, "taxes": -books.taxes}


def profit_by_instrument(books: Books, prices: Mapping[str, Decimal]) -> pd.DataFrame:
    """List the profit of every instrument that was ever held, the largest gain first.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``quantity`` (shares held), ``realised``, ``unrealised``, ``profit``, in the currency of the
        account.
    """
    rows: dict[str, list[Decimal]] = {}
    for lot in books.closed_lots:
        rows.setdefault(lot.instrument, [Decimal(0)] * 3)[1] += lot.profit
    for name, held in books.positions.items():
        row = rows.setdefault(name, [Decimal(0)] * 3)
        row[0] += held.quantity
        row[2] += held.quantity * Decimal(prices[name]) - held.cost
    table = pd.DataFrame(
        [(name, *map(float, row)) for name, row in rows.items()],
        columns=["instrument", "quantity", "realised", "unrealised"],
    )
    table = table.astype({"instrument": "str", "quantity": float, "realised": float, "unrealised": float})
    table["profit"] = table["realised"] + table["unrealised"]
    return table.sort_values(["profit", "instrument"], ascending=[False, True], ignore_index=True)
