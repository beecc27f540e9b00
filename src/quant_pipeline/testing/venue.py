"""A venue with an interface of its own, to write a first broker adapter against.

It stands for the client library of a real broker: requests by name, answers in rows of text, failures by code, a token.
Behind it is the exchange of the simulated broker on the market of the broker contract, kept in a file, so accounts
outlive the process. docs/extending/broker.md translates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.testing.contract_market import CASH, SESSIONS, contract_actions, contract_bars
from quant_pipeline.trading.broker_records import (
    Activity,
    BrokerOrder,
    CashActivity,
    FillActivity,
    OrderRequest,
    OrderType,
    PositionActivity,
    TimeInForce,
)
from quant_pipeline.trading.brokers.simulated.broker import SimulatedBroker
from quant_pipeline.trading.ports import (
    BrokerError,
    DuplicateOrderError,
    OrderNotCancelableError,
    OrderRejectedError,
    UnknownOrderError,
)

TOKEN = "venue-token"  # noqa: S105 - it opens nothing but this venue.
NUMBER = "V-1"

CODES: Mapping[type[BrokerError], str] = {
    DuplicateOrderError: "duplicate",
    OrderRejectedError: "refused",
    UnknownOrderError: "unknown",
    OrderNotCancelableError: "ended",
}


class VenueError(Exception):
    """A request that the venue refuses.

    Attributes
    ----------
    code
        ``token``, or a value of `CODES`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Venue:
    """Takes requests for one account.

    Parameters
    ----------
    file
        Where the account is kept.
    """

    def __init__(self, file: str | Path) -> None:
        url = sa.URL.create("sqlite", database=str(file))
        costs = CostRules(buy_rate=0, sell_rate=0, min_commission=0)
        self._exchange = SimulatedBroker(
            url, contract_bars(), contract_actions(), SESSIONS, MarketRules(), costs, SESSIONS[0], CASH, NUMBER
        )

    def request(self, token: str, name: str, facts: Mapping[str, Any]) -> Any:
        """Answer a request.

        Parameters
        ----------
        token
            Key of the account.
        name
            ``account``, ``positions``, ``orders``, ``order``, ``send``, ``cancel``, ``activities``, ``clock``,
            ``asset``, ``trades`` or ``suspend``.
        facts
            What the request needs.

        Raises
        ------
        VenueError
            When it is refused; nothing was changed.
        """
        if token != TOKEN:
            raise VenueError("token", "this token opens no account")
        try:
            return getattr(self, f"_{name}")(**facts)
        except tuple(CODES) as error:
            raise VenueError(CODES[type(error)], str(error)) from error

    def advance(self) -> None:
        """Let the next session happen: corporate actions, executions, close."""
        self._exchange.advance()

    def deposit(self, amount: str) -> None:
        """Bring cash in."""
        self._exchange.deposit(amount)

    def _account(self) -> dict[str, Any]:
        account = self._exchange.account()
        amounts = {name: getattr(account, name) for name in ("cash", "equity", "last_equity", "buying_power")}
        return {"account_number": NUMBER, "currency": "USD", "suspended": account.suspended, **_texts(amounts)}

    def _positions(self) -> list[dict[str, str | bool]]:
        return [_texts(asdict(held)) for held in self._exchange.positions()]

    def _orders(self, since: str) -> list[dict[str, Any]]:
        return [_order_row(order) for order in self._exchange.orders(pd.Timestamp(since))]

    def _order(self, client_order_id: str) -> dict[str, Any] | None:
        order = self._exchange.order_by_client_id(client_order_id)
        return None if order is None else _order_row(order)

    def _send(self, quantity: str, order_type: str, time_in_force: str, **terms: Any) -> dict[str, Any]:
        kind, lasts = OrderType(order_type), TimeInForce(time_in_force)
        order = OrderRequest(quantity=Decimal(quantity), order_type=kind, time_in_force=lasts, **terms)
        return _order_row(self._exchange.submit(order))

    def _cancel(self, client_order_id: str) -> None:
        self._exchange.cancel(client_order_id)

    def _activities(self, after: str | None, since: str | None) -> list[dict[str, Any]]:
        day = None if since is None else pd.Timestamp(since)
        return [_activity_row(activity) for activity in self._exchange.activities(after, day)]

    def _clock(self) -> dict[str, Any]:
        clock = self._exchange.clock()
        times = {name: getattr(clock, name).isoformat() for name in ("now", "next_open", "next_close")}
        return {**times, "is_open": clock.is_open}

    def _asset(self, instrument: str) -> dict[str, Any] | None:
        asset = self._exchange.asset(instrument)
        return None if asset is None else asdict(asset)

    def _trades(self, instruments: list[str]) -> dict[str, dict[str, str]]:
        trades = self._exchange.last_trades(instruments)
        return {name: {"price": str(trade.price), "at": trade.at.isoformat()} for name, trade in trades.items()}

    def _suspend(self, on: bool) -> None:
        self._exchange.suspend_trading(on)


def _texts(facts: Mapping[str, Any]) -> dict[str, str | bool]:
    return {name: value if isinstance(value, bool) else str(value) for name, value in facts.items()}


def _order_row(order: BrokerOrder) -> dict[str, Any]:
    states = {"accepted": "waiting", "filled": "done"}
    price = order.average_fill_price
    return {
        "ref": order.broker_order_id,
        "client_order_id": order.client_order_id,
        "instrument": order.instrument,
        "side": order.side,
        "quantity": str(order.quantity),
        "filled_quantity": str(order.filled_quantity),
        "average_fill_price": None if price is None else str(price),
        "state": states.get(order.status, str(order.status)),
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "limit_price": None,
        "submitted_at": order.submitted_at.isoformat(),
        "updated_at": order.updated_at.isoformat(),
    }


def _activity_row(activity: Activity) -> dict[str, Any]:
    row: dict[str, Any] = {"activity_id": activity.activity_id, "date": f"{activity.date:%Y-%m-%d}"}
    match activity:
        case FillActivity():
            facts = {"instrument": activity.instrument, "side": activity.side, "ref": activity.broker_order_id}
            amounts = {name: getattr(activity, name) for name in ("quantity", "price", "cumulative_quantity")}
            return {**row, "type": "fill", "occurred_at": activity.occurred_at.isoformat(), **facts, **_texts(amounts)}
        case CashActivity():
            facts = {"reason": activity.kind.value, "instrument": activity.instrument}
            return {**row, "type": "cash", **facts, "amount": str(activity.amount)}
        case PositionActivity():
            facts = {"reason": activity.kind.value, "instrument": activity.instrument}
            moved = {"quantity": activity.quantity, "amount": activity.amount}
            return {**row, "type": "shares", **facts, **_texts(moved)}
    raise TypeError(f"the simulated exchange knows no {type(activity).__name__}")
