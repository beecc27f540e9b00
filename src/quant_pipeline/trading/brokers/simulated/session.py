"""Book one session of the simulated broker: what changed, and the activities that record it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.exchange.money import value_in_cents
from quant_pipeline.exchange.tables import positions_table as exchange_positions
from quant_pipeline.trading.broker_records import CashKind, OrderStatus, PositionKind
from quant_pipeline.trading.brokers.simulated.documents import Document, read_order
from quant_pipeline.trading.brokers.simulated.store import BrokerBooks, Holding
from quant_pipeline.trading.ledger.events import money


class SessionBooking:
    """Change the books by the facts of one day and keep an activity of each.

    Parameters
    ----------
    books
        The account; changed in place.
    session
        The day.
    """

    def __init__(self, books: BrokerBooks, session: pd.Timestamp) -> None:
        self.books = books
        self.session = session
        self.activities: dict[str, Document] = {}

    def transfer(self, amount: Decimal) -> None:
        """Move cash of the owner."""
        self._cash(CashKind.TRANSFER, "", amount)

    def interest(self, amount: Decimal) -> None:
        """Credit interest on the cash, where there is any."""
        if amount:
            self._cash(CashKind.INTEREST, "", amount)

    def corporate_actions(self, events: pd.DataFrame) -> None:
        """Book what corporate actions did, see `quant_pipeline.exchange.session.apply_corporate_actions`."""
        for row in events.to_dict("records"):
            instrument, amount = row["instrument"], Decimal(money(row["amount"]))
            if row["kind"] == "cash_dividend":
                tax = Decimal(money(row["tax"]))
                self._cash(CashKind.DIVIDEND, instrument, amount + tax)
                if tax:
                    self._cash(CashKind.TAX, instrument, -tax)
                continue
            kind = PositionKind.SPLIT if row["kind"] == "split" else PositionKind.REMOVAL
            self._shares(kind, instrument, row["quantity_before"], row["quantity_after"], amount)

    def fills(self, orders: Sequence[Document], fills: pd.DataFrame, at: pd.Timestamp) -> Iterator[Document]:
        """Book the fills of a session.

        Parameters
        ----------
        orders
            Those that waited, in the sequence in which they were sent.
        fills
            What became of them, in the sequence of execution: sales first.
        at
            When.

        Yields
        ------
        dict
            Each order as it ended.
        """
        in_sequence = [order for side in ("sell", "buy") for order in orders if order["side"] == side]
        for order, fill in zip(in_sequence, fills.to_dict("records"), strict=True):
            quantity = int(fill["quantity"])
            ended = order | {
                # A split between decision and execution has scaled what was asked for.
                "quantity": int(fill["requested"]),
                "filled": quantity,
                "price": money(fill["price"]) if quantity else None,
                "status": _status(fill["status"]).value,
                "message": fill["message"],
                "updated_at": at.isoformat(),
            }
            if quantity:
                self._fill(ended, Decimal(money(fill["fee"])), at)
            yield ended

    def _fill(self, order: Document, fee: Decimal, at: pd.Timestamp) -> None:
        quantity, price = order["filled"], Decimal(order["price"])
        sign = 1 if order["side"] == "buy" else -1
        held = self.books.holdings.setdefault(order["instrument"], Holding(0, Decimal(0)))
        held.cost += quantity * price if sign > 0 else -quantity * held.average_price
        held.quantity += sign * quantity
        if held.quantity == 0:
            del self.books.holdings[order["instrument"]]
        cash = -sign * value_in_cents(quantity, price)
        self.books.cash += cash
        facts = {name: order[name] for name in ("instrument", "side", "sequence", "price")} | {"cash": str(cash)}
        self._record({"type": "fill", "quantity": quantity, "occurred_at": at.isoformat()} | facts)
        if fee:
            self._cash(CashKind.FEE, order["instrument"], -fee)

    def _cash(self, kind: CashKind, instrument: str, amount: Decimal) -> None:
        self.books.cash += amount
        self._record({"type": "cash", "kind": kind.value, "instrument": instrument, "amount": str(amount)})

    def _shares(self, kind: PositionKind, instrument: str, before: int, after: int, amount: Decimal) -> None:
        if after:
            self.books.holdings[instrument].quantity = after
        else:
            del self.books.holdings[instrument]
        self.books.cash += amount
        facts = {"kind": kind.value, "instrument": instrument, "quantity": after - before, "amount": str(amount)}
        self._record({"type": "position"} | facts)

    def _record(self, facts: dict[str, Any]) -> None:
        self.books.counter += 1
        # A deposit may be dated on another day than the session; the id grows with what was booked when.
        name = f"{self.books.counter:012d}"
        self.activities[name] = {"date": f"{self.session:%Y-%m-%d}"} | facts


def positions_table(books: BrokerBooks) -> pd.DataFrame:
    """Write the holdings as the exchange takes them."""
    names = sorted(books.holdings)
    return exchange_positions(names, [books.holdings[name].quantity for name in names], [0] * len(names))


def orders_table(orders: Sequence[Document]) -> pd.DataFrame:
    """Write waiting orders as the exchange takes them."""
    kinds = {"instrument": "str", "side": "str", "quantity": "int64"}
    return pd.DataFrame({name: pd.Series([row[name] for row in orders], dtype=kind) for name, kind in kinds.items()})


def held_shares(orders: Iterable[Document], instrument: str) -> int:
    """Count the shares promised to open sales of an instrument."""
    return sum(
        order["quantity"]
        for order in orders
        if order["instrument"] == instrument and order["side"] == "sell" and not read_order(order).status.is_final
    )


def _status(word: str) -> OrderStatus:
    # The rest of an order that was filled in part expires with the session.
    known = {"filled": OrderStatus.FILLED, "rejected": OrderStatus.REJECTED}
    return known.get(word, OrderStatus.EXPIRED)
