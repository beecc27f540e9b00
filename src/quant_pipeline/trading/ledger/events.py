"""Events of the ledger and orders, which never change once they exist; ids of orders."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pandas as pd

TICK = Decimal("0.0001")
"""Amounts of money carry four decimals."""

LONGEST_CLIENT_ORDER_ID = 48
_MOST_REVISIONS = 100


class EventKind(StrEnum):
    """What can happen to an account.

    Amounts of cash in payloads are signed as the account feels them: a deposit is positive, a fee negative.
    """

    ACCOUNT_OPENED = "account_opened"
    ACCOUNT_RENAMED = "account_renamed"
    PLAN_RECORDED = "plan_recorded"
    FILL = "fill"
    ORDER_ENDED = "order_ended"
    SPLIT = "split"
    CASH_DIVIDEND = "cash_dividend"
    DELISTING = "delisting"
    SESSION_CLOSED = "session_closed"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    FEE = "fee"
    TAX = "tax"
    INTEREST = "interest"
    TRANSFER = "transfer"
    SPIN_OFF = "spin_off"
    MERGER = "merger"
    SYMBOL_CHANGE = "symbol_change"
    CASH_IN_LIEU = "cash_in_lieu"
    RETURN_OF_CAPITAL = "return_of_capital"
    OTHER_CASH = "other_cash"
    FOREIGN_MOVED = "foreign_moved"
    ADJUSTMENT = "adjustment"
    EVENT_CANCELLED = "event_cancelled"
    ACTIVITY_NOTED = "activity_noted"
    ACTIVITY_QUARANTINED = "activity_quarantined"
    QUARANTINE_RESOLVED = "quarantine_resolved"
    TRADE_BUST = "trade_bust"
    TRADE_CORRECTION = "trade_correction"
    LOT_METHOD_CHOSEN = "lot_method_chosen"
    STATEMENT_IMPORTED = "statement_imported"
    ORDER_RECORDED = "order_recorded"
    ORDER_DENIED = "order_denied"
    ORDER_RESIZED = "order_resized"
    ORDER_SUBMITTING = "order_submitting"
    ORDER_ACCEPTED = "order_accepted"
    ORDER_REJECTED = "order_rejected"
    ORDER_CANCEL_REQUESTED = "order_cancel_requested"
    CURSOR_MOVED = "cursor_moved"
    TRADING_STATE_CHANGED = "trading_state_changed"
    ACCOUNT_ARMED = "account_armed"
    ACCOUNT_DISARMED = "account_disarmed"
    BREAK_FOUND = "break_found"
    ALERT_RAISED = "alert_raised"


@dataclass(frozen=True)
class Event:
    """One fact about an account.

    Attributes
    ----------
    session
        Session in which it happened; a plan happens in the session that decides.
    kind
        What happened.
    key
        Natural identity: the same fact seen twice has the same key.
    payload
        JSON-able facts; money and quantities are text, so that nothing is rounded on the way.
    """

    session: pd.Timestamp
    kind: EventKind
    key: str
    payload: Mapping[str, Any]

    @property
    def content(self) -> str:
        """Canonical JSON of the payload."""
        return json.dumps(self.payload, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Order:
    """An order as it was decided.

    Attributes
    ----------
    client_order_id
        See `client_order_id`.
    instrument, side, quantity
        What to execute: ``buy`` or ``sell``, whole shares; only the sale of everything has fractions.
    reference_price
        Close at the decision.
    reason
        Why, in words.
    """

    client_order_id: str
    instrument: str
    side: str
    quantity: int | Decimal
    reference_price: str
    reason: str

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Order:
        """Read an order from the payload of an event."""
        quantity = facts["quantity"]
        return cls(**{**facts, "quantity": Decimal(quantity) if isinstance(quantity, str) else int(quantity)})

    @property
    def facts(self) -> dict[str, Any]:
        """The order for the payload of an event: a fraction of a share is text, so that nothing is rounded."""
        whole = self.quantity == int(self.quantity)
        return {**asdict(self), "quantity": int(self.quantity) if whole else str(self.quantity)}


def client_order_id(account: str, session: pd.Timestamp, instrument: str, side: str, revision: int) -> str:
    """Name an order by what it is, so that the same order has the same name in every process.

    Parameters
    ----------
    account
        Name of the account.
    session
        Session in which the order executes.
    instrument, side
        What it executes.
    revision
        0 for the first plan of the session; a plan that replaces it counts on.

    Returns
    -------
    str
        At most 48 characters of ``A-Z a-z 0-9 . -``; a longer name ends in a hash of itself.
    """
    plain = f"{account}-{session:%Y%m%d}-{instrument}-{side}-{revision}"
    name = re.sub(r"[^A-Za-z0-9.-]", "-", plain)
    if name == plain and len(name) <= LONGEST_CLIENT_ORDER_ID:
        return name
    digest = hashlib.sha256(plain.encode()).hexdigest()[:12]
    return f"{name[: LONGEST_CLIENT_ORDER_ID - 13]}-{digest}"


def is_named_by(account: str, order_id: str, instrument: str, side: str) -> bool:
    """Return whether an account has given an order its name; another account whose name begins alike has not."""
    sessions = (
        pd.to_datetime(day, format="%Y%m%d", errors="coerce") for day in re.findall(r"(?<=-)\d{8}(?=-)", order_id)
    )
    return any(
        client_order_id(account, session, instrument, side, revision) == order_id
        for session in sessions
        if session is not pd.NaT
        for revision in range(_MOST_REVISIONS)
    )


def money(amount: Decimal | float | int | str) -> str:
    """Write an amount of money as text with four decimals."""
    return str(Decimal(str(amount)).quantize(TICK))
