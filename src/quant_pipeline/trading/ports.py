"""The port to a broker: what execution and post-trade may ask, and every way in which the answer can fail.

The errors follow one question: *can the order be at the broker?* A definitive refusal says no, a lost answer says
is unknown. Only the second may never be taken for the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.broker_records import (
    Activity,
    BrokerAccount,
    BrokerAsset,
    BrokerClock,
    BrokerOrder,
    BrokerPosition,
    LastTrade,
    OrderRequest,
)
from quant_pipeline.trading.execution_capability import ExecutionCapability


class BrokerError(AccountError):
    """A broker did not do what was asked."""


class OrderRejectedError(BrokerError):
    """The broker refuses the order for good: it is not at the broker and never was; do not send it again.

    Attributes
    ----------
    code
        The broker's own code, empty when it gives none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DuplicateOrderError(BrokerError):
    """The broker has an order of this client order id already: look it up, never send it under another id."""


class OutcomeUnknownError(BrokerError):
    """The request may or may not have been carried out: ask with `Broker.order_by_client_id` before anything else."""


class RateLimitedError(BrokerError):
    """Too many requests; this one was not carried out and may be sent again later.

    Attributes
    ----------
    retry_after
        Seconds to wait.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BrokerUnavailableError(BrokerError):
    """The broker did not answer a question, or could not be reached at all; nothing was changed by it."""


class PartlyUnreadableError(BrokerUnavailableError):
    """Parts of an answer cannot be read, so that nothing can be concluded from it; emergencies act on the others.

    Attributes
    ----------
    readable
        Records of the rows of a list that can be read; of an account its number.
    unreadable
        Why the others cannot, by their names.
    """

    def __init__(self, message: str, readable: tuple[Any, ...], unreadable: Mapping[str, str]) -> None:
        super().__init__(message)
        self.readable = readable
        self.unreadable = unreadable


class BrokerAccessError(BrokerError):
    """The broker refuses the keys, or the keys do not belong to this kind of account."""


class QuestionRefusedError(BrokerError):
    """The broker finds something wrong with a question; asking again does not help."""


class OrderWithheldError(BrokerError):
    """The order was stopped on this side, by a kill switch or the trading state, and did not reach the broker."""


class UnknownOrderError(BrokerError):
    """The broker has no order of this client order id."""


class OrderNotCancelableError(BrokerError):
    """The order has ended, or its cancellation is under way; look it up."""


class Broker(Protocol):
    """A broker; the simulated, the paper and the live account are all behind this port.

    Every method may raise `BrokerUnavailableError`, `RateLimitedError` and `BrokerAccessError`.
    No method repeats a request that changes something.
    """

    @property
    def capability(self) -> ExecutionCapability:
        """State at which prices the broker executes; a constant of its class."""

    def account(self) -> BrokerAccount:
        """Return cash, equity, buying power and blocks of the account."""

    def positions(self) -> tuple[BrokerPosition, ...]:
        """List all positions, by instrument; a failed question is an error, never an empty list."""

    def open_orders(self) -> tuple[BrokerOrder, ...]:
        """List all orders that have not ended, oldest first."""

    def orders(self, since: pd.Timestamp) -> tuple[BrokerOrder, ...]:
        """List all orders submitted at or after an instant (time-zone-aware), ended ones too, oldest first."""

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Send an order once.

        Returns
        -------
        BrokerOrder
            As accepted; it may already be filled.

        Raises
        ------
        OrderRejectedError
            Refused for good.
        DuplicateOrderError
            The client order id has been used.
        OutcomeUnknownError
            The answer was lost or made no sense.
        """

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Look up an order by our own name of it; None when the broker has none.

        Shortly after an unknown outcome None may be wrong: brokers are eventually consistent. Sending the *same*
        client order id again is safe, because the broker accepts it once.
        """

    def cancel(self, client_order_id: str) -> None:
        """Ask to cancel an order; that it has been cancelled shows in its status.

        Raises
        ------
        UnknownOrderError
            When there is no such order.
        OrderNotCancelableError
            When it has ended.
        OutcomeUnknownError
            When the answer was lost; asking again is safe.
        """

    def activities(self, after: str | None = None, since: pd.Timestamp | None = None) -> Iterator[Activity]:
        """Return everything that changed cash or shares, in the order of activity ids.

        Parameters
        ----------
        after
            Activity id that was seen last (the cursor); None begins with the first.
        since
            Instead of ``after``: everything dated on or after this date, to find what the broker reported late.
        """

    def clock(self) -> BrokerClock:
        """Return the broker's time and the hours of its market."""

    def asset(self, instrument: str) -> BrokerAsset | None:
        """Return whether an instrument can be traded; None when the broker does not know it."""

    def last_trades(self, instruments: Sequence[str]) -> Mapping[str, LastTrade]:
        """Return the newest trade of each instrument; one that the broker has no trade of is left out."""

    def suspend_trading(self, suspended: bool) -> None:
        """Let the broker itself refuse (or take again) every new order: the last layer of the kill switch.

        Raises
        ------
        OutcomeUnknownError
            When the answer was lost; asking again is safe.
        """
