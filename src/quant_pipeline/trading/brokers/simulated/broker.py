"""The simulated broker behind the port: the exchange rules of the backtest over a small database.

Its state is that of the close of a session. Orders sent then execute in the next session, when `advance` is called:
corporate actions, sales, purchases, close, in the sequence and with the integer arithmetic of the backtest. So the
same orders give the same cash, to the tick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_decimal
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.trading.broker_records import (
    Activity,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    LastTrade,
    OrderRequest,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from quant_pipeline.trading.brokers.simulated.adapter import CAPABILITY
from quant_pipeline.trading.brokers.simulated.bookkeeping import execute_session
from quant_pipeline.trading.brokers.simulated.documents import read_activity, read_order, write_order
from quant_pipeline.trading.brokers.simulated.session import SessionBooking, held_shares, orders_table, positions_table
from quant_pipeline.trading.brokers.simulated.store import ACTIVITY, ORDER, BrokerBooks, SimulatedStore, Transaction
from quant_pipeline.trading.ledger.events import money
from quant_pipeline.trading.ports import (
    DuplicateOrderError,
    OrderNotCancelableError,
    OrderRejectedError,
    UnknownOrderError,
)


class SimulatedBroker:
    """An account at a simulated exchange; implements `quant_pipeline.trading.ports.Broker`.

    Parameters
    ----------
    url
        SQLAlchemy URL of its books, which outlive the process.
    bars, corporate_actions
        The market as traded.
    sessions
        Consecutive sessions of the calendar that the bars cover.
    market_rules, cost_rules
        Rules; the same that the backtest uses.
    opened, cash
        Session at whose close a new account is opened, and its first deposit; an account that exists keeps its own.
    account_number
        What the account calls itself.
    calendar
        Name of the exchange calendar.
    """

    capability = CAPABILITY

    def __init__(
        self,
        url: str | sa.URL,
        bars: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        sessions: pd.DatetimeIndex,
        market_rules: MarketRules,
        cost_rules: CostRules,
        opened: pd.Timestamp,
        cash: Decimal | int | str,
        account_number: str = "SIM",
        calendar: str = "XNYS",
    ) -> None:
        self._store = SimulatedStore(url)
        self._bars = bars
        self._actions = corporate_actions
        self._market = TradingMarket.from_bars(bars, corporate_actions, sessions, market_rules)
        self._costs = cost_rules
        self._number = account_number
        self._calendar = TradingCalendar.of(calendar, sessions[0], sessions[-1])
        with self._store.transaction() as books:
            if books.books() is None:
                deposit = Decimal(money(cash))
                books.put_books(BrokerBooks(pd.Timestamp(opened), deposit, deposit, deposit))

    @property
    def session(self) -> pd.Timestamp:
        """Session at whose close the account stands."""
        return self._books().session

    def account(self) -> BrokerAccount:
        """Return cash, equity, buying power and blocks of the account."""
        books = self._books()
        return BrokerAccount(
            account_number=self._number,
            currency=unit_of_amounts(self._market.rules.calendar),
            cash=books.cash,
            equity=books.equity,
            last_equity=books.last_equity,
            buying_power=books.cash,
            suspended=books.suspended,
        )

    def positions(self) -> tuple[BrokerPosition, ...]:
        """List all positions, by instrument."""
        with self._store.transaction() as entry:
            books, orders = self._known(entry), entry.documents(ORDER)
        return tuple(
            BrokerPosition(
                instrument=name,
                quantity=Decimal(held.quantity),
                available=Decimal(held.quantity) - held_shares(orders.values(), name),
                average_entry_price=held.average_price,
                market_value=held.quantity * self._mark(name, books.session),
                asset_id=name,
            )
            for name, held in sorted(books.holdings.items())
        )

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """List all orders that have not ended, oldest first."""
        return tuple(order for order in self._orders() if not order.status.is_final)

    def orders(self, since: pd.Timestamp) -> tuple[BrokerOrder, ...]:
        """List all orders submitted at or after an instant, oldest first."""
        return tuple(order for order in self._orders() if order.submitted_at >= since)

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Take an order for the next session."""
        with self._store.transaction() as entry:
            if entry.document(ORDER, order.client_order_id) is not None:
                raise DuplicateOrderError(f"the simulated broker has an order {order.client_order_id} already")
            books = self._known(entry)
            self._check(order, books, entry)
            books.counter += 1
            document = write_order(order, books.counter, self._closed_at(books.session))
            entry.put(ORDER, order.client_order_id, document)
            entry.put_books(books)
        return read_order(document)

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Look up an order by our own name of it; None when there is none."""
        with self._store.transaction() as entry:
            document = entry.document(ORDER, client_order_id)
        return None if document is None else read_order(document)

    def cancel(self, client_order_id: str) -> None:
        """Cancel an order."""
        with self._store.transaction() as entry:
            document = entry.document(ORDER, client_order_id)
            if document is None:
                raise UnknownOrderError(f"the simulated broker has no order {client_order_id}")
            if read_order(document).status.is_final:
                raise OrderNotCancelableError(f"order {client_order_id} has ended: {document['status']}")
            self._cancel(entry, document)

    def activities(self, after: str | None = None, since: pd.Timestamp | None = None) -> Iterator[Activity]:
        """Return everything that changed cash or shares, in the order of activity ids."""
        with self._store.transaction() as entry:
            documents = entry.documents(ACTIVITY, after or "")
        for name, document in documents.items():
            activity = read_activity(name, document)
            if since is None or activity.date >= since:
                yield activity

    def clock(self) -> BrokerClock:
        """Return the time: the close of the account's session."""
        session = self.session
        opens, closes = self._calendar.hours(self._calendar.next(session))
        return BrokerClock(self._closed_at(session), is_open=False, next_open=opens, next_close=closes)

    def asset(self, instrument: str) -> BrokerAsset | None:
        """Return whether an instrument can be traded: it can while it has bars."""
        if instrument not in self._market.instruments:
            return None
        tradable = self._mark(instrument, self.session) > 0
        return BrokerAsset(instrument, instrument, tradable=tradable, shortable=False, fractionable=False)

    def last_trades(self, instruments: Sequence[str]) -> Mapping[str, LastTrade]:
        """Return the newest trade of each instrument: that of the close of the account's session."""
        session = self.session
        known = {name: self._mark(name, session) for name in instruments if name in self._market.instruments}
        return {name: LastTrade(price, self._closed_at(session)) for name, price in known.items() if price > 0}

    def suspend_trading(self, suspended: bool) -> None:
        """Refuse (or take again) every new order."""
        with self._store.transaction() as entry:
            books = self._known(entry)
            books.suspended = suspended
            entry.put_books(books)

    def deposit(self, amount: Decimal | int | str, date: pd.Timestamp | None = None) -> None:
        """Bring cash in (positive) or take it out (negative).

        Parameters
        ----------
        amount
            In USD.
        date
            Any day; by default the session at whose close the account stands.
        """
        with self._store.transaction() as entry:
            books = self._known(entry)
            booking = SessionBooking(books, date or books.session)
            booking.transfer(Decimal(money(amount)))
            self._write(entry, booking)

    def advance(self) -> pd.Timestamp:
        """Let the next session happen.

        Returns
        -------
        pandas.Timestamp
            The session at whose close the account now stands.

        Raises
        ------
        AccountError
            When the market ends before it.
        """
        with self._store.transaction() as entry:
            books = self._known(entry)
            index = self._market.sessions.get_loc(books.session) + 1
            if index == len(self._market.sessions):
                raise AccountError(f"the market ends with session {books.session:%Y-%m-%d}; ingest newer bars first")
            session = self._market.sessions[index]
            waiting = [
                document
                for document in sorted(entry.documents(ORDER).values(), key=lambda row: row["sequence"])
                if not read_order(document).status.is_final
            ]
            outcome, fills = execute_session(
                positions_table(books),
                books.cash,
                orders_table(waiting),
                session,
                self._bars[self._bars["date"] == session],
                self._actions[self._actions["date"] == session],
                self._market,
                self._costs,
            )
            booking = SessionBooking(books, session)
            booking.interest(outcome.interest)
            booking.corporate_actions(outcome.events)
            for document in booking.fills(waiting, fills, self._closed_at(session)):
                entry.put(ORDER, document["client_order_id"], document)
            self._write(entry, booking)
            return session

    def _books(self) -> BrokerBooks:
        with self._store.transaction() as entry:
            return self._known(entry)

    @staticmethod
    def _known(entry: Transaction) -> BrokerBooks:
        books = entry.books()
        if books is None:
            raise AccountError("the books of the simulated broker are empty; open the account again")
        return books

    def _orders(self) -> list[BrokerOrder]:
        with self._store.transaction() as entry:
            documents = sorted(entry.documents(ORDER).values(), key=lambda row: row["sequence"])
        return [read_order(document) for document in documents]

    def _cancel(self, entry: Transaction, document: dict[str, Any]) -> None:
        at = self._closed_at(self._known(entry).session)
        ended = {"status": OrderStatus.CANCELED.value, "updated_at": at.isoformat()}
        entry.put(ORDER, document["client_order_id"], document | ended)

    def _write(self, entry: Transaction, booking: SessionBooking) -> None:
        books = booking.books
        if booking.session > books.session:
            books.session = booking.session
            books.last_equity = books.equity
        values = (held.quantity * self._mark(name, books.session) for name, held in books.holdings.items())
        books.equity = books.cash + sum(values, Decimal(0))
        for name, document in booking.activities.items():
            entry.put(ACTIVITY, name, document)
        entry.put_books(books)

    def _check(self, order: OrderRequest, books: BrokerBooks, entry: Transaction) -> None:
        refusal = ""
        if books.suspended:
            refusal = "trading is suspended"
        elif order.order_type is not OrderType.MARKET or order.time_in_force is TimeInForce.GTC:
            refusal = "the simulated exchange executes market orders of the next session only"
        elif order.side not in ("buy", "sell") or order.quantity <= 0 or order.quantity % 1:
            refusal = "side must be buy or sell, and quantity a positive whole number"
        elif order.instrument not in self._market.instruments:
            refusal = f"instrument {order.instrument} is not known"
        elif order.side == "sell":
            held = books.holdings.get(order.instrument)
            promised = held_shares(entry.documents(ORDER).values(), order.instrument)
            available = (held.quantity if held else 0) - promised
            if order.quantity > available:
                refusal = f"insufficient quantity (requested {order.quantity}, available {available})"
        if refusal:
            raise OrderRejectedError(f"the simulated broker refuses order {order.client_order_id}: {refusal}")

    def _mark(self, instrument: str, session: pd.Timestamp) -> Decimal:
        row = self._market.sessions.get_loc(session)
        return ticks_to_decimal(self._market.arrays.mark[row, self._market.instruments.get_loc(instrument)])

    def _closed_at(self, session: pd.Timestamp) -> pd.Timestamp:
        return self._calendar.hours(session)[1]
