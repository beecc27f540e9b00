"""The ledger with its projections in memory: an event is durable before anything acts on it."""

from __future__ import annotations

from collections.abc import Sequence

from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.lease import Lease


class Journal:
    """One account's events, orders and books.

    Parameters
    ----------
    ledger
        The ledger.
    lease
        The right to send; every append prolongs it and is refused when it was lost. None only looks.

    Attributes
    ----------
    book
        Orders, trading state and cursor.
    account
        Cash and positions.
    """

    def __init__(self, ledger: Ledger, lease: Lease | None = None) -> None:
        self.ledger = ledger
        self.lease = lease
        self.book = AccountOrders()
        self.account = AccountState()
        self._length = 0
        # No order is sent on the basis of a ledger that was tampered with.
        ledger.verify()
        self.reload()

    def reload(self) -> None:
        """Recompute everything from the ledger."""
        book, account = AccountOrders(), AccountState()
        events = self.ledger.events()
        for event in events:
            book.apply(event)
            account.apply(event)
        self.book, self.account, self._length = book, account, len(events)

    def catch_up(self) -> None:
        """Take in what another process has appended, for instance that the operator has halted the account."""
        if self.ledger.length() != self._length:
            self.reload()

    def hold_lease(self) -> None:
        """Prolong the lease while there is nothing to append.

        Raises
        ------
        LeaseLostError
            When another process has taken over.
        """
        if self.lease is not None:
            self.lease.check()

    def append(self, events: Sequence[Event]) -> tuple[Event, ...]:
        """Make events durable and apply those that are new, in one transaction.

        Raises
        ------
        IllegalTransitionError
            When an event contradicts the life of its order.
        AccountError
            When an event contradicts the ledger.
        LeaseLostError
            When another process has taken over.
        """
        before = None if self.lease is None else self.lease.renew
        try:
            return self.ledger.append_new(events, before, self._apply)
        except BaseException:
            # The projections may be ahead of the ledger; what was not committed has not happened.
            self.reload()
            raise

    def _apply(self, events: Sequence[Event]) -> None:
        for event in events:
            self.book.apply(event)
            self.account.apply(event)
        self._length += len(events)
