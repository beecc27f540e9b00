"""The simulated broker as YAML names it: an account that continues where the ledger ends."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.common.parameters import LocalPath
from quant_pipeline.trading.broker_records import TimeInForce
from quant_pipeline.trading.brokers.adapter import BrokerAdapter, Money, Opening
from quant_pipeline.trading.brokers.simulated.store import BrokerBooks, Holding, SimulatedStore
from quant_pipeline.trading.execution_capability import ExecutionCapability
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ports import Broker

CAPABILITY = ExecutionCapability(
    broker="the simulated exchange",
    times_in_force={
        "open": (TimeInForce.DAY, TimeInForce.OPENING),
        "close": (TimeInForce.DAY, TimeInForce.CLOSING),
        "vwap": (TimeInForce.DAY,),
    },
)
"""The simulated exchange executes at the configured price of the session, as the backtest does."""


class SimulatedAdapter(BrokerAdapter):
    """An account at the simulated exchange.

    Its books begin with the ledger's last close, with the cash and the shares of the ledger; they take the orders of
    the next session and are not used again when that session has been booked: post-trade executes what they took, by
    the exchange rules of the backtest.

    Attributes
    ----------
    path
        Folder of one small database per session.
    """

    capability = CAPABILITY

    path: LocalPath

    @property
    def money(self) -> Money:
        """No order leaves the pipeline."""
        return Money.SIMULATED

    @property
    def has_own_time(self) -> bool:
        """The exchange is always at a close."""
        return True

    def connect(self, opening: Opening) -> Broker:
        """Open the books of the session.

        Raises
        ------
        StaleDataError
            When the ledger ends at another session than the market.
        """
        exchange, state = opening.exchange, opening.books()
        closed = exchange.sessions[-1]
        if state.last_session != closed:
            raise StaleDataError(_out_of_step(state.last_session, closed))
        self.path.mkdir(parents=True, exist_ok=True)
        url = sa.URL.create("sqlite", database=str(self.path / f"{opening.session:%Y-%m-%d}.sqlite"))
        _seed(url, state, closed)
        from quant_pipeline.trading.brokers.simulated.broker import SimulatedBroker

        return SimulatedBroker(
            url,
            *exchange.parts,
            closed,
            state.cash,
            account_number=opening.account,
            calendar=exchange.market_rules.calendar,
        )


def _seed(url: sa.URL, state: AccountState, session: pd.Timestamp) -> None:
    """Open the simulated broker's books with what the ledger holds, once."""
    values = [value for _, value, _ in state.closes[-2:]]
    holdings = {name: Holding(int(held.quantity), held.cost) for name, held in state.positions.items()}
    with SimulatedStore(url).transaction() as books:
        if books.books() is None:
            equity, before = values[-1], values[0]
            if len(values) > 1:
                before += state.paid_in(state.closes[-1][0])
            books.put_books(BrokerBooks(session, Decimal(state.cash), equity, before, holdings=holdings))


def _out_of_step(booked: pd.Timestamp | None, closed: pd.Timestamp) -> str:
    """Say how the ledger of the account and the session of the run are brought together."""
    if booked is not None and booked > closed:
        return (
            f"the account is booked up to {booked:%Y-%m-%d}, after {closed:%Y-%m-%d}. Run as of that session: "
            f"--params as_of={booked:%Y-%m-%d}"
        )
    found = "is not booked at all" if booked is None else f"is booked up to {booked:%Y-%m-%d}"
    return (
        f"the account {found}, not up to {closed:%Y-%m-%d}. Run "
        f"`kedro run --pipelines post_trade --params as_of={closed:%Y-%m-%d}` first."
    )
