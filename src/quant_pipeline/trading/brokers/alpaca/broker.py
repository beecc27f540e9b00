"""The Alpaca account behind the port, by unmodified alpaca-py; what a refusal of an order means."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import pandas as pd
from alpaca.common.exceptions import APIError

from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.activities.alpaca import read_activity
from quant_pipeline.trading.broker_records import (
    Activity,
    Amendment,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    LastTrade,
    OrderRequest,
)
from quant_pipeline.trading.brokers.alpaca import records
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.transport import (
    AlpacaTransport,
    connect_data,
    connect_trading,
    read_refusal,
)
from quant_pipeline.trading.ports import (
    BrokerAccessError,
    BrokerError,
    BrokerUnavailableError,
    DuplicateOrderError,
    OrderNotCancelableError,
    OrderRejectedError,
    OutcomeUnknownError,
    PartlyUnreadableError,
    QuestionRefusedError,
    UnknownOrderError,
)

logger = logging.getLogger(__name__)

_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, ArithmeticError)
"""What reading an answer of another shape raises: null, a list, text instead of a record."""

ORDERS_A_PAGE = 500
ACTIVITIES_A_PAGE = 100

Record = TypeVar("Record")


class AlpacaBroker:
    """An account at Alpaca; implements `quant_pipeline.trading.ports.Broker`.

    Parameters
    ----------
    parameters
        Which account, how patiently.
    api_key, secret_key
        Its keys; they appear in no message of this class.
    """

    capability = AlpacaAdapter.capability

    def __init__(self, parameters: AlpacaAdapter, api_key: str, secret_key: str) -> None:
        self._wire = connect_trading(parameters, api_key, secret_key)
        # No partial: that would show the keys.
        self._connect_data = lambda: connect_data(parameters, api_key, secret_key)
        self._feed = parameters.feed

    @cached_property
    def _data(self) -> AlpacaTransport:
        return self._connect_data()

    def account(self) -> BrokerAccount:
        """Return cash, equity, buying power and blocks of the account."""
        row = self._wire.ask("/account")
        try:
            return records.read_account(row)
        except _UNREADABLE as error:
            number = row.get("account_number") if isinstance(row, Mapping) else None
            known = (number,) if isinstance(number, str) and number else ()
            message = f"Alpaca's answer cannot be read ({error!r}); nothing was changed"
            raise PartlyUnreadableError(message, known, {"the account": repr(error)}) from error

    def positions(self) -> tuple[BrokerPosition, ...]:
        """List all positions, by instrument."""
        found, faults = _readable(records.read_position, _rows(self._wire.ask("/positions")), "symbol")
        held = tuple(sorted(found, key=lambda held: held.instrument))
        _refuse_unreadable(held, faults)
        return held

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """List all orders that have not ended, oldest first."""
        return self._list_orders({"status": "open"})

    def orders(self, since: pd.Timestamp) -> tuple[BrokerOrder, ...]:
        """List all orders submitted at or after an instant, oldest first."""
        return self._list_orders({"status": "all"}, since)

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Send an order once; see the port for what each error means."""
        try:
            answer = self._wire.send("POST", "/orders", records.order_body(order))
        except APIError as error:
            raise self._refusal(order.client_order_id, error) from error
        try:
            return records.read_order(answer)
        except _UNREADABLE as error:
            raise OutcomeUnknownError(
                f"Alpaca's answer to order {order.client_order_id} is no order: {error}"
            ) from error

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Look up an order by our own name of it; None when Alpaca has none."""
        row = self._wire.ask("/orders:by_client_order_id", {"client_order_id": client_order_id})
        return None if row is None else _read(records.read_order, row)

    def cancel(self, client_order_id: str) -> None:
        """Ask to cancel an order."""
        order = self.order_by_client_id(client_order_id)
        if order is None:
            raise UnknownOrderError(f"Alpaca has no order {client_order_id}")
        try:
            self._wire.send("DELETE", f"/orders/{order.broker_order_id}")
        except APIError as error:
            raise OrderNotCancelableError(f"order {client_order_id}: {read_refusal(error)[1]}") from error

    def activities(self, after: str | None = None, since: pd.Timestamp | None = None) -> Iterator[Activity]:
        """Return everything that changed cash or shares, page by page, each fact once and in the order of its id."""
        query: dict[str, Any] = {"direction": "asc", "page_size": ACTIVITIES_A_PAGE}
        if since is not None:
            # Alpaca's ``after`` is exclusive.
            query["after"] = f"{since - pd.Timedelta(days=1):%Y-%m-%d}"
        token = after or ""
        while True:
            page = _named(self._wire.ask("/account/activities", query | ({"page_token": token} if token else {})))
            fresh = {row["id"]: row for row in page if row["id"] > token}
            for name in sorted(fresh):
                yield self._complete(_read(read_activity, fresh[name]))
            if len(page) < ACTIVITIES_A_PAGE or not fresh:
                return
            token = max(fresh)

    def clock(self) -> BrokerClock:
        """Return Alpaca's time and the hours of its market."""
        return _read(records.read_clock, self._wire.ask("/clock"))

    def asset(self, instrument: str) -> BrokerAsset | None:
        """Return whether an instrument can be traded; None when Alpaca does not know it."""
        row = self._wire.ask(f"/assets/{instrument}")
        return None if row is None else _read(records.read_asset, row)

    def last_trades(self, instruments: Sequence[str]) -> Mapping[str, LastTrade]:
        """Return the newest trade of each instrument on the configured feed."""
        if not instruments:
            return {}
        query = {"symbols": ",".join(instruments), "feed": self._feed}
        try:
            return _read(records.read_last_trades, self._data.ask("/stocks/trades/latest", query))
        except QuestionRefusedError as error:
            if len(instruments) == 1:
                logger.warning("Alpaca has no trade of %s: %s", instruments[0], error.message)
                return {}
            # One name that Alpaca finds impossible hides no other.
            half = len(instruments) // 2
            return {**self.last_trades(instruments[:half]), **self.last_trades(instruments[half:])}
        except BrokerAccessError as error:
            raise BrokerAccessError(
                f"Alpaca shows no trades of feed '{self._feed}' to these keys ({error.message}); subscribe to it, or "
                "set feed: iex in the environment's globals.yml"
            ) from error

    def suspend_trading(self, suspended: bool) -> None:
        """Let Alpaca itself refuse (or take again) every new order."""
        self._change("PATCH", "/account/configurations", {"suspend_trade": suspended})

    def _change(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        try:
            self._wire.send(method, path, body)
        except APIError as error:
            raise BrokerError(f"Alpaca refuses {method} {path}: {read_refusal(error)[1]}") from error

    def _refusal(self, client_order_id: str, error: APIError) -> Exception:
        code, message = read_refusal(error)
        refusal = f"Alpaca refuses order {client_order_id}: {message} (status {error.status_code}, code {code})"
        if error.status_code == 422:
            # Words change; whether an order of this name exists does not.
            try:
                exists = self.order_by_client_id(client_order_id) is not None
            except BrokerError as lost:
                return OutcomeUnknownError(f"{refusal}, and whether it has an order of this name is unknown: {lost}")
            if exists or "client_order_id must be unique" in message:
                return DuplicateOrderError(f"Alpaca has an order {client_order_id} already: {message}")
        return OrderRejectedError(refusal, code)

    def _list_orders(self, query: Mapping[str, str], since: pd.Timestamp | None = None) -> tuple[BrokerOrder, ...]:
        found: dict[str, BrokerOrder] = {}
        faults: dict[str, str] = {}
        while True:
            # ``after`` is exclusive: one microsecond earlier, so that orders of one instant are not parted.
            start = {} if since is None else {"after": (since - pd.Timedelta(microseconds=1)).isoformat()}
            page = _rows(self._wire.ask("/orders", {**query, "direction": "asc", "limit": ORDERS_A_PAGE, **start}))
            orders, unreadable = _readable(records.read_order, page, "client_order_id")
            faults |= unreadable
            known = len(found)
            found |= {order.broker_order_id: order for order in orders}
            if len(page) < ORDERS_A_PAGE:
                listed = tuple(sorted(found.values(), key=lambda order: order.submitted_at))
                _refuse_unreadable(listed, faults)
                return listed
            if len(found) == known:
                raise BrokerUnavailableError(f"more than {ORDERS_A_PAGE} orders of one instant cannot be listed")
            since = orders[-1].submitted_at

    def _complete(self, activity: Activity) -> Activity:
        """Name the superseded fill by its whole activity id; Alpaca gives only the half after the colons."""
        is_fill = activity.raw.get("activity_type") == "FILL"
        if not is_fill or activity.amendment is Amendment.NEW or activity.supersedes is None:
            return activity
        query = {"activity_types": "FILL", "direction": "asc", "page_size": ACTIVITIES_A_PAGE}
        rows = _named(self._wire.ask("/account/activities", query | {"order_id": activity.raw.get("order_id")}))
        matches = [row["id"] for row in rows if row["id"].partition("::")[2] == activity.supersedes]
        return replace(activity, supersedes=matches[0]) if matches else activity


def _rows(answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, list):
        raise BrokerUnavailableError("Alpaca's answer is no list; nothing can be concluded from it")
    return answer


def _named(answer: Any) -> list[dict[str, Any]]:
    """Return rows that all have an id: what lies behind one without cannot be asked for."""
    rows = _rows(answer)
    if not all(isinstance(row, Mapping) and isinstance(row.get("id"), str) for row in rows):
        raise BrokerUnavailableError("Alpaca's answer cannot be read (a record without an id); nothing was changed")
    return rows


def _readable(
    reader: Callable[[Mapping[str, Any]], Record], rows: Sequence[Any], name: str
) -> tuple[list[Record], dict[str, str]]:
    """Read rows, and say why some cannot be read, by what they are called."""
    found, faults = [], {}
    for place, row in enumerate(rows, start=1):
        try:
            found.append(reader(row))
        except _UNREADABLE as error:
            called = row.get(name) if isinstance(row, Mapping) else None
            faults[str(called or f"row {place}")] = repr(error)
    return found, faults


def _refuse_unreadable(readable: tuple[Any, ...], faults: Mapping[str, str]) -> None:
    if faults:
        rows = first_of((f"{name}: {why}" for name, why in faults.items()), "; ")
        message = f"Alpaca's answer cannot be read ({rows}); nothing was changed"
        raise PartlyUnreadableError(message, readable, faults)


def _read(reader: Callable[[Mapping[str, Any]], Record], row: Any) -> Record:
    try:
        return reader(row)
    except _UNREADABLE as error:
        raise BrokerUnavailableError(f"Alpaca's answer cannot be read ({error!r}); nothing was changed") from error
