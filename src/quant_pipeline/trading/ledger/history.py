"""The account day by day: cumulative tables of holdings and amounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.bookkeeping import last_prices
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.ledger.profits import Close, walk_closes

HOLDING_LOG_COLUMNS = {
    "date": "datetime64[ns]",
    "instrument": "str",
    "quantity": "float64",
    "price": "float64",
    "market_value": "float64",
    "cost": "float64",
    "unrealised_profit": "float64",
}
CUMULATIVE = ("contributed", "realised", "dividends", "interest", "other", "fees", "charges", "taxes")
DAILY_AMOUNT_COLUMNS = [
    "date",
    "nav",
    "cash",
    "market_value",
    "flow",
    "profit",
    "return",
    "unrealised_profit",
    *CUMULATIVE,
]


class AccountHistory(NamedTuple):
    """Cumulative tables of an account.

    ``holdings`` has a row per session and holding: ``date``, ``instrument``, ``quantity`` (shares), ``price`` (last
    known close), ``market_value``, ``cost``, ``unrealised_profit``.

    ``amounts`` has a row per session: ``nav``, ``cash``, ``market_value``, ``flow`` (deposits less withdrawals since
    the close before, shares transferred at their cost), ``profit`` (change of ``nav`` without the flow), ``return``
    (profit over the value that was there to earn it: the ``nav`` before plus the flow, which counts as there from the
    open), ``unrealised_profit``, and since the beginning ``contributed``, ``realised``, ``dividends``, ``interest``,
    ``other`` (cash of another kind), ``fees``, ``charges`` (fees outside trades), ``taxes``.
    """

    holdings: pd.DataFrame
    amounts: pd.DataFrame


def account_history(events: Sequence[Event], market: TradingMarket, up_to: pd.Timestamp) -> AccountHistory:
    """Walk through the ledger and write down every close.

    Parameters
    ----------
    events
        The ledger.
    market
        Prices of every booked session up to ``up_to``; what the market does not price counts at cost.
    up_to
        Last session to look at.

    Returns
    -------
    AccountHistory
        A correction changes the rows of the sessions after it, never those before.
    """
    holdings: list[tuple[object, ...]] = []
    amounts: list[dict[str, object]] = []
    for state, close in walk_closes(events, up_to):
        holdings += [(close.session, *row) for row in _held(state, market, close.session)]
        amounts.append(_amounts(state, close))
    held = pd.DataFrame(holdings, columns=list(HOLDING_LOG_COLUMNS)).astype(HOLDING_LOG_COLUMNS)
    daily = pd.DataFrame(amounts, columns=DAILY_AMOUNT_COLUMNS)
    types = {name: "datetime64[ns]" if name == "date" else "float64" for name in DAILY_AMOUNT_COLUMNS}
    return AccountHistory(held, daily.astype(types))


def _held(state: AccountState, market: TradingMarket, session: pd.Timestamp) -> list[tuple[object, ...]]:
    prices = last_prices(state, market, session)
    rows = []
    for instrument, position in sorted(state.positions.items()):
        quantity, price, cost = position.quantity, prices[instrument], position.cost
        value = quantity * price
        rows.append((instrument, *map(float, (quantity, price, value, cost, value - cost))))
    return rows


def _amounts(state: AccountState, close: Close) -> dict[str, object]:
    held = close.value - state.cash
    row = {"nav": close.value, "cash": state.cash, "market_value": held, "flow": close.flow, "profit": close.profit}
    row |= {"return": close.profit_rate, "unrealised_profit": held - state.cost}
    row |= {name: getattr(state, name) for name in CUMULATIVE}
    return {"date": close.session, **{name: float(amount) for name, amount in row.items()}}
